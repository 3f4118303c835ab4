"""KID: equal to torch-fidelity on the same features, unbiased, honest about small sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import (
    KEY_METRIC_KID_MEAN,
    KEY_METRIC_KID_STD,
    kid_features_to_metric,
)

from pcdms_bench.metrics.kernel_distance import kernel_distance
from pcdms_data.types import InputError


def sets(n=60, m=80, width=24, shift=0.3, dtype=np.float64):
    rng = np.random.default_rng(0)
    return (
        (rng.gamma(2, 0.3, (n, width)) + shift).astype(dtype),
        rng.gamma(2, 0.3, (m, width)).astype(dtype),
    )


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_equals_torch_fidelity_on_the_same_features(dtype, digits):
    a, b = sets(dtype=dtype)
    library = kid_features_to_metric(
        torch.from_numpy(a), torch.from_numpy(b), kid_subsets=20, kid_subset_size=40, verbose=False
    )
    found = kernel_distance(a, b, subsets=20, subset_size=40)
    assert found.value == pytest.approx(library[KEY_METRIC_KID_MEAN], rel=digits)
    assert found.deviation == pytest.approx(library[KEY_METRIC_KID_STD], rel=100 * digits)
    assert found.subset_size == 40


def test_default_subsets_are_those_of_torch_fidelity():
    a, b = sets(1010, 1020, 4)
    library = kid_features_to_metric(torch.from_numpy(a), torch.from_numpy(b), verbose=False)
    assert kernel_distance(a, b).value == pytest.approx(library[KEY_METRIC_KID_MEAN], rel=1e-10)


def test_is_unbiased_around_zero_for_equal_distributions():
    rng = np.random.default_rng(1)
    found = [
        kernel_distance(rng.normal(size=(30, 8)), rng.normal(size=(30, 8))).value
        for _ in range(300)
    ]
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_small_sets_shrink_the_subset_and_say_so():
    a, b = sets(12, 12)
    found = kernel_distance(a, b)
    assert (found.subset_size, found.deviation) == (12, 0)
    other = kernel_distance(a, b, subsets=5, subset_size=12)
    assert found.value == pytest.approx(other.value)
    assert kernel_distance(a, sets(12, 30)[1]).subset_size == 12


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((3, 4)), np.zeros((3, 5)), "expected"),
        (np.zeros((1, 4)), np.zeros((3, 4)), "at least 2"),
        (np.full((3, 4), np.nan), np.zeros((3, 4)), "NaN"),
    ],
)
def test_unusable_features_are_refused(a, b, words):
    with pytest.raises(InputError, match=words):
        kernel_distance(a, b)
