"""Slices: labels of pairs by which scores are broken down, computed from names and key points.

| slice | labels |
| --- | --- |
| `item` | `seen`, `unseen`: whether the garment (gender, category, number) occurs in training |
| `view` | `front-side`: view of the source, view of the target; `none` where the name has none |
| `scale` | `under0.5`, `0.5to0.8`, `0.8to1.25`, `1.25to2`, `over2`: torso of the target / source |
| `displacement` | `under16`, `16to33`, `33to45`, `45to58`, `58to76`, `over76`: pixels |
| `joints` | `0` to `18`: joints seen in both pictures |
| `camera` | `same`, `other`: of Market-1501 |

A value on an edge belongs to the bucket above it; `unknown` marks a pair without such a value.
All lengths are taken in a frame 256 rows high: 256x176 for DeepFashion, 256x128 (the published
128x64 doubled) for Market-1501. The edges of `displacement` are percentiles of the published
DeepFashion test pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pcdms_data.names import MARKET, VIEWS, parse_fashion
from pcdms_data.pair_set import PairRows, SliceColumn
from pcdms_data.types import K, Keypoints

FRAMES: dict[str, tuple[int, int]] = {"deepfashion": (256, 176), "market1501": (256, 128)}
"""Frame (H, W) in which lengths are measured."""

DISPLACEMENT_EDGES = (16, 33, 45, 58, 76)
"""Pixels; the 5, 25, 50, 75 and 95 % points of the DeepFashion test pairs, rounded."""
SCALE_EDGES = (0.5, 0.8, 1.25, 2)
"""Ratios; a pair and its reverse lie in mirrored buckets."""
UNKNOWN = "unknown"

_PAIRS_AT_ONCE = 1 << 14


def pair_slices(
    dataset: str,
    names: Sequence[str],
    keypoints: Sequence[Keypoints],
    rows: PairRows,
    train_names: frozenset[str] | None = None,
) -> dict[str, SliceColumn]:
    """Return the slice columns of the pairs `rows` (N, 2) of a dataset on disk.

    `names` are flat, `keypoints` of any frames. `item` is told only where `train_names`, the flat
    names of the training split, are given. Other datasets than DeepFashion and Market-1501 have no
    slices but those that their files carry.
    """
    if dataset not in FRAMES:
        return {}
    columns = {}
    if dataset == "market1501":
        columns["camera"] = _cameras(names, rows)
    else:
        columns |= _garments(names, rows, train_names)
    xy, visible = _in_frame(keypoints, FRAMES[dataset])
    displacement, joints = mean_displacement(xy, visible, rows)
    columns["displacement"] = _buckets(displacement, DISPLACEMENT_EDGES)
    columns["scale"] = _buckets(torso_ratio(xy, visible, rows), SCALE_EDGES)
    columns["joints"] = SliceColumn(tuple(map(str, range(K + 1))), joints.astype(np.int16))
    return columns


def mean_displacement(
    xy: NDArray[np.float32], visible: NDArray[np.bool_], rows: PairRows
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return how far joints lie apart, and how many were compared, each (N,).

    `xy` (pictures, 18, 2) and `visible` (pictures, 18) in one frame, `rows` (N, 2) into them. The
    first is the mean Euclidean distance over the joints that both pictures show, in the unit of
    `xy`, NaN where they share none.
    """
    apart = np.full(len(rows), np.nan, dtype=np.float32)
    count = np.zeros(len(rows), dtype=np.intp)
    seen = visible.astype(np.float32)
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        source, target = rows[part].T
        step = xy[source] - xy[target]
        both = seen[source] * seen[target]
        shared = both.sum(axis=1)
        total = (np.sqrt(step[..., 0] ** 2 + step[..., 1] ** 2) * both).sum(axis=1)
        count[part] = shared
        np.divide(total, shared, out=apart[part], where=shared > 0)
    return apart, count


def torso_ratio(
    xy: NDArray[np.float32], visible: NDArray[np.bool_], rows: PairRows
) -> NDArray[np.float32]:
    """Return the torso length of the target over that of the source, float32 (N,).

    The torso reaches from the middle of the shoulders to the middle of the hips. NaN where one of
    these four joints is missing or a torso has no length.
    """
    torso = (xy[:, [2, 5]].mean(axis=1) - xy[:, [8, 11]].mean(axis=1)).astype(np.float32)
    length = np.hypot(torso[:, 0], torso[:, 1])
    length[~visible[:, [2, 5, 8, 11]].all(axis=1) | (length == 0)] = np.nan
    return length[rows[:, 1]] / length[rows[:, 0]]


def _in_frame(
    keypoints: Sequence[Keypoints], frame: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the key points of all pictures in one frame (H, W): (N, 18, 2) and (N, 18)."""
    xy = np.array([pose.xy for pose in keypoints], dtype=np.float32).reshape(-1, K, 2)
    visible = np.array([pose.visible for pose in keypoints], dtype=np.bool_).reshape(-1, K)
    sizes = np.array([pose.size for pose in keypoints], dtype=np.float32).reshape(-1, 2)
    scale = np.array(frame, dtype=np.float32) / sizes
    return xy * scale[:, None, ::-1], visible


def _buckets(values: NDArray[np.float32], edges: tuple[float, ...]) -> SliceColumn:
    middle = (f"{low}to{high}" for low, high in pairwise(edges))
    labels = (f"under{edges[0]}", *middle, f"over{edges[-1]}", UNKNOWN)
    codes = np.digitize(values, edges)
    return SliceColumn(labels, np.where(np.isnan(values), len(labels) - 1, codes).astype(np.int16))


def _garments(
    names: Sequence[str], rows: PairRows, train_names: frozenset[str] | None
) -> dict[str, SliceColumn]:
    parsed = [parse_fashion(name) for name in names]
    if not any(parsed):
        return {}
    views = (*VIEWS, "none")
    codes = np.array([views.index(one.view if one else "none") for one in parsed], dtype=np.int16)
    labels = tuple(f"{source}-{target}" for source in views for target in views)
    columns = {"view": SliceColumn(labels, codes[rows[:, 0]] * len(views) + codes[rows[:, 1]])}
    if train_names is not None:
        trained = {one.item_key for one in map(parse_fashion, train_names) if one is not None}
        seen = [int(one is None or one.item_key not in trained) for one in parsed]
        column = np.array(seen, dtype=np.int16)[rows[:, 1]]
        columns["item"] = SliceColumn(("seen", "unseen"), column)
    return columns


def _cameras(names: Sequence[str], rows: PairRows) -> SliceColumn:
    matches = [MARKET.fullmatch(name) for name in names]
    camera = np.array([int(match["camera"]) if match else -1 for match in matches], dtype=np.int16)
    source, target = camera[rows[:, 0]], camera[rows[:, 1]]
    codes = np.where((source < 0) | (target < 0), 2, source != target).astype(np.int16)
    return SliceColumn(("same", "other", UNKNOWN), codes)
