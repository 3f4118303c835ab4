"""Frechet distance of feature sets, exact where a matrix square root is not, and its statistics.

|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2). The last trace is the sum of the singular values
of B1' B2 for any factors S = B B', so no matrix root is needed, and for fewer pictures N than
features D the factors are as narrow as the sets are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

Array = NDArray[np.float64]

WELL_CONDITIONED = 1e-4
"""Smallest ratio of a Cholesky diagonal for which the squared problem keeps enough digits."""


def frechet_distance(
    mu1: NDArray[Any], cov1: NDArray[Any], mu2: NDArray[Any], cov2: NDArray[Any]
) -> float:
    """Return the squared Frechet (Wasserstein-2) distance of two Gaussians, in float64.

    Means (D,), covariances (D, D), singular ones included. Raises InputError on other shapes and
    on values that are not finite.
    """
    m1, m2, s1, s2 = (np.asarray(a, dtype=np.float64) for a in (mu1, mu2, cov1, cov2))
    wide = m1.shape[:1] * 2
    if m1.ndim != 1 or m2.shape != m1.shape or s1.shape != wide or s2.shape != wide:
        raise InputError(
            f"Gaussians of shapes {m1.shape}, {s1.shape} and {m2.shape}, {s2.shape}: "
            "expected (D,), (D, D) twice"
        )
    if not all(np.isfinite(a).all() for a in (m1, m2, s1, s2)):
        raise InputError("feature statistics hold NaN or infinite values, expected finite ones")
    root_trace = _root_trace(s1, s2)
    gap = m1 - m2
    return float(gap @ gap + np.trace(s1) + np.trace(s2) - 2 * root_trace)


def _root_trace(s1: Array, s2: Array) -> float:
    """Return tr (S1 S2)^(1/2).

    With S1 = L L' it is the sum of the square roots of the eigenvalues of L' S2 L. That squares the
    singular values, so it is taken only where L is well conditioned.
    """
    try:
        lower = np.linalg.cholesky(s1)
    except np.linalg.LinAlgError:
        lower = None
    if lower is not None:
        diagonal = np.diag(lower)
        if diagonal.min() > WELL_CONDITIONED * diagonal.max():
            values = np.linalg.eigvalsh(lower.T @ s2 @ lower)
            # A singular S2 leaves rounding noise around zero, whose root would be counted.
            noise = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
            return float(np.sqrt(values[values > noise]).sum())
    return float(np.linalg.svd(_factor(s1).T @ _factor(s2), compute_uv=False).sum())


def _factor(covariance: Array) -> Array:
    """Return B (D, r) with B B' = covariance, r its numerical rank."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    noise = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    kept = values > noise
    factor: Array = vectors[:, kept] * np.sqrt(values[kept])
    return factor


