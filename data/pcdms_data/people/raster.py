"""A triangle rasteriser in NumPy: which triangle is nearest at the centre of every pixel.

Projected vertices are integers (1/256 pixel, and integer depth), so that coverage is exact and the
same on every machine: float64 holds every product of such integers exactly, and the only rounded
numbers are quotients, which IEEE rounds alike everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUBPIXEL = 256
"""Steps of a projected coordinate per pixel."""

TRIANGLE_BITS = 14
_TRIANGLE_MASK = (1 << TRIANGLE_BITS) - 1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fragments:
    """The visible surface, one entry per covered pixel in row-major order (N entries).

    `pixel` int64 = row * W + column; `triangle` int64 index into the faces given; `b1`, `b2`
    float32 weights of the triangle's second and third vertex at the pixel centre (the first has
    1 - b1 - b2); `depth` int64 in the units of the given depths, larger is nearer.
    """

    pixel: Ints
    triangle: Ints
    b1: NDArray[np.float32]
    b2: NDArray[np.float32]
    depth: Ints
    size: tuple[int, int]

    def depth_map(self, empty: int) -> Ints:
        """Return the depth of every pixel, int64 (H, W), with `empty` where nothing is drawn."""
        out = np.full(self.size[0] * self.size[1], empty, dtype=np.int64)
        out[self.pixel] = self.depth
        return out.reshape(self.size)


@dataclass(frozen=True, eq=False)
class _Edges:
    """Half planes of the kept triangles: inside where slope * X + Y * rise + offset >= 0."""

    slope: Floats
    rise: Floats
    offset: Floats


def rasterise(
    xy: Ints, depth: Ints, faces: Ints, size: tuple[int, int], two_sided_from: int
) -> Fragments:
    """Return the nearest triangle of every pixel whose centre it covers (edges included).

    Args:
        xy: int64 (V, 2) projected vertices, x to the right and y downwards, 1/256 pixel.
        depth: int64 (V,), larger is nearer, below 2**40.
        faces: (F, 3) vertex numbers, at most 2**14; anticlockwise on the screen faces the camera.
        size: (H, W) of the canvas in pixels.
        two_sided_from: triangles of this number and above are drawn from behind too.

    Equal depth goes to the lower triangle number. Triangles without area draw nothing.
    """
    corners = xy[faces].astype(np.float64)
    number, corners, area = _kept(corners, size, two_sided_from)
    z = depth[faces[number]].astype(np.float64)
    x0, y0 = corners[:, 0, 0], corners[:, 0, 1]
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # Weights are affine in the pixel: b1 = g1 . (p - p0), b2 = g2 . (p - p0).
    g1 = np.stack((e2[:, 1], -e2[:, 0]), 1) / area[:, None]
    g2 = np.stack((-e1[:, 1], e1[:, 0]), 1) / area[:, None]
    dz1, dz2 = z[:, 1] - z[:, 0], z[:, 2] - z[:, 0]
    gz = g1 * dz1[:, None] + g2 * dz2[:, None]
    triangle, row, left, count = _spans(corners, area, size)
    keep = count > 0
    triangle, row, left, count = triangle[keep], row[keep], left[keep], count[keep]
    px = left * SUBPIXEL + SUBPIXEL // 2 - x0[triangle]
    py = row * SUBPIXEL + SUBPIXEL // 2 - y0[triangle]
    z_left = z[triangle, 0] + gz[triangle, 0] * px + gz[triangle, 1] * py
    key, pixel = _fragments(triangle, row, left, count, z_left, gz[:, 0], number, size)
    nearest = np.full(size[0] * size[1], -1, dtype=np.int64)
    np.maximum.at(nearest, pixel, key)
    shown = np.flatnonzero(nearest >= 0)
    key = nearest[shown]
    winner = _TRIANGLE_MASK - (key & _TRIANGLE_MASK)
    slot = np.zeros(len(faces), dtype=np.int64)
    slot[number] = np.arange(len(number))
    t = slot[winner]
    x = (shown % size[1]) * SUBPIXEL + SUBPIXEL // 2 - x0[t]
    y = (shown // size[1]) * SUBPIXEL + SUBPIXEL // 2 - y0[t]
    g = np.concatenate((g1, g2), 1)[t]
    b1, b2 = g[:, 0] * x + g[:, 1] * y, g[:, 2] * x + g[:, 3] * y
    return Fragments(
        shown, winner, b1.astype(np.float32), b2.astype(np.float32), key >> TRIANGLE_BITS, size
    )


def _kept(
    corners: Floats, size: tuple[int, int], two_sided_from: int
) -> tuple[Ints, Floats, Floats]:
    """Numbers, corners (n, 3, 2) and signed double areas of triangles that can cover a pixel."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    # With y downwards an anticlockwise triangle has a negative cross product.
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    ok = area < 0
    ok[two_sided_from:] = area[two_sided_from:] != 0
    low = np.minimum(np.minimum(a, b), c)
    high = np.maximum(np.maximum(a, b), c)
    half = SUBPIXEL // 2
    for axis, pixels in ((0, size[1]), (1, size[0])):
        ok &= (high[:, axis] >= half) & (low[:, axis] <= pixels * SUBPIXEL - half)
        # The box holds a pixel centre only if it reaches the next centre after its lower side.
        next_centre = np.ceil((low[:, axis] - half) / SUBPIXEL) * SUBPIXEL + half
        ok &= next_centre <= high[:, axis]
    number = np.flatnonzero(ok)
    return number, corners[number], area[number]


