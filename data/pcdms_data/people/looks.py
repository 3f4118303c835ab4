"""Framing and background of the two looks: a fashion studio and a street seen by six cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.draws import Draws
from pcdms_data.people.identity import Identity
from pcdms_data.people.mesh import Floats

Array = NDArray[np.float32]

CAMERAS = 6
"""Cameras of the street look."""

FRAMINGS = ("full", "knee", "thigh", "headless", "legs")
_FASHION_MIX = (0.22, 0.14, 0.49, 0.12, 0.03)
_STREET_MIX = (0.92, 0.08, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Camera:
    """Orthographic: a point (x, y) metres lies at column `centre + x scale`, row `floor - y scale`.

    Pixels; the corner of the picture is (0, 0).
    """

    scale: float
    centre: float
    floor: float


def frame_camera(
    draw: Draws, look: str, joints: Floats, extent: tuple[float, float], size: tuple[int, int]
) -> Camera:
    """Choose what part of the person fills the picture of `size` = (H, W).

    Args:
        draw: the random values of this view.
        look: "fashion" or "street".
        joints: (18, 3) key points in the camera frame, metres.
        extent: lowest and highest y of the person, metres.
        size: of the picture.
    """
    framing = draw.pick(FRAMINGS, _FASHION_MIX if look == "fashion" else _STREET_MIX)
    low, high = extent
    hip = float(joints[[8, 11], 1].mean())
    knee = float(joints[[9, 12], 1].mean())
    neck = float(joints[1, 1])
    crown = min(high, neck + 0.32)
    leg = max(hip - knee, 0.2)
    margin = draw.uniform(0.02, 0.09)
    if framing == "full":
        top, bottom = high, low - 0.03 * (high - low)
    elif framing == "knee":
        top, bottom = crown, knee - draw.uniform(0.12, 0.35) * leg
    elif framing == "thigh":
        top, bottom = crown, hip - draw.uniform(0.35, 0.95) * leg
    elif framing == "headless":
        top, bottom = neck + draw.uniform(-0.02, 0.13), hip - draw.uniform(0.1, 0.7) * leg
        margin = 0.0
    else:
        top, bottom = hip + draw.uniform(0.05, 0.25), low - 0.02
        margin = 0.0
    shrink = draw.uniform(0.96, 1.0) if look == "fashion" else draw.uniform(0.94, 1.0)
    scale = size[0] * (1 - margin) * shrink / max(top - bottom, 0.3)
    first_row = size[0] * (margin + (1 - shrink) * (1 - margin) * 0.5)
    middle = float(joints[[1, 8, 11], 0].mean())
    jitter = draw.normal(0.0, 0.01 if look == "fashion" else 0.03) * size[1]
    return Camera(scale, size[1] * 0.5 + jitter - middle * scale, first_row + top * scale)


def fashion_background(identity: Identity, size: tuple[int, int], feet: Floats | None) -> Array:
    """Return the studio, float32 (H, W, 3): a grey wall, a darker floor, a shadow at the feet.

    `feet` (2, 2) are the column and row of both ankles and None hides the shadow.
    """
    height, width = size
    row = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(height)
    grey = np.float32(identity.backdrop) + np.float32(0.05) * (1 - row)
    grey = grey - np.float32(0.5) * np.clip(row - np.float32(0.88), 0, 1)
    plane = np.repeat(np.minimum(grey, 1)[:, None], width, axis=1)
    if feet is not None:
        plane = plane * contact_shadow(size, feet)
    return np.repeat(plane[:, :, None], 3, axis=2)


def contact_shadow(size: tuple[int, int], feet: Floats) -> Array:
    """Return the factor of a soft ellipse under the feet (at most 35 % dark), float32 (H, W)."""
    height, width = size
    reach = max(0.09 * height, 0.6 * abs(float(feet[0, 0] - feet[1, 0])))
    x = (np.arange(width) + 0.5 - float(feet[:, 0].mean())) / reach
    y = (np.arange(height) + 0.5 - float(feet[:, 1].max())) / (0.16 * reach)
    square = (x * x)[None, :] + (y * y)[:, None]
    # A rational bell: exponentials differ in their last bits between processors.
    widened = 1 + square * 0.6
    bell = 1 / (widened * widened * widened)
    return (1 - 0.35 * bell).astype(np.float32)


def street_background(dataset_seed: int, camera: int, draw: Draws, size: tuple[int, int]) -> Array:
    """Return a place before one of the cameras, float32 (H, W, 3): wall, ground, blurred shapes."""
    height, width = size
    palette = Draws.keyed(dataset_seed, 3, camera)
    tones = np.array([_tone(palette) for _ in range(5)], dtype=np.float32)
    horizon = draw.uniform(0.15, 0.5)
    row = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(height)
    ground = np.clip((row - np.float32(horizon)) / np.float32(0.03) + np.float32(0.5), 0, 1)
    plane = tones[0] + ground[:, None, None] * (tones[1] - tones[0])
    plane = np.repeat(plane, width, axis=1)
    for _ in range(4 + int(draw.unit() * 9)):
        top, left = draw.uniform(-0.2, 0.9), draw.uniform(-0.2, 0.95)
        high, wide = draw.uniform(0.08, 0.5), draw.uniform(0.08, 0.6)
        rows = slice(max(0, int(top * height)), max(0, int((top + high) * height)))
        columns = slice(max(0, int(left * width)), max(0, int((left + wide) * width)))
        tone = tones[2 + int(draw.unit() * 3)]
        share = np.float32(draw.uniform(0.25, 0.7))
        plane[rows, columns] += share * (tone - plane[rows, columns])
    coarse = draw.grid(max(height // 8, 2), max(width // 8, 2)).astype(np.float32)
    plane += (stretch(coarse[:, :, None], size) - np.float32(0.5)) * np.float32(0.14)
    return plane


def street_finish(dataset_seed: int, camera: int, draw: Draws, picture: Array) -> Array:
    """Return the picture float32 (H, W, 3) as that camera delivers it: gain, blur and noise."""
    size = (picture.shape[0], picture.shape[1])
    gains = Draws.keyed(dataset_seed, 4, camera)
    gain = np.array([gains.uniform(0.9, 1.1) for _ in range(3)], dtype=np.float32)
    factor = draw.uniform(1.0, 2.2)
    small = (max(round(size[0] / factor), 4), max(round(size[1] / factor), 4))
    out = stretch(stretch(picture * gain, small), size)
    noise = draw.grid(*size, 3).astype(np.float32) + draw.grid(*size, 3).astype(np.float32)
    # The sum of two uniform draws has variance 1/6.
    return out + (noise - np.float32(1)) * np.float32(0.012 * 6**0.5)


def stretch(picture: Array, size: tuple[int, int]) -> Array:
    """Return float32 (H, W, C) stretched to `size`, linear between pixel centres."""
    for axis in (0, 1):
        count, wanted = picture.shape[axis], size[axis]
        at = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0, count - 1)
        low = np.minimum(at.astype(np.int64), max(count - 2, 0))
        share = (at - low).astype(np.float32)
        share = share[:, None, None] if axis == 0 else share[None, :, None]
        first = np.take(picture, low, axis=axis)
        picture = first + share * (np.take(picture, np.minimum(low + 1, count - 1), axis) - first)
    return picture


def _tone(draw: Draws) -> list[float]:
    grey = draw.uniform(0.25, 0.8)
    return [min(max(grey + draw.uniform(-0.06, 0.06), 0.05), 0.95) for _ in range(3)]
