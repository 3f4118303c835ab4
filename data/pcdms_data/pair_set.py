"""A list of pairs that makes each pair when it is asked for, and the published pair rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

PairRows = NDArray[np.int32]
"""(N, 2): positions of source and target in the gallery, one pair a row."""


@dataclass(frozen=True, eq=False)
class SliceColumn:
    """One label a pair: `codes` int16 (N,) into the `labels`, each of which occurs once."""

    labels: tuple[str, ...]
    codes: NDArray[np.int16]

    @classmethod
    def of(cls, values: Iterable[str]) -> SliceColumn:
        """Return the column of the given labels, in order of first appearance."""
        known: dict[str, int] = {}
        codes = [known.setdefault(value, len(known)) for value in values]
        return cls(tuple(known), np.array(codes, dtype=np.int16))

    def __len__(self) -> int:
        return len(self.codes)

    def label(self, row: int) -> str:
        """Return the label of one pair."""
        return self.labels[self.codes[row]]

    def taken(self, rows: NDArray[np.intp] | slice) -> SliceColumn:
        """Return the column of some pairs."""
        return SliceColumn(self.labels, self.codes[rows])


class PairSet(Sequence[Pair]):
    """The pairs of one split: sized, indexable, iterable; slicing gives a PairSet.

    `dataset` and `split` are names of the command line, `resolution` = (H, W) the frame in which
    all key points are given and pictures are to be loaded, `gallery` all pictures of the split,
    each once, whether a pair uses them or not. `rows` (N, 2) are positions in the gallery, `slices`
    one column of labels for each slice name. `layout` is the layout the files were read from, empty
    for the embedded people, and `convention` how the pictures were made: `lowres_crop`,
    `highres_resize`, or empty where there is one way only.
    """

    def __init__(
        self,
        dataset: str,
        split: str,
        resolution: tuple[int, int],
        gallery: Gallery,
        rows: PairRows,
        slices: Mapping[str, SliceColumn] | None = None,
        masks: Sequence[Picture | None] | None = None,
        layout: str = "",
        convention: str = "",
    ) -> None:
        self.dataset = dataset
        self.split = split
        self.resolution = resolution
        self.layout = layout
        self.convention = convention
        self.gallery = (
            gallery
            if all(pose.size == resolution for pose in gallery.keypoints)
            else Gallery(
                gallery.pictures,
                tuple(pose.resized(resolution) for pose in gallery.keypoints),
                gallery.groups,
            )
        )
        self.rows = rows
        self.slices = dict(slices or {})
        self._masks = masks

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> PairSet: ...
    def __getitem__(self, index: int | slice) -> Pair | PairSet:
        if isinstance(index, slice):
            return self.taken(np.arange(len(self))[index])
        source_row, target_row = (int(position) for position in self.rows[index])
        gallery = self.gallery
        source, target = gallery.pictures[source_row], gallery.pictures[target_row]
        return Pair(
            pair_id=make_pair_id(source.name, target.name),
            source=source,
            target=target,
            source_pose=gallery.keypoints[source_row],
            target_pose=gallery.keypoints[target_row],
            target_mask=self._masks[target_row] if self._masks else None,
            group=gallery.groups[source_row],
            slices={name: column.label(index) for name, column in self.slices.items()},
        )

    def taken(self, rows: NDArray[np.intp]) -> PairSet:
        """Return the pairs at some positions, in that order; the gallery stays whole."""
        return PairSet(
            self.dataset,
            self.split,
            self.resolution,
            self.gallery,
            self.rows[rows],
            {name: column.taken(rows) for name, column in self.slices.items()},
            self._masks,
            self.layout,
            self.convention,
        )

    def with_gallery(self, gallery: Gallery) -> PairSet:
        """Return the same pairs over other handles of the same pictures, in the same order."""
        return PairSet(
            self.dataset,
            self.split,
            self.resolution,
            gallery,
            self.rows,
            self.slices,
            self._masks,
            self.layout,
            self.convention,
        )

    def limited(self, limit: int | None) -> PairSet:
        """Return the first `limit` pairs, all with None; raises InputError below 1."""
        if limit is None:
            return self
        if limit < 1:
            raise InputError(f"limit {limit} of pairs, expected 1 or more")
        return self[:limit]

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


def ordered_pairs(groups: Sequence[str], visible: NDArray[np.bool_]) -> PairRows:
    """Return all ordered pairs (N, 2) of one group whose pictures both pass the pair rule.

    `visible` bool (pictures, 18). Groups come in order of first appearance, pairs within a group
    in the order of `itertools.permutations`. Source: tengteng95/Pose-Transfer,
    tool/create_pairs_dataset.py.
    """
    usable: NDArray[np.bool_] = np.all(visible[:, SHOULDERS_AND_HIPS], axis=1)
    members: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        if usable[position]:
            members.setdefault(group, []).append(position)
    pairs = [pair for positions in members.values() for pair in permutations(positions, 2)]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def shuffled(pairs: PairRows, names: Sequence[str], seed: int) -> PairRows:
    """Return `pairs` in an order that depends on the seed and the pair ids alone."""

    def place(row: int) -> bytes:
        pair_id = make_pair_id(names[pairs[row, 0]], names[pairs[row, 1]])
        return blake2b(f"{seed}\x1f{pair_id}".encode(), digest_size=8).digest()

    return pairs[sorted(range(len(pairs)), key=place)]
