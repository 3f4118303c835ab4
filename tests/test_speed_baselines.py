"""The measured times of the methods without learning: all of them, real work, and honest sums."""

import json

import pytest
from bench_fixture import call

from pcdms_baselines.methods import METHODS
from pcdms_bench import speed_baselines
from pcdms_bench.speed_baselines import BaselineSpeed, baseline_speed

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


def test_every_method_without_learning_is_measured(monkeypatch):
    monkeypatch.setattr(speed_baselines, "FRAME", (64, 32))
    monkeypatch.setattr(speed_baselines, "TRAINING", 50)
    monkeypatch.setattr(speed_baselines, "NETWORK_PAIRS", 2)
    seen = []
    found = baseline_speed(4, "smoke", lambda done, total: seen.append((done, total)))
    bounds = [entry for entry in METHODS.values() if entry.kind in ("floor", "ceiling")]
    names = [name for entry in bounds for name in (entry.name, *entry.variants)]
    assert [one.method for one in found] == names
    assert seen[-1] == (len(found), len(found))
    assert all(one.cpu_s > 0 and one.wall_s > 0 and one.setup_s >= 0 for one in found)
    assert {one.pairs for one in found if not one.network} == {4}
    assert {one.method for one in found if one.network} == {"vae-roundtrip", "vae-roundtrip-native"}


def test_the_whole_list_is_its_pairs_and_the_setup():
    one = BaselineSpeed("x", 10, 0.02, 0.05, 12.0, False)
    assert one.whole_s == pytest.approx(12 + 0.02 * 8570)
    assert one.within
    assert not BaselineSpeed("x", 10, 0.08, 0.09, 0.0, False).within
    assert BaselineSpeed("x", 10, 0.08, 0.09, 0.0, True).within is None


@pytest.mark.slow
def test_the_command_prints_a_line_a_method():
    result = call("speed", "baselines", "--pairs", 2, "--json")
    assert result.exit_code == 0, result.output
    rows = {row["method"]: row for row in json.loads(result.stdout)["rows"]}
    assert rows["copy-source"]["within"]
    assert rows["vae-roundtrip"]["within"] is None
