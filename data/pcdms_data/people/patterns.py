"""Cloth patterns and marks as functions of texture coordinates in metres.

Built from additions, products, floors and integer hashes only: unlike sines and arc tangents these
give the same bits on every processor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.identity import Fabric, Logo

Array = NDArray[np.float32]
_Weight = Callable[[Array, Array, int], Array]


def fabric_colour(fabric: Fabric, u: Array, v: Array) -> Array:
    """Return the cloth's colour, float32 (N, 3) in 0 to 1, at `u` (around), `v` (down) metres."""
    first = np.array(fabric.first, dtype=np.float32)
    second = np.array(fabric.second, dtype=np.float32)
    if fabric.pattern == "plain":
        return np.broadcast_to(first, (len(u), 3))
    if fabric.pattern == "gradient":
        weight = np.clip(v * np.float32(1.6) + np.float32(0.1), 0, 1)
    else:
        phase = np.float32(fabric.phase)
        frequency = np.float32(fabric.frequency)
        weight = _WEIGHTS[fabric.pattern](u * frequency + phase, v * frequency + phase, fabric.key)
    return first + weight[:, None] * (second - first)


def logo_mask(logo: Logo, x: Array, y: Array) -> NDArray[np.bool_]:
    """Return where the mark covers; `x`, `y` run from -1 to 1 over it, y downwards."""
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    if logo.kind == "disc":
        return inside & (x * x + y * y < 1) & (x * x + y * y > (0.3 if logo.key & 1 else -1))
    if logo.kind == "bitmap":
        return inside & _bitmap(logo.key, x, y)
    if logo.kind == "text":
        column = np.floor((x + 1) * 7).astype(np.int64)
        row = np.floor((y + 1) * 4.5).astype(np.int64)
        ink = (lattice(column, row // 3, logo.key) < 0.68) & (row % 3 != 2)
        return inside & (np.abs(y) < 0.67) & ink
    return np.zeros(len(x), dtype=bool)


def _bitmap(key: int, x: Array, y: Array) -> NDArray[np.bool_]:
    """8 x 8 cells, left-right symmetric, four bits of `key` per row; never empty or full."""
    column = np.floor(np.abs(x) * 4).astype(np.int64)
    row = np.floor((y + 1) * 4).astype(np.int64)
    bits = (key & 0xFFFFFFFF) | 0x00018000
    cell = np.clip(row * 4 + column, 0, 31)
    return (bits >> cell) & 1 == 1


def lattice(i: NDArray[np.int64], j: NDArray[np.int64], key: int) -> Array:
    """Return a hash of the integer cell (i, j) and `key`, float32 in [0, 1)."""
    h = (i * 374761393 + j * 668265263 + (key & 0xFFFFFF) * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) >> 8).astype(np.float32) * np.float32(1 / (1 << 24))


def value_noise(u: Array, v: Array, key: int) -> Array:
    """Return smooth noise in 0 to 1 with one random value per unit cell corner."""
    i, j = np.floor(u), np.floor(v)
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    p, q = i.astype(np.int64), j.astype(np.int64)
    low_i, low_j = int(p.min(initial=0)), int(q.min(initial=0))
    p, q = p - low_i, q - low_j
    # Hash the corners once, not four times per pixel.
    gi, gj = np.meshgrid(
        np.arange(int(p.max(initial=0)) + 2), np.arange(int(q.max(initial=0)) + 2), indexing="ij"
    )
    table = lattice(gi + low_i, gj + low_j, key)
    flat, width = table.ravel(), table.shape[1]
    at = p * width + q
    near = flat[at] + (flat[at + 1] - flat[at]) * b
    far = flat[at + width] + (flat[at + width + 1] - flat[at + width]) * b
    return near + (far - near) * a


def angle(y: Array, x: Array) -> Array:
    """Return the angle of (x, y) in radians, float32 (N,), within 0.0003 of the arc tangent.

    A polynomial: library arc tangents differ in their last bits between processors.
    """
    ax, ay = np.abs(x), np.abs(y)
    high = np.maximum(np.maximum(ax, ay), np.float32(1e-9))
    a = np.minimum(ax, ay) / high
    s = a * a
    r = ((np.float32(-0.0464964749) * s + np.float32(0.15931422)) * s - np.float32(0.327622764)) * s
    r = r * a + a
    r = np.where(ay > ax, np.float32(np.pi / 2) - r, r)
    r = np.where(x < 0, np.float32(np.pi) - r, r)
    return np.where(y < 0, -r, r)


def _half(t: Array) -> Array:
    return (t - np.floor(t) < 0.5).astype(np.float32)


def _horizontal(u: Array, v: Array, key: int) -> Array:
    return _half(v)


def _vertical(u: Array, v: Array, key: int) -> Array:
    return _half(u)


def _checks(u: Array, v: Array, key: int) -> Array:
    return np.abs(_half(u) - _half(v))


def _dots(u: Array, v: Array, key: int) -> Array:
    row = np.floor(v)
    shifted = u + 0.5 * (row - 2 * np.floor(row * 0.5))
    x, y = shifted - np.floor(shifted) - 0.5, v - row - 0.5
    return (x * x + y * y < 0.1).astype(np.float32)


def _noise(u: Array, v: Array, key: int) -> Array:
    rough = value_noise(u, v, key)
    fine = value_noise(u * np.float32(2.6), v * np.float32(2.6), key + 1)
    return np.clip((rough + 0.5 * fine) * np.float32(1.5) - np.float32(0.62), 0, 1)


def _floral(u: Array, v: Array, key: int) -> Array:
    """One four-petalled flower per cell, moved about inside it, with a hole in the middle."""
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    x = u - i - 0.32 - 0.36 * lattice(i, j, key)
    y = v - j - 0.32 - 0.36 * lattice(i, j, key + 7)
    x, y = x.astype(np.float32), y.astype(np.float32)
    square = x * x + y * y + np.float32(1e-6)
    lobes = np.abs(x * x - y * y) / square
    return ((square < 0.095 * (0.3 + 0.7 * lobes)) & (square > 0.006)).astype(np.float32)


def _plaid(u: Array, v: Array, key: int) -> Array:
    fine = (u * 2 - np.floor(u * 2) < 0.12) | (v * 2 - np.floor(v * 2) < 0.12)
    wide = np.float32(0.42) * (_half(u) + _half(v))
    return np.where(fine, np.float32(1.0) - wide, wide).astype(np.float32)


_WEIGHTS: dict[str, _Weight] = {
    "horizontal_stripes": _horizontal,
    "vertical_stripes": _vertical,
    "checks": _checks,
    "dots": _dots,
    "noise": _noise,
    "floral": _floral,
    "plaid": _plaid,
}
