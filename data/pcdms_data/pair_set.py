"""A list of pairs that makes each pair when it is asked for, and the published pair rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import permutations
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import Gallery, InputError, Pair, Picture, make_pair_id

if TYPE_CHECKING:
    import datasets

SHOULDERS_AND_HIPS = (2, 5, 8, 11)
"""Joints that both pictures of a pair must show."""


@dataclass(frozen=True)
class PairRow:
    """One pair as positions in the gallery, and its slice labels."""

    source: int
    target: int
    slices: dict[str, str]


class PairSet(Sequence[Pair]):
    """The pairs of one split: sized, indexable, iterable; slicing gives a PairSet.

    `dataset` and `split` are names of the command line, `resolution` = (H, W) the frame in which
    all key points are given and pictures are to be loaded, `gallery` all pictures of the split,
    each once, whether a pair uses them or not.
    """

    def __init__(
        self,
        dataset: str,
        split: str,
        resolution: tuple[int, int],
        gallery: Gallery,
        rows: Sequence[PairRow],
        masks: Sequence[Picture | None] | None = None,
    ) -> None:
        self.dataset = dataset
        self.split = split
        self.resolution = resolution
        self.gallery = Gallery(
            gallery.pictures,
            tuple(pose.resized(resolution) for pose in gallery.keypoints),
            gallery.groups,
        )
        self._rows = rows
        self._masks = masks

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> PairSet: ...
    def __getitem__(self, index: int | slice) -> Pair | PairSet:
        if isinstance(index, slice):
            return PairSet(
                self.dataset,
                self.split,
                self.resolution,
                self.gallery,
                self._rows[index],
                self._masks,
            )
        row, gallery = self._rows[index], self.gallery
        source, target = gallery.pictures[row.source], gallery.pictures[row.target]
        return Pair(
            pair_id=make_pair_id(source.name, target.name),
            source=source,
            target=target,
            source_pose=gallery.keypoints[row.source],
            target_pose=gallery.keypoints[row.target],
            target_mask=self._masks[row.target] if self._masks else None,
            group=gallery.groups[row.source],
            slices=dict(row.slices),
        )

    def __repr__(self) -> str:
        height, width = self.resolution
        return f"PairSet({self.dataset} {self.split}, {len(self)} pairs at {height}x{width})"

    @property
    def mask_handles(self) -> tuple[Picture | None, ...]:
        """Person label maps in gallery order; None where a picture has none."""
        return tuple(self._masks) if self._masks else (None,) * len(self.gallery.pictures)

    def to_datasets(self) -> datasets.Dataset:
        """Return a Hugging Face dataset with the pictures as PNG inside (`hugging_face.FEATURES`).

        Its Arrow files lie in the cache folder and are reused while no picture file changes.
        """
        from pcdms_data.hugging_face import to_datasets

        return to_datasets(self)


def ordered_pairs(groups: Sequence[str], visible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return all ordered pairs (i, j) of one group whose pictures both pass the pair rule.

    `visible` bool (N, 18). Groups come in order of first appearance, pairs within a group in the
    order of `itertools.permutations`. Source: specification of the datasets, section 7.
    """
    usable: NDArray[np.bool_] = np.all(visible[:, SHOULDERS_AND_HIPS], axis=1)
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        if usable[position]:
            members.setdefault(group, []).append(position)
    return [pair for positions in members.values() for pair in permutations(positions, 2)]


def shuffled(
    pairs: Sequence[tuple[int, int]], names: Sequence[str], seed: int
) -> list[tuple[int, int]]:
    """Return `pairs` in an order that depends on the seed and the pair ids alone."""

    def place(pair: tuple[int, int]) -> bytes:
        pair_id = make_pair_id(names[pair[0]], names[pair[1]])
        return blake2b(f"{seed}\x1f{pair_id}".encode(), digest_size=8).digest()

    return sorted(pairs, key=place)


def limited(rows: Sequence[PairRow], limit: int | None) -> Sequence[PairRow]:
    """Return the first `limit` rows, all with None; raises InputError below 1."""
    if limit is None:
        return rows
    if limit < 1:
        raise InputError(f"limit {limit} of pairs, expected 1 or more")
    return rows[:limit]
