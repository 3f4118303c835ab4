"""The pose picture: OpenPose's coloured skeleton, drawn once for everybody."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError, K

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""The 17 limbs as pairs of joints, in drawing order."""

COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""RGB colour of joint k, and of limb k."""

LIMB_DIMMING = 0.6
REFERENCE_HEIGHT = 512
REFERENCE_WIDTH = 4.0  # half width of a limb and radius of a dot, pixels at REFERENCE_HEIGHT

_SHIFT = 4  # coordinates go to OpenCV in sixteenths of a pixel
_ANGLES = np.arange(0.0, 360.0, 10.0) * (math.pi / 180)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def draw_pose(
    xy: NDArray[np.floating],
    visible: NDArray[np.bool_],
    frame: tuple[int, int],
    canvas: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return the skeleton on black, RGB uint8 (H, W, 3) of size `canvas` = (H, W).

    `xy` (18, 2) are pixels of a picture of size `frame` = (H, W), `visible` (18,) says which joints
    exist. Limbs are filled ellipses in dimmed colours, joints full-colour dots on top; the width
    follows the canvas height (4 pixels at 512) but is at least 1 pixel, with soft edges. A joint
    outside the frame is drawn as far as the canvas reaches; one at infinity or farther than
    two canvases away is left out together with its limbs. Raises InputError on other shapes.
    Source: tencent-ailab/PCDMs, the drawing of its demonstration.
    """
    if xy.shape != (K, 2) or visible.shape != (K,):
        raise InputError(
            f"key points have shapes {xy.shape} and {visible.shape}, expected ({K}, 2) and ({K},)"
        )
    if min(*frame, *canvas) < 1:
        raise InputError(f"a pose of frame {frame} cannot be drawn on a canvas {canvas}")
    height, width = canvas
    points = np.asarray(xy, dtype=np.float64) * (width / frame[1], height / frame[0])
    reach = 2.0 * max(height, width)
    drawable = np.isfinite(points).all(axis=1) & (np.abs(np.nan_to_num(points)) < reach).all(axis=1)
    present = np.asarray(visible, dtype=bool) & drawable
    radius = max(1.0, REFERENCE_WIDTH * height / REFERENCE_HEIGHT)

    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if present[start] and present[end]:
            _fill(picture, _limb(points[start], points[end], radius), _dimmed(colour))
    for joint, colour in enumerate(COLOURS):
        if present[joint]:
            _fill(picture, points[joint] + radius * _CIRCLE, colour)
    return picture


def _dimmed(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour of a limb, 0.6 of the full one (153, 102, 51 for 255, 170, 85)."""
    red, green, blue = (round(level * LIMB_DIMMING) for level in colour)
    return red, green, blue


def _limb(
    start: NDArray[np.float64], end: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """Return the outline of the ellipse whose long axis runs from `start` to `end`."""
    centre = (start + end) / 2
    half = (end - start) / 2
    length = float(np.hypot(half[0], half[1]))
    if length < radius:
        # A limb seen end on: a disc, instead of an ellipse of no length that would vanish.
        return centre + radius * _CIRCLE
    across = np.array([-half[1], half[0]]) * (radius / length)
    return centre + _CIRCLE[:, :1] * half + _CIRCLE[:, 1:] * across


def _fill(
    picture: NDArray[np.uint8], outline: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    """Fill a convex outline with soft edges; OpenCV clips it to the picture."""
    fixed = np.rint(outline * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(picture, fixed, colour, lineType=cv2.LINE_AA, shift=_SHIFT)
