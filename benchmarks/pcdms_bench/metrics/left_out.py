"""Set metrics of the generated pictures without one part of them at a time.

Their scatter is the jackknife's estimate of how much a metric would move with other pictures.
Drawing pictures with repeats (the bootstrap) will not do here: a picture drawn twice is its own
nearest neighbour, so neighbourhoods collapse (Abadie and Imbens 2008 show that the bootstrap fails
for statistics of nearest neighbours). Leaving out repeats nothing, and its variance errs to the
wide side (Efron and Stein 1981). Everywhere `parts` (N,) numbers the part of each generated picture
from 0, and every part has at least one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.distance_blocks import (
    COLUMNS,
    ROWS,
    Array,
    Rows,
    distance_blocks,
    nearest_others,
    origin_of,
)
from pcdms_bench.metrics.inception_score import inception_score
from pcdms_bench.metrics.kernel_distance import check_feature_sets, polynomial_kernel
from pcdms_bench.metrics.neighbours import PRECISION_NEIGHBOURS
from pcdms_data.types import InputError

Parts = NDArray[np.int64]


def recall_without(
    generated: NDArray[Any],
    reference: NDArray[Any],
    parts: Parts,
    neighbours: int = PRECISION_NEIGHBOURS,
) -> Array:
    """Return the recall (G,) of features (N, D) of reference (M, D) without each of the G parts.

    Raises InputError where too few pictures are left.
    """
    check_feature_sets(generated, reference)
    largest = int(np.bincount(parts).max())
    if len(generated) - 1 - largest < neighbours:
        raise InputError(
            f"{len(generated)} generated pictures, of which {largest} are left out at a time, "
            f"expected more than {neighbours} others"
        )
    origin = origin_of(reference)
    real, made = Rows(reference, origin), Rows(generated, origin)
    radii = _radii_without(made, parts, neighbours)
    recalled = np.zeros((len(radii), len(real)), np.bool_)
    for rows, columns, distances in distance_blocks(real, made):
        for part, own in enumerate(radii):
            recalled[part, rows] |= (distances <= own[columns]).any(1)
    found: Array = recalled.mean(1)
    return found


def _radii_without(made: Rows, parts: Parts, neighbours: int) -> Array:
    """Return squared distances (G, N) to the k-th nearest other without each part.

    -1, which nothing is as near as, for the pictures of the part.
    """
    sizes = np.bincount(parts)
    # Of the nearest k + the largest part, at least k are of other parts.
    nearest, index = nearest_others(made, min(len(made) - 1, neighbours + int(sizes.max())))
    owners, radii = parts[index], np.empty((len(sizes), len(made)))
    for part in range(len(sizes)):
        rank = (owners != part).cumsum(1)
        place = (rank >= neighbours).argmax(1)
        radii[part] = nearest[np.arange(len(made)), place]
        radii[part, parts == part] = -1
    return radii


def coverage_without(
    generated: NDArray[Any], reference: NDArray[Any], parts: Parts, radii: Array
) -> Array:
    """Return the coverage (G,) of features (N, D) of reference (M, D) without each of the G parts.

    `radii` (M,) are the squared distances that the real neighbourhoods reach to.
    """
    check_feature_sets(generated, reference)
    count = int(parts.max()) + 1
    origin = origin_of(reference)
    real, made = Rows(reference, origin), Rows(generated, origin)
    # A real picture stays covered as long as pictures of two parts cover it.
    first, last = np.full(len(real), count), np.full(len(real), -1)
    for rows, columns, distances in distance_blocks(real, made):
        inside = distances <= radii[rows, None]
        first[rows] = np.minimum(first[rows], np.where(inside, parts[columns], count).min(1))
        last[rows] = np.maximum(last[rows], np.where(inside, parts[columns], -1).max(1))
    lost = np.bincount(first[first == last], minlength=count)
    found: Array = ((last >= 0).sum() - lost) / len(real)
    return found


def kernel_distance_without(
    generated: NDArray[Any], reference: NDArray[Any], parts: Parts
) -> Array:
    """Return the kernel distance (G,) of features (N, D) to (M, D) without each of the G parts.

    Of all pictures at once, not over random subsets, whose mean it is; and up to a constant, since
    what the reference has alone is left out. Raises InputError where too few pictures are left.
    """
    check_feature_sets(generated, reference)
    sizes = np.bincount(parts)
    left = len(generated) - sizes
    if left.min() < 2:
        raise InputError(f"{left.min()} pictures left, expected at least 2")
    member = np.zeros((len(generated), len(sizes)))
    member[np.arange(len(generated)), parts] = 1
    within = np.zeros((len(sizes), len(sizes)))
    cross = np.zeros(len(sizes))
    for start in range(0, len(generated), ROWS):
        rows = slice(start, start + ROWS)
        own = np.asarray(generated[rows], np.float64)
        for at in range(0, len(generated), COLUMNS):
            others = np.asarray(generated[at : at + COLUMNS], np.float64)
            within += member[rows].T @ (polynomial_kernel(own, others) @ member[at : at + COLUMNS])
        squares = np.einsum("nd,nd->n", own, own) / own.shape[1]
        within -= np.diag(member[rows].T @ (squares + 1) ** 3)
        for at in range(0, len(reference), COLUMNS):
            others = np.asarray(reference[at : at + COLUMNS], np.float64)
            cross += member[rows].T @ polynomial_kernel(own, others).sum(1)
    inside = within.sum() - within.sum(0) - within.sum(1) + np.diag(within)
    found: Array = inside / (left * (left - 1))
    found -= 2 * (cross.sum() - cross) / (left * len(reference))
    return found


def inception_score_without(logits: NDArray[Any], parts: Parts, splits: int) -> Array:
    """Return the inception score (G,) of class scores (N, classes) without each of the G parts.

    Raises InputError where too few pictures are left for the splits.
    """
    return np.array(
        [
            inception_score(logits[parts != part], splits).value
            for part in range(int(parts.max()) + 1)
        ]
    )
