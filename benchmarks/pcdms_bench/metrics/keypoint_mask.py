"""The person mask that Def-GAN and PATN build from key points, where no exact mask exists."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

LINKS = (
    (2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13),
    (13, 14), (2, 1), (1, 15), (15, 17), (1, 16), (16, 18), (2, 17), (2, 18), (9, 12), (12, 6),
    (9, 3), (17, 18),
)  # fmt: skip
"""Pairs of joints, counted from 1 in OpenPose order."""


def keypoint_mask(
    xy: NDArray[np.float32], visible: NDArray[np.bool_], frame: tuple[int, int], radius: int = 4
) -> NDArray[np.bool_]:
    """Return the mask (H, W) of `frame`: limbs and joints drawn thick, then closed by 5x5.

    `xy` (18, 2) are pixels in that frame. Each link with both ends visible is a rectangle of
    half-width `radius` around its segment, each visible joint a disc; links of length 0 are
    skipped. The radius does not grow with the frame. Source:
    tengteng95/Pose-Transfer:tool/pose_utils.py.
    """
    canvas = np.zeros(frame, np.uint8)
    for a, b in ((a - 1, b - 1) for a, b in LINKS):
        if not (visible[a] and visible[b]):
            continue
        start, end = xy[a].astype(np.float64), xy[b].astype(np.float64)
        length = math.hypot(*(end - start))
        if length == 0:
            continue
        side = np.array([-(end - start)[1], (end - start)[0]]) * (radius / length)
        corners = np.array([start + side, end + side, end - side, start - side])
        cv2.fillConvexPoly(canvas, np.rint(corners).astype(np.int32), 1)
    rows, columns = np.mgrid[: frame[0], : frame[1]]
    for (x, y), seen in zip(xy, visible, strict=True):
        if seen:
            canvas[(columns - round(float(x))) ** 2 + (rows - round(float(y))) ** 2
                   <= radius * radius] = 1  # fmt: skip
    closed = cv2.morphologyEx(canvas, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return np.asarray(closed > 0)
