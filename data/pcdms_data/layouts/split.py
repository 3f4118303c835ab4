"""What a layout says about one split, and the checks and choices that are alike for all layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pcdms_data.names import group_of
from pcdms_data.pair_set import PairRows, PairSet, SliceColumn, ordered_pairs
from pcdms_data.slices import pair_slices
from pcdms_data.types import Gallery, InputError, Keypoints, Picture

LOWRES_CROP = "lowres_crop"
"""Pictures are columns 40 to 216 of the 256x256 release, not resampled."""
HIGHRES_RESIZE = "highres_resize"
"""Pictures come from the 1101x750 release, resized."""

FRAMES: dict[str, tuple[int, int]] = {"deepfashion": (256, 176), "market1501": (128, 64)}
"""Frame (H, W) of the published key points, and the resolution when none is asked for."""


@dataclass(frozen=True, eq=False)
class SplitRecord:
    """One split as its files have it; `build` makes the pairs of it.

    `pictures` carry the flat names. Key points are of the frame that the whole picture (after its
    crop) fills, whatever the number of its pixels. `rows` are the listed pairs, None where the
    layout has no list: then all ordered pairs by the pair rule. `groups` None takes them from the
    names. `frame` None: the frames differ, and the user must ask for a resolution. `slices` are
    labels the layout itself carries, one sequence of labels a slice.
    `train_names` are the flat names of the training split where the layout tells them; seen and
    unseen items are told apart with them.
    `pictures_at` holds the same pictures at several sizes (H, W) where the layout stores them so;
    `build` takes the smallest that is not below the resolution, else the largest.
    `columns` are all slices, ready made; then no other is computed.
    """

    pictures: Sequence[Picture]
    keypoints: Sequence[Keypoints]
    rows: PairRows | None
    where: Path
    frame: tuple[int, int] | None
    convention: str = ""
    groups: Sequence[str] | None = None
    masks: Sequence[Picture | None] | None = None
    slices: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    train_names: frozenset[str] | None = None
    pictures_at: Mapping[tuple[int, int], Sequence[Picture]] = field(
        default_factory=dict[tuple[int, int], Sequence[Picture]]
    )
    columns: Mapping[str, SliceColumn] | None = None


def build(
    record: SplitRecord,
    dataset: str,
    split: str,
    layout: str,
    resolution: tuple[int, int] | None = None,
    limit: int | None = None,
) -> PairSet:
    """Return the pairs of a record at `resolution` = (H, W), None for the record's own frame.

    Raises InputError on a picture named twice, a pair that occurs twice, and a pair of a picture
    with itself; the line names the file that `record.where` gives.
    """
    resolution = resolution or record.frame
    if resolution is None:
        raise InputError(
            f"{record.where} has pictures of several sizes in split {split!r}: "
            "give a resolution, such as 256x176"
        )
    names = [picture.name for picture in record.pictures]
    _refuse_repeats(names, record.where)
    groups = tuple(
        record.groups if record.groups is not None else (group_of(dataset, name) for name in names)
    )
    rows = record.rows
    if rows is None:
        visible = np.array([pose.visible for pose in record.keypoints]).reshape(-1, 18)
        rows = ordered_pairs(groups, visible)
    _refuse_bad_rows(rows, names, record.where)
    if record.columns is not None:
        slices = dict(record.columns)
    else:
        slices = {name: SliceColumn.of(labels) for name, labels in record.slices.items()}
        slices |= pair_slices(dataset, names, record.keypoints, rows, record.train_names)
    pictures = tuple(_stored_at(record, resolution))
    gallery = Gallery(pictures, tuple(record.keypoints), groups)
    pairs = PairSet(
        dataset,
        split,
        resolution,
        gallery,
        rows,
        slices,
        record.masks,
        layout,
        record.convention,
    )
    return pairs.limited(limit)


def _stored_at(record: SplitRecord, resolution: tuple[int, int]) -> Sequence[Picture]:
    """Return the handles of the stored size that loses and invents the least at `resolution`."""
    if not record.pictures_at:
        return record.pictures
    sizes = sorted(record.pictures_at, key=lambda size: size[0] * size[1])
    enough = [size for size in sizes if size[0] >= resolution[0] and size[1] >= resolution[1]]
    return record.pictures_at[enough[0] if enough else sizes[-1]]


def _refuse_repeats(names: Sequence[str], where: Path) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{where} names {name} a second time")
        seen.add(name)


def _refuse_bad_rows(rows: PairRows, names: Sequence[str], where: Path) -> None:
    alone = np.flatnonzero(rows[:, 0] == rows[:, 1])
    if len(alone):
        raise InputError(
            f"{where} pairs {names[rows[alone[0], 0]]} with itself, expected two different pictures"
        )
    keys = rows[:, 0].astype(np.int64) * max(1, len(names)) + rows[:, 1]
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    twice = np.flatnonzero(counts > 1)
    if len(twice):
        source, target = rows[first[twice[0]]]
        raise InputError(f"{where} lists the pair {names[source]}, {names[target]} twice")
