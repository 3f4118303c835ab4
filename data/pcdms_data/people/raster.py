"""A triangle rasteriser in NumPy: which triangle is nearest at the centre of every pixel.

Projected vertices are integers (1/256 pixel, and integer depth), so that coverage is exact and the
same on every machine: float64 holds every product of such integers exactly, and the only rounded
numbers are quotients, which IEEE rounds alike everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SUBPIXEL = 256
"""Steps of a projected coordinate per pixel."""

TRIANGLE_BITS = 14
_TRIANGLE_MASK = (1 << TRIANGLE_BITS) - 1
_HALF = SUBPIXEL // 2

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
class _Triangles:
    """Triangles that can cover a pixel: numbers and corner columns (n,), coordinates as floats."""

    number: Ints
    x: tuple[Floats, Floats, Floats]
    y: tuple[Floats, Floats, Floats]
    z: tuple[Floats, Floats, Floats]
    area: Floats


@lru_cache(maxsize=8)
def pixel_grid(size: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return row and column of every pixel of an (H, W) canvas in row-major order, read-only."""
    row, column = np.divmod(np.arange(size[0] * size[1], dtype=np.int32), np.int32(size[1]))
    row.flags.writeable = column.flags.writeable = False
    return row, column


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
    shapes = _kept(xy, depth, faces, size, two_sided_from)
    (x0, x1, x2), (y0, y1, y2), (z0, z1, z2) = shapes.x, shapes.y, shapes.z
    # The weights of the corners are affine in the pixel: b = g . (p - p0).
    g1x, g1y = (y2 - y0) / shapes.area, (x0 - x2) / shapes.area
    g2x, g2y = (y0 - y1) / shapes.area, (x1 - x0) / shapes.area
    gzx, gzy = g1x * (z1 - z0) + g2x * (z2 - z0), g1y * (z1 - z0) + g2y * (z2 - z0)
    triangle, row, left, count = _spans(shapes, size)
    px = left * SUBPIXEL + _HALF - x0[triangle]
    py = row * SUBPIXEL + _HALF - y0[triangle]
    z_left = z0[triangle] + gzx[triangle] * px + gzy[triangle] * py
    first_pixel = (row * size[1] + left).astype(np.int64)
    slope = (gzx * SUBPIXEL)[triangle]
    low = (_TRIANGLE_MASK - shapes.number)[triangle]
    pixel, key = _fragments(first_pixel, count, z_left, slope, low)
    nearest = np.full(size[0] * size[1], -1, dtype=np.int64)
    np.maximum.at(nearest, pixel, key)
    shown = np.flatnonzero(nearest >= 0)
    key = nearest[shown]
    winner = _TRIANGLE_MASK - (key & _TRIANGLE_MASK)
    slot = np.zeros(len(faces), dtype=np.int64)
    slot[shapes.number] = np.arange(len(shapes.number))
    t = slot[winner]
    rows, columns = pixel_grid(size)
    x = columns[shown] * float(SUBPIXEL) + _HALF - x0[t]
    y = rows[shown] * float(SUBPIXEL) + _HALF - y0[t]
    b1 = (g1x[t] * x + g1y[t] * y).astype(np.float32)
    b2 = (g2x[t] * x + g2y[t] * y).astype(np.float32)
    return Fragments(shown, winner, b1, b2, key >> TRIANGLE_BITS, size)


def _kept(
    xy: Ints, depth: Ints, faces: Ints, size: tuple[int, int], two_sided_from: int
) -> _Triangles:
    """Leave out triangles that face away, have no area or reach no pixel centre."""
    corner = tuple(np.ascontiguousarray(faces[:, i]) for i in range(3))
    across, down = xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64)
    x, y = [across[c] for c in corner], [down[c] for c in corner]
    # With y downwards an anticlockwise triangle has a negative cross product.
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    ok = area < 0
    ok[two_sided_from:] = area[two_sided_from:] != 0
    number = np.flatnonzero(ok)
    x, y = [c[number] for c in x], [c[number] for c in y]
    inside = np.ones(len(number), dtype=bool)
    for columns, pixels in ((x, size[1]), (y, size[0])):
        low = np.minimum(np.minimum(columns[0], columns[1]), columns[2])
        high = np.maximum(np.maximum(columns[0], columns[1]), columns[2])
        # The box holds a pixel centre only if it reaches the next centre after its lower side.
        centre = np.ceil((low - _HALF) / SUBPIXEL) * SUBPIXEL + _HALF
        inside &= (high >= _HALF) & (low <= pixels * SUBPIXEL - _HALF) & (centre <= high)
    number = number[inside]
    x, y = [c[inside] for c in x], [c[inside] for c in y]
    far = depth.astype(np.float64)
    z = [far[c[number]] for c in corner]
    return _Triangles(
        number, (x[0], x[1], x[2]), (y[0], y[1], y[2]), (z[0], z[1], z[2]), area[number]
    )


def _spans(shapes: _Triangles, size: tuple[int, int]) -> tuple[Ints, Floats, Floats, Ints]:
    """One entry per triangle and covered row: triangle, row, first column, number of columns."""
    ys = shapes.y
    low, high = np.minimum(np.minimum(*ys[:2]), ys[2]), np.maximum(np.maximum(*ys[:2]), ys[2])
    top = np.maximum(np.ceil((low - _HALF) / SUBPIXEL), 0.0)
    bottom = np.minimum(np.floor((high - _HALF) / SUBPIXEL), size[0] - 1.0)
    rows = np.maximum(bottom - top + 1, 0).astype(np.int64)
    triangle = np.repeat(np.arange(len(rows)), rows)
    start = np.cumsum(rows) - rows
    row = np.arange(len(triangle)) + (top - start)[triangle]
    y = row * SUBPIXEL + _HALF
    sign = np.where(shapes.area > 0, 1.0, -1.0)
    left, right = np.zeros(len(triangle)), np.full(len(triangle), size[1] - 1.0)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        dx = (shapes.x[j] - shapes.x[i]) * sign
        dy = (shapes.y[j] - shapes.y[i]) * sign
        # Inside: dx * (Y - y) - dy * (X - x) >= 0, solved for the pixel column.
        constant = dy * (shapes.x[i] - _HALF) - dx * shapes.y[i]
        bound = constant[triangle] + dx[triangle] * y
        side = dy[triangle]
        bound /= np.where(side == 0, 1.0, side * SUBPIXEL)
        np.maximum(left, np.ceil(bound), out=left, where=side < 0)
        np.minimum(right, np.floor(bound), out=right, where=side > 0)
    covered = np.flatnonzero(right >= left)
    left = left[covered]
    count = (right[covered] - left + 1).astype(np.int64)
    return triangle[covered], row[covered], left, count


def _fragments(
    first_pixel: Ints, count: Ints, z_left: Floats, slope: Floats, low: Ints
) -> tuple[Ints, Ints]:
    """Pixel numbers and sort keys (depth, then the lower triangle) of every covered pixel."""
    span = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(span)) - (np.cumsum(count) - count)[span]
    z = z_left[span] + slope[span] * step
    key = (np.floor(z).astype(np.int64) << TRIANGLE_BITS) | low[span]
    return first_pixel[span] + step, key
