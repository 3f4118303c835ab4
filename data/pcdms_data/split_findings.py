"""Findings on one split: its pictures, its key points, and pictures that no list names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.pair_set import SHOULDERS_AND_HIPS, PairSet
from pcdms_data.picture_check import PictureState, usual_size
from pcdms_data.preparing.problems import Problem
from pcdms_data.types import Keypoints, Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""File names that count as pictures."""


def picture_findings(
    split: str,
    pictures: Sequence[Picture],
    states: Sequence[PictureState],
    used: NDArray[np.bool_],
    expected: tuple[int, int] | None = None,
) -> tuple[list[Problem], list[Problem]]:
    """Return (problems, notes) of the pictures of a split; `used` tells which are in a pair.

    An unreadable picture is a problem where a pair uses it. So is another shape than the `expected`
    or else the usual one: its key points would lie beside its joints. Another size of the same
    shape is a note.
    """
    usual = expected or usual_size(states)
    usually = "expected" if expected else "most are"
    problems: list[Problem] = []
    notes: list[Problem] = []
    for picture, state, in_pair in zip(pictures, states, used.tolist(), strict=True):
        grave = problems if in_pair else notes
        if state.size is None:
            grave.append(Problem(state.fault, state.reason))
        elif usual is not None and state.size != usual:
            line = (
                f"{split}: {picture.name} is {state.size[0]}x{state.size[1]}, "
                f"{usually} {usual[0]}x{usual[1]}"
            )
            if _same_shape(state.size, usual):
                notes.append(Problem("picture of another size", line))
            else:
                grave.append(Problem("picture of another shape", line))
    return problems, notes


def keypoint_notes(
    pairs: PairSet, keypoints: Sequence[Keypoints], used: NDArray[np.bool_]
) -> list[Problem]:
    """Return notes on joints outside of the frame, half-missing ones, and pairs beside the rule.

    `keypoints` are those of the record, in the frame of the files. A joint is half missing where
    one number is -1, the sign of a missing joint, and the other is not.
    """
    pictures = pairs.gallery.pictures
    notes = []
    for picture, pose in zip(pictures, keypoints, strict=True):
        height, width = pose.size
        x, y = pose.xy.T
        outside = pose.visible & ((x < 0) | (y < 0) | (x >= width) | (y >= height))
        for joint in np.flatnonzero(outside):
            half = (x[joint] == -1) != (y[joint] == -1)
            kind = "half-missing joint" if half else "joint outside the frame"
            place = f"({x[joint]:g}, {y[joint]:g})"
            line = f"{pairs.split}: {picture.name} joint {joint} at {place} in {height}x{width}"
            notes.append(Problem(kind, line))
    shown = np.array([pose.visible[list(SHOULDERS_AND_HIPS)].all() for pose in keypoints])
    notes += [
        Problem(
            "paired picture without shoulders and hips",
            f"{pairs.split}: {pictures[row].name} is in a pair against the published rule",
        )
        for row in np.flatnonzero(used & ~shown.reshape(-1).astype(np.bool_))
    ]
    return notes


def unlisted_pictures(sets: Iterable[PairSet]) -> list[Problem]:
    """Return a note for each picture file beside listed ones that no split names."""
    listed: dict[Path, set[str]] = {}
    for pairs in sets:
        for picture in pairs.gallery.pictures:
            if not picture.key and picture.row < 0:
                listed.setdefault(picture.path.parent, set()).add(picture.path.name)
    notes = []
    for folder, names in listed.items():
        if folder.is_dir():
            with os.scandir(folder) as entries:
                extra = sorted(
                    entry.name
                    for entry in entries
                    if entry.name.lower().endswith(SUFFIXES) and entry.name not in names
                )
            notes += [
                Problem("unlisted picture", f"{folder / name} is in no list") for name in extra
            ]
    return notes


def _same_shape(size: tuple[int, int], usual: tuple[int, int]) -> bool:
    """Tell whether two sizes have the same ratio of sides, up to a rounding of one pixel."""
    return abs(size[0] * usual[1] - size[1] * usual[0]) <= max(*size, *usual)
