"""How PIDM sees pictures and poses: squashed onto the canvas, drawn for it, cut into cells.

Source: ankanbhunia/PIDM:predict.py, data/fashion_data.py. Cells are this project's, for small
networks: `patch` x `patch` pixels are one position with 3 * patch^2 channels (1: pixels, as
published), so that a network of few channels works on fewer positions.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pcdms_baselines.learned import to_planes
from pcdms_baselines.skeleton_maps import skeleton_maps
from pcdms_data.images import resize
from pcdms_data.types import Keypoints

KERNEL = "pil-bicubic-u8"
DRAWN_ROWS = 256
"""Rows of the canvas on which limbs of the published width are drawn."""

Size = tuple[int, int]


def squashed(pixels: NDArray[np.uint8], canvas: Size) -> NDArray[np.float32]:
    """Return a picture (H, W, 3) on the canvas as (3, H', W') in [-1, 1]."""
    resized: NDArray[np.uint8] = resize(pixels, canvas, KERNEL)
    return to_planes(resized)


def drawn_pose(pose: Keypoints, canvas: Size) -> NDArray[np.float32]:
    """Return the skeleton's maps (20, H', W') in [0, 1].

    For a small canvas they are drawn as large as fits into the published 256 rows, then averaged:
    else limbs, whose width is fixed, would cover the person.
    """
    times = max(1, DRAWN_ROWS // canvas[0])
    maps = skeleton_maps(pose, (canvas[0] * times, canvas[1] * times))
    if times == 1:
        return maps
    size = (canvas[1], canvas[0])
    return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in maps])


def to_cells(pictures: Tensor, patch: int) -> Tensor:
    """Return pictures (B, 3, H, W) as cells (B, 3 * patch^2, H / patch, W / patch)."""
    return F.pixel_unshuffle(pictures, patch) if patch > 1 else pictures


def to_pixels(cells: Tensor, patch: int) -> Tensor:
    """Return cells as pictures: the way back from `to_cells`."""
    return F.pixel_shuffle(cells, patch) if patch > 1 else cells


def pose_cells(pose: Tensor, patch: int) -> Tensor:
    """Return a pose (B, 20, H, W) as cells (B, 5 * patch^2, H / patch, W / patch).

    It is averaged to half the size first; at patch 1 it stays as it is.
    """
    return to_cells(F.avg_pool2d(pose, 2), patch // 2) if patch > 1 else pose


def patch_of(channels: int) -> int:
    """Return the side in pixels of cells with so many channels."""
    return math.isqrt(channels // 3)
