"""Intervals of set metrics: cheap and thorough resampling agree, and repeats mislead nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.metrics.frechet import FeatureStatistics
from pcdms_bench.protocols import protocol_for
from pcdms_bench.set_intervals import is_cheap, set_interval
from pcdms_bench.set_metrics import SET_METRICS

ON_REQUEST = replace(protocol_for("standard", "people", (96, 64)), set_intervals=True)
UNASKED = replace(ON_REQUEST, set_intervals=False)


class Reference:
    """Training features in memory, as a reference of pictures gives them."""

    def __init__(self, features):
        statistics = FeatureStatistics()
        statistics.update(features)
        self._known = statistics.result()
        self.count = len(features)

    def gaussian(self):
        return self._known


def rows_of(features):
    table = FeatureTable(len(features), features.shape[1])
    for i, values in enumerate(features):
        table.set(i, bytes([i % 256]), values)
    return FeatureRows(table, range(len(features)))


def made(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def interval(count, width, metric="fid", protocol=ON_REQUEST, owners=None, forced=None):
    features, reference = rows_of(made(count, width)), Reference(made(400, width, 1))
    chosen = forced or SET_METRICS[metric]
    value = chosen.compute(features, reference, protocol)
    owners = range(count) if owners is None else owners
    return value, set_interval(chosen, value, features, owners, reference, protocol)


def test_the_short_way_for_few_pictures_equals_comparing_every_resample():
    metric = SET_METRICS["fid"]
    value, short = interval(20, 24)
    _, thorough = interval(20, 24, forced=replace(metric, resampled=None))
    assert short == pytest.approx(thorough, rel=1e-6)
    assert short[0] < value < short[1]


def test_many_pictures_get_an_interval_only_on_request():
    assert not is_cheap(SET_METRICS["fid"], rows_of(made(60, 16)))
    assert interval(60, 16, protocol=UNASKED)[1] is None
    value, (low, high) = interval(60, 16)
    assert low < value < high
    wide = interval(40, 16)[1]
    assert high - low < wide[1] - wide[0]


def test_the_interval_is_about_as_wide_as_fresh_sets_scatter():
    reference = Reference(made(400, 8, 1))
    values = [
        SET_METRICS["fid"].compute(rows_of(made(80, 8, seed)), reference, ON_REQUEST)
        for seed in range(2, 62)
    ]
    _, (low, high) = interval(80, 8)
    scatter = np.percentile(values, 97.5) - np.percentile(values, 2.5)
    assert 0.5 < (high - low) / scatter < 2


def test_all_samples_of_a_pair_are_drawn_together():
    alone = interval(30, 8)[1]
    together = interval(30, 8, owners=[i // 3 for i in range(30)])[1]
    assert together != alone


def test_metrics_that_repeats_mislead_have_no_interval():
    for name in ("precision", "recall", "density", "coverage", "is"):
        assert not SET_METRICS[name].bears_repeats
        features, reference = rows_of(made(30, 8)), Reference(made(60, 8, 1))
        found = set_interval(SET_METRICS[name], 0.5, features, range(30), reference, ON_REQUEST)
        assert found is None
    assert SET_METRICS["kid"].bears_repeats
