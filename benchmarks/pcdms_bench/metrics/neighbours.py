"""Precision, recall, density and coverage: what lies near what in feature space.

A picture's neighbourhood reaches to its k-th nearest neighbour in its own set (itself not counted).
Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020. Distances
are Euclidean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.distance_blocks import (
    Array,
    Rows,
    distance_blocks,
    nearest_others,
    origin_of,
)
from pcdms_bench.metrics.kernel_distance import check_feature_sets
from pcdms_data.types import InputError

PRECISION_NEIGHBOURS = 3
"""k of precision and recall, the value of their paper and of torch-fidelity."""
COVERAGE_NEIGHBOURS = 5
"""k of density and coverage, the value of their paper."""


@dataclass(frozen=True, eq=False)
class ManifoldScores:
    """Precision, recall and coverage are shares from 0 to 1; density is 0 and up, best near 1."""

    precision: float
    recall: float
    density: float
    coverage: float
    near: NDArray[np.bool_]
    """(N,) generated pictures inside some real neighbourhood; precision is their share."""
    around: NDArray[np.int64]
    """(N,) real neighbourhoods around each generated picture; density is their mean over k."""


def manifold_scores(
    generated: NDArray[Any],
    reference: NDArray[Any],
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    coverage_neighbours: int = COVERAGE_NEIGHBOURS,
    radii: Array | None = None,
) -> ManifoldScores:
    """Return the four scores of features (N, D) of generated and (M, D) of real pictures.

    - precision: share of generated pictures inside the neighbourhood of some real one;
    - recall: share of real pictures inside the neighbourhood of some generated one;
    - density: number of real neighbourhoods a generated picture lies in, over k, on average;
    - coverage: share of real pictures whose neighbourhood holds a generated one.

    The border belongs to a neighbourhood. `radii` are `real_radii` of the same reference, where
    they are known. Raises InputError for other shapes, values that are not finite, or sets that are
    not larger than the number of neighbours.
    """
    check_feature_sets(generated, reference)
    if precision_neighbours < 1:
        raise InputError("0 neighbours, expected at least 1")
    if len(generated) <= precision_neighbours:
        raise InputError(
            f"{len(generated)} generated pictures, expected more than {precision_neighbours}, the "
            "neighbours looked at"
        )
    if radii is None:
        radii = real_radii(reference, precision_neighbours, coverage_neighbours)
    origin = origin_of(reference)
    real, made = Rows(reference, origin), Rows(generated, origin)
    made_radii = nearest_others(made, precision_neighbours)[0][:, -1]
    precise, around = np.zeros(len(made), np.bool_), np.zeros(len(made), np.int64)
    recalled, covered = np.zeros((2, len(real)), np.bool_)
    for rows, columns, distances in distance_blocks(real, made):
        precise[columns] |= (distances <= radii[0][rows, None]).any(0)
        recalled[rows] |= (distances <= made_radii[columns]).any(1)
        inside = distances <= radii[1][rows, None]
        covered[rows] |= inside.any(1)
        around[columns] += inside.sum(0)
    return ManifoldScores(
        float(precise.mean()),
        float(recalled.mean()),
        float(around.sum()) / (coverage_neighbours * len(made)),
        float(covered.mean()),
        precise,
        around,
    )


def real_radii(
    reference: NDArray[Any],
    precision_neighbours: int = PRECISION_NEIGHBOURS,
    coverage_neighbours: int = COVERAGE_NEIGHBOURS,
) -> Array:
    """Return squared distances (2, M) of real pictures (M, D) to their k-th nearest other.

    The first row is for precision, the second for density and coverage. Raises InputError for sets
    that are not larger than the number of neighbours.
    """
    most = max(precision_neighbours, coverage_neighbours)
    if min(precision_neighbours, coverage_neighbours) < 1:
        raise InputError("0 neighbours, expected at least 1")
    if len(reference) <= most:
        raise InputError(
            f"{len(reference)} real pictures, expected more than {most}, the neighbours looked at"
        )
    nearest, _ = nearest_others(Rows(reference, origin_of(reference)), most)
    return nearest[:, [precision_neighbours - 1, coverage_neighbours - 1]].T.copy()


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
    origin = origin_of(reference)
    best = np.full(len(features), np.inf)
    index = np.zeros(len(features), np.int64)
    for rows, columns, distances in distance_blocks(
        Rows(features, origin), Rows(reference, origin)
    ):
        own = distances.argmin(1)
        least = distances[np.arange(len(own)), own]
        nearer = least < best[rows]
        index[rows] = np.where(nearer, own + columns.start, index[rows])
        best[rows] = np.where(nearer, least, best[rows])
    return index, np.sqrt(best)
