"""Frechet distance against scipy, closed forms, 40-digit arithmetic and stored values."""

from __future__ import annotations

import os
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.linalg import sqrtm

import pcdms_bench
from pcdms_bench.metrics.frechet import (
    FeatureStatistics,
    GaussianOfFeatures,
    frechet_distance,
    frechet_distance_features,
)
from pcdms_data.types import InputError

GOLDEN = Path(os.environ.get("PCDMS_GOLDEN", "../shared/golden")) / "metrics"


def features(rows, columns, seed, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(columns, columns)) / np.sqrt(columns)
    return rng.normal(size=(rows, columns)) @ mixing * scale + shift


def moments(x):
    return x.mean(0), np.cov(x, rowvar=False)


def scipy_distance(x, y):
    (m1, s1), (m2, s2) = moments(x), moments(y)
    root = np.real(sqrtm(s1 @ s2))
    return (m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2 * root)


def exact_distance(x, y):
    """The distance in 40 digits, by the eigenvalues of S1 S2."""
    with mpmath.workdps(40):
        a, b = (mpmath.matrix(v.tolist()) for v in (x, y))

        def own(v):
            n, d = v.rows, v.cols
            mean = [mpmath.fsum(v[i, j] for i in range(n)) / n for j in range(d)]
            c = mpmath.matrix(n, d)
            for i in range(n):
                for j in range(d):
                    c[i, j] = v[i, j] - mean[j]
            return mean, (c.T * c) / (n - 1)

        (m1, s1), (m2, s2) = own(a), own(b)
        values, vectors = mpmath.eigsy(s1)
        root = mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values])
        half = vectors * root * vectors.T
        inner = mpmath.eigsy(half * s2 * half, eigvals_only=True)
        trace = mpmath.fsum(mpmath.sqrt(max(v, 0)) for v in inner)
        gap = mpmath.fsum((p - q) ** 2 for p, q in zip(m1, m2, strict=True))
        spread = mpmath.fsum(s1[i, i] + s2[i, i] for i in range(s1.rows))
        return float(gap + spread - 2 * trace)


def test_equals_scipy_sqrtm_on_full_rank_sets():
    x, y = features(300, 24, 0), features(200, 24, 1, 1.3, 0.2)
    expected = scipy_distance(x, y)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance_features(x, y) == pytest.approx(expected, rel=1e-9)


def test_equals_40_digit_arithmetic_on_full_rank_sets():
    x, y = features(20, 6, 2), features(15, 6, 3, 0.7, 1.0)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(
        exact_distance(x, y), rel=1e-12
    )


@pytest.mark.parametrize(("n", "m"), [(5, 40), (40, 5), (5, 4)])
def test_equals_40_digit_arithmetic_on_singular_covariances(n, m):
    x, y = features(n, 8, 4), features(m, 8, 5, 1.5, 0.5)
    exact = exact_distance(x, y)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(exact, rel=1e-9)
    assert frechet_distance_features(x, y) == pytest.approx(exact, rel=1e-11)


def test_equals_the_closed_form_of_commuting_covariances():
    a, b = np.array([1.0, 4.0, 0.0, 9.0]), np.array([4.0, 1.0, 2.0, 0.0])
    mean = np.array([1.0, -1.0, 0.5, 0.0])
    expected = mean @ mean + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(np.zeros(4), np.diag(a), mean, np.diag(b))
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_shift_alone_gives_its_squared_length():
    x = features(50, 8, 6)
    assert frechet_distance_features(x, x + 2.0) == pytest.approx(8 * 4.0, rel=1e-9)


