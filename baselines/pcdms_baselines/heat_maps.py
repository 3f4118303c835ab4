"""Poses as one map per joint: single pixels or Gaussians. DPTN, PATN and many others see them.

Sources: tengteng95/Pose-Transfer:tool/generate_pose_map_fashion.py (and issue 10 there, on the
single pixels); PangzeCheung/Dual-task-Pose-Transformer-Network:util/pose_utils.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import K, Keypoints

SIGMA = 6.0
"""Width of the Gaussians in pixels of the canvas they lie on, whatever its size."""


def joints_on(
    pose: Keypoints, canvas: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (x, y) int64 (18, 2) of the joints on `canvas` = (H, W), truncated, and which exist.

    In double precision: 11 / 176 * 256 is 16, and must not become 15.
    """
    xy = pose.xy.astype(np.float64)
    present = pose.visible & np.isfinite(xy).all(axis=1)
    frame = np.array([pose.size[1], pose.size[0]], dtype=np.float64)
    scaled = np.where(present[:, None], xy, 0.0) / frame * np.array([canvas[1], canvas[0]])
    return np.trunc(scaled).astype(np.int64), present


def gaussian_maps(
    pose: Keypoints, canvas: tuple[int, int], sigma: float = SIGMA
) -> NDArray[np.float32]:
    """Return float32 (18, H, W): 1 at each joint, falling off as a Gaussian; 0 where it is missing.

    Joints are truncated to whole pixels; one outside the canvas still reaches into it.
    """
    joints, present = joints_on(pose, canvas)
    rows = np.arange(canvas[0], dtype=np.float32)
    columns = np.arange(canvas[1], dtype=np.float32)
    maps = np.zeros((K, *canvas), dtype=np.float32)
    for joint in np.flatnonzero(present):
        x, y = np.float32(joints[joint, 0]), np.float32(joints[joint, 1])
        square = (rows[:, None] - y) ** 2 + (columns[None] - x) ** 2
        maps[joint] = np.exp(-square / np.float32(2 * sigma**2))
    return maps


def one_hot_maps(pose: Keypoints, canvas: tuple[int, int]) -> NDArray[np.float32]:
    """Return float32 (18, H, W): 1 at each joint's pixel and 0 elsewhere.

    A joint that is missing or outside the canvas leaves an empty map.
    """
    joints, present = joints_on(pose, canvas)
    inside = (joints >= 0).all(axis=1) & (joints[:, 0] < canvas[1]) & (joints[:, 1] < canvas[0])
    maps = np.zeros((K, *canvas), dtype=np.float32)
    for joint in np.flatnonzero(present & inside):
        maps[joint, joints[joint, 1], joints[joint, 0]] = 1.0
    return maps
