"""From the joints of two pose networks to the 18 of this package, the missing ones included.

Both networks always give a place for every joint; a score below the threshold makes it missing, and
so does a place outside the picture. Neither network knows a neck: it is the middle of the shoulders
and missing unless both are visible.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError, K, Keypoints

NECK = 1
SHOULDERS = (2, 5)
COCO_17 = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Joint -> its number among the 17 of COCO (nose, left eye, right eye, ...); -1 is the neck."""
BLAZEPOSE_33 = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""Joint -> its number among the 33 of BlazePose; -1 is the neck."""
DEFAULT_THRESHOLD = 0.5


def check_threshold(threshold: float) -> float:
    """Return the threshold; raises InputError outside 0 to 1."""
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold {threshold}, expected a number from 0 to 1")
    return threshold


def to_keypoints(
    xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    order: tuple[int, ...],
    size: tuple[int, int],
    threshold: float = DEFAULT_THRESHOLD,
) -> Keypoints:
    """Return the 18 joints of a network's J points.

    `xy` (J, 2) pixels of a picture of `size` = (H, W), pixel centres at whole numbers; `scores`
    (J,) in 0 to 1; `order` is `COCO_17` or `BLAZEPOSE_33`. A joint with a score below `threshold`,
    or outside the picture, is missing (its place is 0, 0).
    Source: the orders of the COCO key points, of google-ai-edge/mediapipe and of OpenPose.
    """
    check_threshold(threshold)
    taken = np.array(order)
    places = np.asarray(xy, dtype=np.float32)[taken]
    height, width = size
    limit = np.array([width, height], dtype=np.float32) - 0.5
    inside = np.all((places >= -0.5) & (places < limit), axis=1)
    visible = inside & (np.asarray(scores)[taken] >= threshold)
    right, left = SHOULDERS
    visible[NECK] = visible[right] and visible[left]
    places[NECK] = (places[right] + places[left]) / 2
    return Keypoints(np.where(visible[:, None], places, np.float32(0)), visible, size)


def nothing_found(size: tuple[int, int]) -> Keypoints:
    """Return key points with every joint missing: no person was found in a picture of `size`."""
    return Keypoints(np.zeros((K, 2), np.float32), np.zeros(K, np.bool_), size)