@pytest.mark.parametrize("rows", [200, 10])
def test_a_set_is_at_distance_zero_from_itself(rows):
    x = features(rows, 32, 7, 3.0, 5.0)
    assert frechet_distance_features(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(*moments(x), *moments(x)) == pytest.approx(0, abs=1e-3)


def test_is_symmetric_when_one_side_is_singular():
    x, y = features(10, 32, 8), features(100, 32, 9)
    one = frechet_distance(*moments(x), *moments(y))
    assert frechet_distance(*moments(y), *moments(x)) == pytest.approx(one, rel=1e-9)
    assert frechet_distance_features(x, y) == pytest.approx(one, rel=1e-9)


def test_streamed_statistics_equal_numpy_in_any_batch_size():
    x = features(157, 12, 10, 2.0, 1000.0)
    mean, covariance = moments(x)
    for size in (1, 10, 157):
        statistics = FeatureStatistics()
        for start in range(0, len(x), size):
            statistics.update(x[start : start + size])
        found = statistics.result()
        assert found.count == len(x)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9, atol=1e-10)


def test_distance_to_a_gaussian_equals_the_distance_of_sets_for_few_and_many_rows():
    y = features(200, 16, 11)
    gaussian = GaussianOfFeatures(*moments(y), len(y))
    for rows in (9, 16, 17, 80):
        x = features(rows, 16, 12, 1.2, 0.3)
        assert gaussian.distance(x) == pytest.approx(
            frechet_distance(*moments(x), *moments(y)), rel=1e-8
        )


def test_resampled_distances_equal_those_of_the_picked_rows():
    x, y = features(12, 20, 13), features(100, 20, 14)
    gaussian = GaussianOfFeatures(*moments(y), len(y))
    rows = np.random.default_rng(0).integers(0, 12, (4, 12))
    expected = [frechet_distance(*moments(x[pick]), *moments(y)) for pick in rows]
    np.testing.assert_allclose(gaussian.resampled(x, rows), expected, rtol=1e-8)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="parity data absent (PCDMS_GOLDEN)")
@pytest.mark.parametrize(
    ("name", "expected", "tolerance"),
    [("n300", 21.411363598296475, 1e-6), ("n40", 119.14797949380227, 1e-3)],
)
def test_equals_the_stored_values_of_the_published_code(name, expected, tolerance):
    with np.load(GOLDEN / "frechet.npz", allow_pickle=False) as stored:
        given = [stored[f"{name}_{key}"] for key in ("mu_a", "sigma_a", "mu_b", "sigma_b")]
        sets = stored[f"{name}_features_a"], stored[f"{name}_features_b"]
    assert pcdms_bench.frechet_distance(*given) == pytest.approx(expected, abs=tolerance)
    assert pcdms_bench.frechet_distance_features(*sets) == pytest.approx(expected, abs=tolerance)


def test_wrong_shapes_and_values_are_refused():
    x = features(10, 4, 0)
    with pytest.raises(InputError, match="expected"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(4), np.eye(4))
    with pytest.raises(InputError, match="finite"):
        frechet_distance(np.zeros(4), np.eye(4) * np.nan, np.zeros(4), np.eye(4))
    for bad in (x[:1], x[:, :3], x[0]):
        with pytest.raises(InputError, match="expected"):
            frechet_distance_features(x, bad)
    with pytest.raises(InputError, match="at least 2"):
        FeatureStatistics().result()


@pytest.mark.parametrize("n", [9, 30])
def test_equals_40_digit_arithmetic_where_scales_span_ten_decades(n):
    """Neither a jitter on the diagonal nor a squared problem would keep eight digits here."""
    scales = 10.0 ** np.linspace(0, -5, 12)
    x, y = features(n, 12, 15) * scales, features(25, 12, 16, 1.3, 0.1) * scales
    exact = exact_distance(x, y)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(exact, rel=1e-8)
    assert frechet_distance(*moments(y), *moments(x)) == pytest.approx(exact, rel=1e-8)
    assert frechet_distance_features(x, y) == pytest.approx(exact, rel=1e-8)
    gaussian = GaussianOfFeatures(*moments(y), len(y))
    assert gaussian.distance(x) == pytest.approx(exact, rel=1e-8)
