"""KID: the squared kernel distance of two feature sets, unbiased also for few pictures.

The kernel is (x.y / D + 1)^3 (Binkowski et al. 2018). The estimate is averaged over random subsets,
drawn exactly as torch-fidelity draws them, so that both give the same number for equal features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020
"""Number and size of the subsets and the seed of their draws: torch-fidelity's defaults."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class KernelDistance:
    """Mean and population deviation over the subsets, and how many pictures a subset holds.

    The mean may be slightly negative for sets of equal distribution, as an unbiased estimate must.
    """

    value: float
    deviation: float
    subset_size: int


def kernel_distance(
    generated: NDArray[Any],
    reference: NDArray[Any],
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = SEED,
) -> KernelDistance:
    """Return the kernel distance of features (N, D) and (M, D), computed in float64.

    A subset is never larger than a set: with fewer than `subset_size` pictures it holds as many as
    the smaller set, and where that is all of both, one subset is enough. Raises InputError for
    other shapes, values that are not finite, fewer than two rows, or fewer than one subset.
    """
    check_feature_sets(generated, reference)
    if subsets < 1 or subset_size < 2:
        raise InputError(f"{subsets} subsets of {subset_size}, expected at least 1 of at least 2")
    counts = len(generated), len(reference)
    size = min(subset_size, *counts)
    rng = np.random.RandomState(seed)
    found = np.empty(1 if counts == (size, size) else subsets)
    for i in range(len(found)):
        x = np.asarray(generated[rng.choice(counts[0], size, replace=False)], np.float64)
        y = np.asarray(reference[rng.choice(counts[1], size, replace=False)], np.float64)
        found[i] = _unbiased(
            polynomial_kernel(x, x), polynomial_kernel(x, y), polynomial_kernel(y, y)
        )
    return KernelDistance(float(found.mean()), float(found.std()), size)


def check_feature_sets(first: NDArray[Any], second: NDArray[Any]) -> None:
    """Raise InputError unless both are finite (N, D) and (M, D) with two rows or more."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise InputError(
            f"feature sets {first.shape} and {second.shape}, expected (N, D) and (M, D)"
        )
    if min(len(first), len(second)) < 2:
        raise InputError(
            f"{len(first)} and {len(second)} pictures, expected at least 2 in each set"
        )
    for features in (first, second):
        for start in range(0, len(features), 4096):
            if not np.isfinite(features[start : start + 4096]).all():
                raise InputError("features hold NaN or infinite values, expected finite ones")


def polynomial_kernel(x: Array, y: Array) -> Array:
    """Return the polynomial kernel of all pairs of rows, (len(x), len(y))."""
    products: Array = x @ y.T
    products /= x.shape[1]
    products += 1
    return products * products * products


def _unbiased(own: Array, cross: Array, other: Array) -> float:
    """Return the squared maximum mean discrepancy, each set without its diagonal."""
    count = len(own)
    within = own.sum() - np.trace(own) + other.sum() - np.trace(other)
    return float(within / (count * (count - 1)) - 2 * cross.mean())
