"""Poses as CFLD sees them: a drawing of lines and dots, and one Gaussian per joint.

Source: YanzuoLu/CFLD:pose_utils.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.heat_maps import gaussian_maps, joints_on
from pcdms_data.pose_drawing import COLOURS, LIMB_DIMMING, LIMBS
from pcdms_data.types import K, Keypoints

THICKNESS, RADIUS = 2, 3
"""Of a limb and of a joint, pixels of the canvas whatever its size."""
CHANNELS = 3 + K
FAR = 16_384
"""Joints beyond are drawn here, where OpenCV can still count; nothing of them is seen."""


def drawing(pose: Keypoints, canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the skeleton on black, RGB uint8 (H, W, 3): limbs in dimmed colours, joints on top."""
    joints, present = joints_on(pose, canvas)
    points = [(int(x), int(y)) for x, y in np.clip(joints, -FAR, FAR)]
    picture = np.zeros((*canvas, 3), dtype=np.uint8)
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if present[start] and present[end]:
            red, green, blue = (round(level * LIMB_DIMMING) for level in colour)
            cv2.line(
                picture, points[start], points[end], (red, green, blue), THICKNESS, cv2.LINE_AA
            )
    for point, colour, there in zip(points, COLOURS, present, strict=True):
        if there:
            cv2.circle(picture, point, RADIUS, colour, -1, cv2.LINE_AA)
    return picture


def pose_tensor(pose: Keypoints, canvas: tuple[int, int]) -> NDArray[np.float32]:
    """Return float32 (21, H, W) in [0, 1]: the drawing, then a heat map per joint."""
    lines = drawing(pose, canvas).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return np.concatenate([lines, gaussian_maps(pose, canvas)])
