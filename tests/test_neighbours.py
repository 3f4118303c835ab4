"""Precision, recall, density, coverage and nearest rows against definitions written plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch_fidelity.metric_prc import calculate_precision_recall_full

from pcdms_bench.metrics import distance_blocks
from pcdms_bench.metrics.neighbours import manifold_scores, nearest_rows
from pcdms_data.types import InputError


def sets(n=90, m=130, width=6):
    rng = np.random.default_rng(3)
    return rng.normal(0.5, 0.8, (n, width)) + 40, rng.normal(0, 1, (m, width)) + 40


def by_definition(made, real, k, dense):
    """Loops over pictures, distances from scipy."""
    between = cdist(real, made)
    within = [np.sort(cdist(s, s), axis=1) for s in (real, made)]  # column 0 is the row itself
    real_radius, made_radius, dense_radius = within[0][:, k], within[1][:, k], within[0][:, dense]
    n, m = len(made), len(real)
    precision = sum(any(between[i, j] <= real_radius[i] for i in range(m)) for j in range(n)) / n
    recall = sum(any(between[i, j] <= made_radius[j] for j in range(n)) for i in range(m)) / m
    density = sum(between[i, j] <= dense_radius[i] for i in range(m) for j in range(n))
    coverage = sum(between[i].min() <= dense_radius[i] for i in range(m)) / m
    return precision, recall, density / (dense * n), coverage


@pytest.fixture(params=[(512, 4096), (7, 11)], ids=["one-block", "many-blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(distance_blocks, "ROWS", request.param[0])
    monkeypatch.setattr(distance_blocks, "COLUMNS", request.param[1])


@pytest.mark.parametrize(("k", "dense"), [(3, 5), (1, 2), (4, 3)])
def test_equals_the_definitions(block, k, dense):
    made, real = sets()
    found = manifold_scores(made, real, k, dense)
    expected = by_definition(made, real, k, dense)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected)
    assert 0 < found.recall < 1


def test_precision_and_recall_equal_torch_fidelity(block):
    made, real = sets()
    expected = calculate_precision_recall_full(torch.from_numpy(made), torch.from_numpy(real))
    found = manifold_scores(made, real)
    assert (found.precision, found.recall) == pytest.approx(expected)


def test_equal_sets_are_perfect_and_far_ones_hopeless(block):
    real = sets()[1].astype(np.float32)
    same = manifold_scores(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert same.density > 1
    far = manifold_scores(real + 100, real)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_one_picture_repeated_is_precise_but_covers_nothing(block):
    real = sets()[1]
    found = manifold_scores(np.repeat(real[:1], 20, axis=0), real)
    assert found.precision == 1
    assert found.recall == pytest.approx(1 / len(real))
    assert found.coverage < 0.2


def test_nearest_rows_equal_scipy_and_copies_have_distance_zero(block):
    made, real = sets()
    made[5] = real[77]
    distances = cdist(made, real)
    index, nearest = nearest_rows(made, real)
    np.testing.assert_array_equal(index, distances.argmin(1))
    np.testing.assert_allclose(nearest, distances.min(1), atol=1e-9)
    assert (index[5], nearest[5]) == (77, 0)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((3, 4)), np.zeros((30, 4)), "3 generated pictures, expected more than 3"),
        (np.zeros((30, 4)), np.zeros((5, 4)), "5 real pictures, expected more than 5"),
        (np.zeros((30, 4)), np.full((30, 4), np.inf), "NaN"),
    ],
)
def test_sets_without_enough_neighbours_are_refused(a, b, words):
    with pytest.raises(InputError, match=words):
        manifold_scores(a, b)


def test_nearest_rows_refuse_other_widths_and_nothing_to_compare_with():
    with pytest.raises(InputError, match="expected"):
        nearest_rows(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="no pictures"):
        nearest_rows(np.zeros((2, 3)), np.zeros((0, 3)))