def _spans(
    corners: Floats, area: Floats, size: tuple[int, int]
) -> tuple[Ints, Floats, Floats, Ints]:
    """One entry per triangle and pixel row: triangle, row, first column, number of columns."""
    half = SUBPIXEL // 2
    ys = corners[:, :, 1]
    top = np.ceil((ys.min(1) - half) / SUBPIXEL)
    bottom = np.floor((ys.max(1) - half) / SUBPIXEL)
    top, bottom = np.maximum(top, 0.0), np.minimum(bottom, size[0] - 1.0)
    rows = np.maximum(bottom - top + 1, 0).astype(np.int64)
    triangle = np.repeat(np.arange(len(rows)), rows)
    start = np.cumsum(rows) - rows
    row = (np.arange(len(triangle)) - start[triangle]) + top[triangle]
    y = row * SUBPIXEL + half
    sign = np.where(area > 0, 1.0, -1.0)
    left = np.zeros(len(triangle))
    right = np.full(len(triangle), size[1] - 1.0)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        p, q = corners[:, i], corners[:, j]
        dx, dy = (q[:, 0] - p[:, 0]) * sign, (q[:, 1] - p[:, 1]) * sign
        # Inside: dx * (Y - py) - dy * (X - px) >= 0, solved for the pixel column.
        constant = dy * (p[:, 0] - half) - dx * p[:, 1]
        safe = np.where(dy == 0, 1.0, dy * SUBPIXEL)
        bound = (constant[triangle] + dx[triangle] * y) / safe[triangle]
        side = dy[triangle]
        np.maximum(left, np.ceil(bound), out=left, where=side < 0)
        np.minimum(right, np.floor(bound), out=right, where=side > 0)
    return triangle, row, left, (right - left + 1).astype(np.int64)


def _fragments(
    triangle: Ints,
    row: Floats,
    left: Floats,
    count: Ints,
    z_left: Floats,
    slope: Floats,
    number: Ints,
    size: tuple[int, int],
) -> tuple[Ints, Ints]:
    """Sort keys (depth, then lower triangle first) and pixel numbers of every covered pixel."""
    first = np.cumsum(count) - count
    step = np.arange(int(count.sum())) - np.repeat(first, count)
    pixel = np.repeat((row * size[1] + left).astype(np.int64), count) + step
    z = np.repeat(z_left, count) + np.repeat(slope[triangle] * SUBPIXEL, count) * step
    low = np.repeat(_TRIANGLE_MASK - number[triangle], count)
    key = (np.floor(z).astype(np.int64) << TRIANGLE_BITS) | low
    return key, pixel