def frechet_distance_features(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the Frechet distance of two feature sets (N, D) and (M, D), covariance divisor n - 1.

    Exact also for fewer rows than columns: then it works on the rows. Raises InputError for other
    shapes or fewer than two rows.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(
            f"feature sets {a.shape} and {b.shape}: expected (N, D) and (M, D), two rows or more"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("features hold NaN or infinite values, expected finite ones")
    if min(len(a), len(b)) >= a.shape[1]:
        return frechet_distance(
            a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
        )
    gap = a.mean(0) - b.mean(0)
    narrow = [(s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (a, b)]
    root_trace = np.linalg.svd(narrow[0] @ narrow[1].T, compute_uv=False).sum()
    traces = sum(float((s * s).sum()) for s in narrow)
    return float(gap @ gap + traces - 2 * root_trace)


@dataclass
class FeatureStatistics:
    """Mean and covariance of features that come in batches; memory does not grow with the set.

    Sums are float64 and taken around the first batch's mean, so that large means cost no digits.
    """

    count: int = 0
    _origin: Array | None = field(default=None, repr=False)
    _sum: Array | None = field(default=None, repr=False)
    _squares: Array | None = field(default=None, repr=False)

    def update(self, features: NDArray[Any]) -> None:
        """Add features (B, D)."""
        rows = np.asarray(features, dtype=np.float64)
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise InputError(f"features {rows.shape}: expected finite (B, D)")
        if not len(rows):
            return
        if self._origin is None or self._sum is None or self._squares is None:
            self._origin = rows.mean(0)
            self._sum = np.zeros(rows.shape[1])
            self._squares = np.zeros((rows.shape[1], rows.shape[1]))
        rows = rows - self._origin
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._squares += rows.T @ rows

    def result(self) -> GaussianOfFeatures:
        """Return the statistics; raises InputError for fewer than two rows."""
        if self.count < 2 or self._origin is None or self._sum is None or self._squares is None:
            raise InputError(f"{self.count} feature rows, expected at least 2 for a covariance")
        shift = self._sum / self.count
        covariance = (self._squares - self.count * np.outer(shift, shift)) / (self.count - 1)
        return GaussianOfFeatures(self._origin + shift, covariance, self.count)


@dataclass(frozen=True, eq=False)
class GaussianOfFeatures:
    """Mean (D,) and covariance (D, D, divisor n - 1) of `count` feature rows, float64."""

    mean: Array
    covariance: Array
    count: int

    def distance(self, features: NDArray[Any]) -> float:
        """Return the Frechet distance of a feature set (N, D) to this Gaussian."""
        if len(features) > features.shape[1]:
            statistics = FeatureStatistics()
            statistics.update(features)
            return self.distance_to(statistics.result())
        rows = np.asarray(features, dtype=np.float64)
        if len(rows) < 2:
            raise InputError(f"{len(rows)} feature rows, expected at least 2 for a covariance")
        if not np.isfinite(rows).all():
            raise InputError("features hold NaN or infinite values, expected finite ones")
        mean = rows.mean(0)
        narrow = (rows - mean) / np.sqrt(len(rows) - 1)
        root_trace = np.linalg.svd(narrow @ self._root, compute_uv=False).sum()
        gap = mean - self.mean
        spread = float((narrow * narrow).sum() + np.trace(self.covariance))
        return float(gap @ gap + spread - 2 * root_trace)

    @cached_property
    def _root(self) -> Array:
        """Return B (D, r) with B B' = covariance; made once, when few rows are first compared."""
        try:
            return np.asarray(np.linalg.cholesky(self.covariance), np.float64)
        except np.linalg.LinAlgError:
            return _factor(self.covariance)

    def distance_to(self, other: GaussianOfFeatures) -> float:
        """Return the Frechet distance of another Gaussian to this one."""
        return frechet_distance(other.mean, other.covariance, self.mean, self.covariance)

    def resampled(self, features: NDArray[Any], rows: Sequence[NDArray[np.int64]]) -> Array:
        """Return the distances (R,) of R resamples of `features` (N, D), `rows` their indices (n,).

        The covariance of few rows enters through the N x N products A S A' alone; every resample
        picks from those, so it costs n^3 and not D^3. Their roots hold half the digits, which is
        plenty for an interval.
        """
        values = np.asarray(features, dtype=np.float64)
        fewest = min(len(chosen) for chosen in rows)
        if fewest < 2:
            raise InputError(f"{fewest} feature rows, expected at least 2 for a covariance")
        gaps = values - self.mean
        inner = gaps @ gaps.T
        cross = gaps @ self.covariance @ gaps.T
        trace = float(np.trace(self.covariance))
        out = np.empty(len(rows))
        for i, chosen in enumerate(rows):
            n = len(chosen)
            own = inner[np.ix_(chosen, chosen)]
            gap2 = own.mean()
            spread = (np.trace(own) - n * gap2) / (n - 1)
            eigenvalues = np.linalg.eigvalsh(_centred(cross[np.ix_(chosen, chosen)]) / (n - 1))
            noise = n * np.finfo(np.float64).eps * max(eigenvalues[-1], 0.0)
            root_trace = np.sqrt(eigenvalues[eigenvalues > noise]).sum()
            out[i] = gap2 + spread + trace - 2 * root_trace
        return out


def _centred(products: Array) -> Array:
    """Return the products (n, n) of the same rows after their mean is taken off."""
    means = products.mean(0)
    centred: Array = products - means[None] - means[:, None] + means.mean()
    return centred
