"""Light: one brightness per vertex, and darkening where something stands close in front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Array = NDArray[np.float32]
Ints = NDArray[np.int64]

LIGHT = (-0.35, 0.55, 0.75)
_LENGTH = (LIGHT[0] ** 2 + LIGHT[1] ** 2 + LIGHT[2] ** 2) ** 0.5
_OCCLUSION = 0.11
_REACH = 0.02
_NEAR, _FAR = 0.04, 0.50


def brightness(normals: Floats, two_sided: NDArray[np.bool_]) -> Array:
    """Return the factor on the colour at vertices with unit `normals` (V, 3), float32 (V,).

    Vertices of sheets seen from behind (`two_sided`) are lit as if the sheet faced the camera.
    """
    x, y, z = normals[:, 0], normals[:, 1], normals[:, 2]
    flip = np.where(two_sided & (z < 0), -1.0, 1.0)
    facing = flip * (x * LIGHT[0] + y * LIGHT[1] + z * LIGHT[2]) / _LENGTH
    lit = 0.5 + 0.55 * np.clip(0.75 * facing + 0.25, 0, 1)
    return (lit * (0.82 + 0.18 * np.clip(flip * z, 0, 1))).astype(np.float32)


def occlusion(depth: Array, pixel: Ints, metres_per_pixel: float) -> Array:
    """Return the factor on the colour of covered pixels, float32 (N,).

    Args:
        depth: (H, W) metres towards the camera, very small where empty.
        pixel: (N,) row * W + column of the covered pixels.
        metres_per_pixel: scale of the canvas.

    Three neighbours about 2 cm away (up left, up right, further up) darken by 11 % each where they
    are 4 to 50 cm nearer.
    """
    height, width = depth.shape
    step = max(1, round(_REACH / metres_per_pixel))
    rows, columns = np.arange(height), np.arange(width)
    nearer = np.zeros(depth.shape, dtype=np.uint8)
    for down, right in ((-step, -step), (-step, step), (-2 * step, 0)):
        moved = depth[np.clip(rows + down, 0, height - 1)]
        if right:
            moved = moved[:, np.clip(columns + right, 0, width - 1)]
        gap = moved - depth
        nearer += (gap > _NEAR) & (gap < _FAR)
    factor = np.ones(4, dtype=np.float32)
    for count in (1, 2, 3):
        factor[count] = factor[count - 1] - np.float32(_OCCLUSION)
    return factor[nearer.ravel()[pixel]]
