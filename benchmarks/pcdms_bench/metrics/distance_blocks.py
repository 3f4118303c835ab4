"""Euclidean distances between all rows of feature tables, block by block.

In float64, and memory does not grow with the sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 512
COLUMNS = 4096
"""Size of a block of distances: 16 MiB in float64."""

Array = NDArray[np.float64]


class Rows:
    """Feature rows around an origin; from a file they are read block by block."""

    def __init__(self, features: NDArray[Any], origin: Array) -> None:
        self.features = features
        self.origin = origin
        self.norms = np.empty(len(features))
        for start in range(0, len(features), COLUMNS):
            part = self.shifted(slice(start, start + COLUMNS))
            self.norms[start : start + COLUMNS] = np.einsum("nd,nd->n", part, part)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.norms)

    def shifted(self, rows: slice) -> Array:
        """Return some rows in float64, the origin taken off."""
        return np.asarray(self.features[rows], np.float64) - self.origin


def origin_of(reference: NDArray[Any]) -> Array:
    """Return a point amid the rows (M, D).

    A common shift changes no distance, and values around zero keep the products' digits.
    """
    return np.asarray(np.asarray(reference[:COLUMNS], np.float64).mean(0))


def distance_blocks(first: Rows, second: Rows) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (rows of `first`, rows of `second`, squared distances) that cover all pairs."""
    for left in range(0, len(second), COLUMNS):
        columns = slice(left, min(left + COLUMNS, len(second)))
        right_part = second.shifted(columns)
        for top in range(0, len(first), ROWS):
            rows = slice(top, min(top + ROWS, len(first)))
            sums = first.norms[rows, None] + second.norms[columns]
            distances = sums - 2 * (first.shifted(rows) @ right_part.T)
            # What is left of two equal rows is rounding; equal pictures have distance 0.
            distances[distances < 64 * np.finfo(np.float64).eps * sums] = 0
            yield rows, columns, distances


def nearest_others(own: Rows, count: int) -> tuple[Array, NDArray[np.int64]]:
    """Return squared distances and indices (N, count) of each row's nearest other rows, sorted.

    Where there are fewer than `count` others, the last distances are infinite.
    """
    nearest = np.full((len(own), count), np.inf)
    index = np.zeros((len(own), count), np.int64)
    for rows, columns, distances in distance_blocks(own, own):
        here = np.arange(rows.start, rows.stop)
        inside = here[(here >= columns.start) & (here < columns.stop)]
        distances[inside - rows.start, inside - columns.start] = np.inf
        every = np.concatenate([nearest[rows], distances], axis=1)
        best = np.argpartition(every, count - 1, axis=1)[:, :count]
        known = np.take_along_axis(index[rows], np.minimum(best, count - 1), axis=1)
        index[rows] = np.where(best < count, known, best - count + columns.start)
        nearest[rows] = np.take_along_axis(every, best, axis=1)
    order = np.argsort(nearest, axis=1)
    return np.take_along_axis(nearest, order, axis=1), np.take_along_axis(index, order, axis=1)
