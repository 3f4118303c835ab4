"""Set metrics from feature tables: the plain functions' values, each set passed over once."""

from __future__ import annotations

import numpy as np
import pytest

from pcdms_bench import feature_rows, set_statistics
from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.metrics.kernel_distance import kernel_distance
from pcdms_bench.metrics.neighbours import manifold_scores
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.picture_views import View
from pcdms_bench.protocols import protocol_for
from pcdms_bench.reference_features import reference_for
from pcdms_bench.result_store import ResultStore
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.types import Picture

PROTOCOL = protocol_for("standard", "people", (12, 8))
WIDTH = 12


def channel_statistics(pictures):
    """Twelve plain features of uint8 (B, H, W, 3)."""
    flat = pictures.reshape(len(pictures), -1, 3).astype(np.float32) / 255
    parts = [flat.mean(1), flat.std(1), flat[:, :20].mean(1), flat[:, -20:].mean(1)]
    return np.concatenate(parts, 1).astype(np.float32)


@pytest.fixture(params=[50_000_000, 100], ids=["in-memory", "in-a-file"])
def sets(request, tmp_path, monkeypatch):
    """Generated features, a reference of pictures on disk, and the latter's true features."""
    monkeypatch.setattr(feature_rows, "IN_MEMORY_BYTES", request.param)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 12, 8, 3), np.uint8)
    np.save(tmp_path / "train.npy", pictures)
    handles = [Picture(f"t{i:03}.png", tmp_path / "train.npy", i) for i in range(40)]
    calls = []

    def features(chunk):
        calls.append(len(chunk))
        return channel_statistics(chunk)

    network = FeatureNetwork("plain@0", "none", WIDTH, 4, features)
    reference = reference_for(handles, network, View(), None, ResultStore(None), ScoreMemory())
    made = channel_statistics(rng.integers(0, 220, (25, 12, 8, 3), np.uint8))
    table = FeatureTable(25, WIDTH)
    for row, values in enumerate(made):
        table.set(row, bytes([row]), values)
    return FeatureRows(table, range(25)), reference, made, channel_statistics(pictures), calls


def test_values_are_those_of_the_plain_functions_and_pictures_pass_once(sets):
    rows, reference, made, true, calls = sets
    expected = manifold_scores(made, true)
    for name in ("precision", "recall", "density", "coverage"):
        found = getattr(set_statistics, name)(rows, reference, PROTOCOL)
        assert found == pytest.approx(getattr(expected, name)), name
    found = set_statistics.kernel(rows, reference, PROTOCOL)
    assert found == pytest.approx(kernel_distance(made, true).value, rel=1e-12)
    assert sum(calls) == 40


def test_notes_say_when_a_number_is_only_indicative():
    assert set_statistics.kernel_note(1000, 2000, PROTOCOL) == ""
    assert "subsets of 30 pictures" in set_statistics.kernel_note(30, 2000, PROTOCOL)
    assert "30 against 2000" in set_statistics.manifold_note(30, 2000, PROTOCOL)
    assert "128 pictures in 10 splits" in set_statistics.inception_note(128, 0, PROTOCOL)
    assert set_statistics.inception_note(8570, 0, PROTOCOL) == ""
