"""Garment retrieval: does the generated picture find the garment it was to show?

The clothed region (below the neck, by the key points) of the generated picture is embedded and
compared with that of every source picture; it counts when the right garment is the nearest, or
among the five nearest. Key points, not masks, cut out both sides, so that both are cut alike and
every data set can be scored. The pair's own target is never a candidate: it would be found by its
pose.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import resize
from pcdms_data.types import InputError, Keypoints

SIDE = 224
"""Height and width of the region as it is embedded."""
GREY = 128
"""What stands outside the region: zero after the scaling of most networks."""
TORSO = (2, 5, 11, 8)
"""Right shoulder, left shoulder, left hip, right hip: the corners of the upper body."""
LIMBS = ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13))
HALF_WIDTH = 0.15
"""Half the width of a limb, in lengths of the upper body."""
LEAST_BODY = 4.0
"""Pixels of upper body below which a region holds nothing to recognise."""


def garment_region(pose: Keypoints) -> NDArray[np.bool_] | None:
    """Return the clothed region (H, W) of the frame `pose.size`; None where it cannot be told.

    It is the quadrilateral of shoulders and hips and a bar along every limb whose ends are
    visible, all widened by `HALF_WIDTH`. Shoulders and hips must be visible: with one side alone,
    as in a view from the side, its shoulder and hip stand for both.
    """
    sides = [pair for pair in ((2, 8), (5, 11)) if pose.visible[list(pair)].all()]
    if not sides:
        return None
    lengths = [float(np.linalg.norm(pose.xy[a] - pose.xy[b])) for a, b in sides]
    body = max(lengths)
    if body < LEAST_BODY:
        return None
    canvas = np.zeros(pose.size, np.uint8)
    width = max(round(2 * HALF_WIDTH * body), 1)
    corners = [pose.xy[j] for j in TORSO if pose.visible[j]]
    hull = cv2.convexHull(np.rint(corners).astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, 1)
    cv2.polylines(canvas, [hull], True, 1, width)
    for a, b in LIMBS:
        if pose.visible[a] and pose.visible[b]:
            start, end = (tuple(int(v) for v in np.rint(pose.xy[j])) for j in (a, b))
            cv2.line(canvas, start, end, 1, width)
    region = np.asarray(canvas > 0)
    return region if region.any() else None


def garment_picture(
    pixels: NDArray[np.uint8], region: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Return the region of a picture (H, W, 3), centred in a grey square of `SIDE` pixels.

    Without a region it is grey alone.
    """
    if region is None:
        return np.full((SIDE, SIDE, 3), GREY, np.uint8)
    if pixels.shape[:2] != region.shape:
        raise InputError(f"a region of {region.shape} for a picture {pixels.shape}")
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = np.where(region[box][:, :, None], pixels[box], np.uint8(GREY))
    side = max(cut.shape[:2])
    square = np.full((side, side, 3), GREY, np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    resized: NDArray[np.uint8] = resize(square, (SIDE, SIDE), "pil-bicubic-u8")
    return resized


def group_ranks(
    queries: NDArray[np.float32],
    groups: Sequence[str],
    candidates: NDArray[np.float32],
    candidate_groups: Sequence[str],
    barred: Sequence[int],
) -> NDArray[np.float64]:
    """Return the rank (N,) of each query's own group among all groups, 1 for the nearest.

    `queries` (N, D) and `candidates` (M, D) are embeddings, compared by cosine around the mean of
    the candidates; a group is as near as its nearest candidate. `barred` holds the index of the
    candidate that a query may not find, or -1. Groups that are equally near share the mean of
    their ranks, so that a constant picture cannot win. NaN where no candidate of the own group is
    left. Raises InputError for fewer than two groups.
    """
    names = sorted(set(candidate_groups))
    if len(names) < 2:
        raise InputError(f"{len(names)} garment to choose from, expected at least 2")
    number = {name: i for i, name in enumerate(names)}
    middle = candidates.astype(np.float64).mean(0)
    similarity = _unit(queries - middle) @ _unit(candidates - middle).T
    for row, column in enumerate(barred):
        if column >= 0:
            similarity[row, column] = -np.inf
    nearest = np.full((len(queries), len(names)), -np.inf)
    for column, name in enumerate(candidate_groups):
        own = nearest[:, number[name]]
        np.maximum(own, similarity[:, column], out=own)
    ranks = np.full(len(queries), np.nan)
    for row, group in enumerate(groups):
        mine = nearest[row, number[group]] if group in number else -np.inf
        if np.isfinite(mine):
            equal = np.isclose(nearest[row], mine, rtol=0, atol=1e-9)
            better = int(((nearest[row] > mine) & ~equal).sum())
            ranks[row] = 1 + better + (int(equal.sum()) - 1) / 2
    return ranks


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float64] = rows / np.where(lengths == 0, 1, lengths)
    return found
