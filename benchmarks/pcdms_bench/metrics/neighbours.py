"""Precision, recall, density and coverage: what lies near what in feature space.

A picture's neighbourhood reaches to its k-th nearest neighbour in its own set (itself not counted).
Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020. Distances
are Euclidean, in float64, and come in blocks, so memory does not grow with the sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.kernel_distance import check_feature_sets
from pcdms_data.types import InputError

PRECISION_NEIGHBOURS = 3
"""k of precision and recall, the value of their paper and of torch-fidelity."""
COVERAGE_NEIGHBOURS = 5
"""k of density and coverage, the value of their paper."""
ROWS = 512
COLUMNS = 4096
"""Size of a block of distances: 16 MiB in float64."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ManifoldScores:
    """Precision, recall and coverage are shares from 0 to 1; density is 0 and up, best near 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    generated: NDArray[Any],
    reference: NDArray[Any],
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    coverage_neighbours: int = COVERAGE_NEIGHBOURS,
) -> ManifoldScores:
    """Return the four scores of features (N, D) of generated and (M, D) of real pictures.

    - precision: share of generated pictures inside the neighbourhood of some real one;
    - recall: share of real pictures inside the neighbourhood of some generated one;
    - density: number of real neighbourhoods a generated picture lies in, over k, on average;
    - coverage: share of real pictures whose neighbourhood holds a generated one.

    The border belongs to a neighbourhood. Raises InputError for other shapes, values that are not
    finite, or sets that are not larger than the number of neighbours.
    """
    check_feature_sets(generated, reference)
    most = max(precision_neighbours, coverage_neighbours)
    if min(precision_neighbours, coverage_neighbours) < 1:
        raise InputError("0 neighbours, expected at least 1")
    if len(generated) <= precision_neighbours or len(reference) <= most:
        raise InputError(
            f"{len(generated)} generated and {len(reference)} real pictures, expected more than "
            f"{precision_neighbours} and {most}, the neighbours looked at"
        )
    # A common shift changes no distance, and values around zero keep the products' digits.
    origin = np.asarray(reference[:COLUMNS], np.float64).mean(0)
    real, made = _Rows(reference, origin), _Rows(generated, origin)
    real_radii = _radii(real, (precision_neighbours, coverage_neighbours))
    made_radii = _radii(made, (precision_neighbours,))[0]
    precise = np.zeros(len(made.norms), np.bool_)
    recalled, covered = np.zeros((2, len(real.norms)), np.bool_)
    held = 0
    for rows, columns, distances in _blocks(real, made):
        precise[columns] |= (distances <= real_radii[0][rows, None]).any(0)
        recalled[rows] |= (distances <= made_radii[columns]).any(1)
        inside = distances <= real_radii[1][rows, None]
        covered[rows] |= inside.any(1)
        held += int(inside.sum())
    return ManifoldScores(
        float(precise.mean()),
        float(recalled.mean()),
        held / (coverage_neighbours * len(precise)),
        float(covered.mean()),
    )


def nearest_rows(
    features: NDArray[Any], reference: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the index (N,) of each row's nearest row in `reference`, and the distance (N,).

    `features` (N, D) and `reference` (M, D), one row or more; ties go to the first. Raises
    InputError for other shapes.
    """
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise InputError(
            f"feature sets {features.shape} and {reference.shape}, expected (N, D) and (M, D)"
        )
    if not len(reference):
        raise InputError("no pictures to look for the nearest one among")
    origin = np.asarray(reference[:COLUMNS], np.float64).mean(0)
    best = np.full(len(features), np.inf)
    index = np.zeros(len(features), np.int64)
    for rows, columns, distances in _blocks(_Rows(features, origin), _Rows(reference, origin)):
        own = distances.argmin(1)
        least = distances[np.arange(len(own)), own]
        nearer = least < best[rows]
        index[rows] = np.where(nearer, own + columns.start, index[rows])
        best[rows] = np.where(nearer, least, best[rows])
    return index, np.sqrt(best)


class _Rows:
    """Features as given (they may lie in a file), a shift, and squared lengths after it."""

    def __init__(self, features: NDArray[Any], origin: Array) -> None:
        self.features = features
        self.origin = origin
        self.norms = np.empty(len(features))
        for start in range(0, len(features), COLUMNS):
            part = self.shifted(slice(start, start + COLUMNS))
            self.norms[start : start + COLUMNS] = np.einsum("nd,nd->n", part, part)

    def shifted(self, rows: slice) -> Array:
        return np.asarray(self.features[rows], np.float64) - self.origin


def _blocks(first: _Rows, second: _Rows) -> Iterator[tuple[slice, slice, Array]]:
    """Yield (rows, columns, squared distances) that cover all pairs of rows."""
    for left in range(0, len(second.norms), COLUMNS):
        columns = slice(left, min(left + COLUMNS, len(second.norms)))
        right_part = second.shifted(columns)
        for top in range(0, len(first.norms), ROWS):
            rows = slice(top, min(top + ROWS, len(first.norms)))
            sums = first.norms[rows, None] + second.norms[columns]
            distances = sums - 2 * (first.shifted(rows) @ right_part.T)
            # What is left of two equal rows is rounding; equal pictures have distance 0.
            distances[distances < 64 * np.finfo(np.float64).eps * sums] = 0
            yield rows, columns, distances


def _radii(own: _Rows, neighbours: tuple[int, ...]) -> Array:
    """Return the squared distance of each row to its k-th nearest other row, (len(k), N)."""
    most = max(neighbours)
    nearest = np.full((len(own.norms), most), np.inf)
    for rows, columns, distances in _blocks(own, own):
        here = np.arange(rows.start, rows.stop)
        inside = here[(here >= columns.start) & (here < columns.stop)]
        distances[inside - rows.start, inside - columns.start] = np.inf
        every = np.concatenate([nearest[rows], distances], axis=1)
        nearest[rows] = np.partition(every, most - 1, axis=1)[:, :most]
    nearest.sort(axis=1)
    return nearest[:, [k - 1 for k in neighbours]].T.copy()
