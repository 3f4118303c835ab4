"""Poses as a coloured drawing and one distance map per limb: what NTED and PIDM see.

Source: RenYurui/Neural-Texture-Extraction-Distribution:data/fashion_data.py.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.pose_drawing import COLOURS, LIMBS
from pcdms_data.types import Keypoints

RADIUS = 4
"""Radius of a joint and half width of a limb, pixels of the canvas whatever its size."""
CHANNELS = 3 + len(LIMBS)


def skeleton_maps(pose: Keypoints, canvas: tuple[int, int]) -> NDArray[np.float32]:
    """Return float32 (20, H, W) in [0, 1]: the drawing, then the distance to each limb.

    Red and blue of the drawing are swapped, as published. Distances count steps along rows and
    columns in thirds of a grey level; where a limb lacks a joint its map is all ones.
    """
    xy = pose.xy.astype(np.float64)
    present = pose.visible & np.isfinite(xy).all(axis=1)
    xy = np.where(present[:, None], xy, 0.0) * (canvas[1] / pose.size[1], canvas[0] / pose.size[0])
    outlines = [
        _limb(xy[start], xy[end]) if present[start] and present[end] else None
        for start, end in LIMBS
    ]
    drawing = _drawing(xy, present, outlines, canvas)
    distances = [_distance(outline, canvas) for outline in outlines]
    levels = np.stack([*drawing[:, :, ::-1].transpose(2, 0, 1), *distances])
    return levels.astype(np.float32) / np.float32(255)


def _limb(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the outline (N, 2) of the ellipse over a limb, every part of it truncated."""
    centre = (int((start[0] + end[0]) / 2), int((start[1] + end[1]) / 2))
    along = start - end
    half = int(math.hypot(*along) / 2)
    angle = int(math.degrees(math.atan2(along[1], along[0])))
    return np.array(cv2.ellipse2Poly(centre, (half, RADIUS), angle, 0, 360, 1), dtype=np.int32)


def _drawing(
    xy: NDArray[np.float64],
    present: NDArray[np.bool_],
    outlines: list[NDArray[np.int32] | None],
    canvas: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return discs with half transparent limbs over them, uint8 (H, W, 3)."""
    picture = np.zeros((*canvas, 3), dtype=np.uint8)
    for joint, colour in enumerate(COLOURS):
        if present[joint]:
            place = (int(xy[joint, 0]), int(xy[joint, 1]))
            cv2.circle(picture, place, RADIUS, colour, thickness=-1)
    for outline, colour in zip(outlines, COLOURS, strict=False):
        if outline is not None:
            covered = picture.copy()
            cv2.fillConvexPoly(covered, outline, colour)
            picture = np.asarray(cv2.addWeighted(picture, 0.4, covered, 0.6, 0), dtype=np.uint8)
    return picture


def _distance(outline: NDArray[np.int32] | None, canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the distance of every pixel to a limb in grey levels, uint8 (H, W)."""
    if outline is None:
        return np.full(canvas, 255, dtype=np.uint8)
    outside = np.full(canvas, 255, dtype=np.uint8)
    cv2.fillConvexPoly(outside, outline, 0)
    steps = cv2.distanceTransform(outside, cv2.DIST_L1, 3)
    return np.clip(steps / 3, 0, 255).astype(np.uint8)
