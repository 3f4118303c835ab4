"""Intervals of set metrics: as wide as fresh sets scatter, over pairs, where cheap or asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pcdms_bench import set_statistics
from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.intervals import around, left_out_parts, resample_counts
from pcdms_bench.metrics.frechet import FeatureStatistics
from pcdms_bench.metrics.neighbours import manifold_scores, real_radii
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.protocols import protocol_for
from pcdms_bench.result_store import ResultStore, content_key
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.set_intervals import NO_INTERVAL, is_cheap, set_interval
from pcdms_bench.set_metrics import SET_METRICS

ON_REQUEST = replace(protocol_for("standard", "people", (96, 64)), set_intervals=True)
UNASKED = replace(ON_REQUEST, set_intervals=False)
SET_NAMES = ("fid", "kid", "precision", "recall", "density", "coverage")


class Reference:
    """Training features in memory, as a reference of pictures gives them."""

    def __init__(self, features):
        statistics = FeatureStatistics()
        statistics.update(features)
        self._known, self._features = statistics.result(), features
        self.count = len(features)
        self.memory, self.store = ScoreMemory(), ResultStore(None)
        width = features.shape[1]
        self.network = FeatureNetwork("plain@0", "none", width, 4, lambda pictures: None)

    def gaussian(self):
        return self._known

    def key(self):
        return content_key("reference", self._features.tobytes())

    def blocks(self):
        yield self._features


def rows_of(features):
    table = FeatureTable(len(features), features.shape[1])
    for i, values in enumerate(features):
        table.set(i, values.tobytes(), values)
    return FeatureRows(table, range(len(features)))


def made(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def interval(count, width, metric="fid", protocol=ON_REQUEST, owners=None, reference=None, seed=0):
    features = rows_of(made(count, width, seed))
    reference = reference or Reference(made(400, width, 1))
    chosen = SET_METRICS[metric]
    value = chosen.compute(features, reference, protocol)
    owners = range(count) if owners is None else owners
    return value, set_interval(chosen, value, features, owners, reference, protocol)


@pytest.mark.parametrize(
    "owners", [range(20), [i // 3 for i in range(20)]], ids=["single", "three"]
)
def test_the_short_way_for_few_pictures_equals_comparing_every_resample(owners):
    value, short = interval(20, 24, owners=owners)
    features, reference = rows_of(made(20, 24)), Reference(made(400, 24, 1))
    pairs = np.asarray(owners)
    values = []
    for counts in resample_counts(len(set(owners)), ON_REQUEST.set_resamples):
        drawn = np.repeat(np.arange(20), counts[pairs].astype(int))
        values.append(set_statistics.frechet(features.picked(list(drawn)), reference, ON_REQUEST))
    assert short == pytest.approx(around(value, np.array(values)), rel=1e-6)
    assert short[0] < value < short[1]


def test_many_pictures_get_an_interval_only_on_request_unless_it_is_free():
    for name in SET_NAMES:
        free = name in ("precision", "density")
        assert is_cheap(SET_METRICS[name], rows_of(made(60, 16))) is free
        assert is_cheap(SET_METRICS[name], rows_of(made(16, 16)))
        assert (interval(60, 16, name, UNASKED)[1] is not None) is free
        value, (low, high) = interval(60, 16, name)
        assert low < value < high


@pytest.mark.parametrize("metric", SET_NAMES)
def test_the_interval_is_about_as_wide_as_fresh_sets_scatter(metric):
    reference = Reference(made(400, 8, 1))
    found = [interval(80, 8, metric, reference=reference, seed=seed) for seed in range(2, 62)]
    values = np.array([value for value, _ in found])
    widths = [high - low for _, (low, high) in found]
    assert 0.8 < np.mean(widths) / (2 * 1.96 * values.std(ddof=1)) < 1.7
    held = [low <= values.mean() <= high for _, (low, high) in found]
    assert np.mean(held) >= 0.85


def test_drawing_with_repeats_would_promise_too_much_of_coverage():
    """Why it has the jackknife: other pictures than those drawn cover what is left uncovered."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(600, 8))
    radii = real_radii(real)
    values, widths = [], []
    for _ in range(30):
        x = rng.normal(size=(60, 8))
        values.append(manifold_scores(x, real, radii=radii).coverage)
        drawn = [x[rng.integers(0, 60, 60)] for _ in range(50)]
        spread = around(
            0, np.array([manifold_scores(d, real, radii=radii).coverage for d in drawn])
        )
        widths.append(spread[1] - spread[0])
    assert np.mean(widths) / (2 * 1.96 * np.std(values, ddof=1)) < 0.9


@pytest.mark.parametrize("metric", SET_NAMES)
def test_all_samples_of_a_pair_stay_together(metric):
    samples = np.repeat(made(24, 8), 4, axis=0) + 0.5 * made(96, 8, 3)
    features, reference = rows_of(samples), Reference(made(400, 8, 1))
    value = SET_METRICS[metric].compute(features, reference, ON_REQUEST)
    spans = []
    for owners in (range(96), [i // 4 for i in range(96)], [7 * (i // 4) for i in range(96)]):
        low, high = set_interval(
            SET_METRICS[metric], value, features, owners, reference, ON_REQUEST
        )
        spans.append(high - low)
    assert spans[1] == spans[2]
    if metric not in ("precision", "recall"):  # nearly all or nothing here
        assert spans[1] > 1.1 * spans[0]  # 24 pairs say less than 96


def test_the_inception_score_leaves_out_parts_of_the_pairs(monkeypatch):
    logits = np.random.default_rng(0).normal(size=(120, 20)).astype(np.float32)
    monkeypatch.setattr(set_statistics, "logits_of", lambda features: logits)
    value, (low, high) = interval(120, 2048, "is")
    assert 1 < low < value < high
    shuffled = left_out_parts(120, 50)
    assert len(set(shuffled)) == ON_REQUEST.set_resamples
    assert interval(9, 2048, "fid")[1] is not None
    monkeypatch.setattr(set_statistics, "logits_of", lambda features: logits[:10])
    assert interval(10, 2048, "is")[1] is None  # nine pictures for ten splits


@pytest.mark.parametrize("metric", SET_NAMES)
def test_too_few_pictures_have_none(metric):
    features, reference = rows_of(made(2, 8)), Reference(made(60, 8, 1))
    found = set_interval(SET_METRICS[metric], 0.5, features, range(2), reference, ON_REQUEST)
    assert found is None
    one_pair = rows_of(made(6, 8))
    found = set_interval(SET_METRICS[metric], 0.5, one_pair, [4] * 6, reference, ON_REQUEST)
    assert found is None
    assert "too few pictures" in NO_INTERVAL
