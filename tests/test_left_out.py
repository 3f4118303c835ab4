"""Set metrics without a part of the pictures: equal to the metric of what is left, part by part."""

from __future__ import annotations

import numpy as np
import pytest

from pcdms_bench.intervals import jackknife_interval, left_out_parts
from pcdms_bench.metrics import distance_blocks, left_out
from pcdms_bench.metrics.inception_score import inception_score
from pcdms_bench.metrics.kernel_distance import kernel_distance
from pcdms_bench.metrics.left_out import (
    coverage_without,
    inception_score_without,
    kernel_distance_without,
    recall_without,
)
from pcdms_bench.metrics.neighbours import manifold_scores, real_radii
from pcdms_data.types import InputError


def sets(n=70, m=90, width=6):
    rng = np.random.default_rng(3)
    return rng.normal(0.3, 0.7, (n, width)) + 40, rng.normal(0, 1, (m, width)) + 40


@pytest.fixture(params=[(512, 4096), (7, 11)], ids=["one-block", "many-blocks"])
def block(request, monkeypatch):
    for module in (distance_blocks, left_out):
        monkeypatch.setattr(module, "ROWS", request.param[0])
        monkeypatch.setattr(module, "COLUMNS", request.param[1])


@pytest.mark.parametrize("parts", [left_out_parts(70, 12), np.arange(70) // 25], ids=str)
def test_recall_and_coverage_are_those_of_the_pictures_left(block, parts):
    made, real = sets()
    made[3] = made[30] = made[50]  # copies, which are each other's nearest
    left = [manifold_scores(made[parts != part], real) for part in range(parts.max() + 1)]
    recall = recall_without(made, real, parts)
    coverage = coverage_without(made, real, parts, real_radii(real)[1])
    assert recall.tolist() == [one.recall for one in left]
    assert coverage.tolist() == [one.coverage for one in left]
    assert len(set(recall)) > 1
    assert len(set(coverage)) > 1


def test_the_kernel_distance_is_that_of_the_pictures_left_up_to_a_constant(block):
    made, real = (side[:60] - 40 for side in sets())
    parts = np.arange(60) % 4
    found = kernel_distance_without(made, real, parts)
    # With subsets of whole sets the plain function takes every pair of pictures, as this does.
    expected = [
        kernel_distance(np.delete(made, np.flatnonzero(parts == i), 0), real, 400, 45).value
        for i in range(4)
    ]
    exact = []
    for i in range(4):
        own = made[parts != i]
        k = (own @ own.T / 6 + 1) ** 3
        within = (k.sum() - np.trace(k)) / (len(own) * (len(own) - 1))
        exact.append(within - 2 * ((own @ real.T / 6 + 1) ** 3).mean())
    np.testing.assert_allclose(found, exact, rtol=1e-9)
    gaps = np.subtract(expected, found)
    assert np.ptp(gaps) < 0.1 * np.ptp(found)


def test_the_inception_score_is_that_of_the_pictures_left():
    logits = np.random.default_rng(0).normal(size=(60, 15))
    parts = left_out_parts(60, 7)
    found = inception_score_without(logits, parts, 4)
    assert found.tolist() == [inception_score(logits[parts != i], 4).value for i in range(7)]


def test_where_nothing_would_be_left_it_is_refused():
    made, real = sets(6, 20)
    with pytest.raises(InputError, match="expected more than 3 others"):
        recall_without(made, real, np.array([0, 0, 0, 1, 1, 1]))
    with pytest.raises(InputError, match="pictures left"):
        kernel_distance_without(made, real, np.array([0, 0, 0, 0, 0, 1]))
    with pytest.raises(InputError, match="pictures in 4 splits"):
        inception_score_without(made, np.array([0, 0, 0, 1, 1, 1]), 4)


def test_parts_are_nearly_equal_random_and_the_same_every_time():
    parts = left_out_parts(128, 50)
    sizes = np.bincount(parts)
    assert (len(sizes), sizes.min(), sizes.max()) == (50, 2, 3)
    assert (np.diff(parts) != 1).mean() > 0.5
    assert left_out_parts(128, 50).tolist() == parts.tolist()
    assert sorted(left_out_parts(4, 50)) == [0, 1, 2, 3]


def test_the_jackknife_of_a_mean_is_its_standard_error_and_stays_in_the_range():
    values = np.random.default_rng(0).normal(0.5, 0.1, 30)
    without = (values.sum() - values) / 29
    low, high = jackknife_interval(values.mean(), without, 0, 1)
    error = values.std(ddof=1) / np.sqrt(30)
    assert (high - low) / 2 == pytest.approx(2.04523 * error, rel=1e-5)  # t of 29 degrees
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert jackknife_interval(0.99, np.array([0.8, 1.0]), 0, 1)[1] == 1
