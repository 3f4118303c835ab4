"""Memorisation: a method that hands out training pictures is found, others are measured fairly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bench_fixture import call, error_line
from scipy.spatial.distance import cdist

from pcdms_bench.memorisation import COLUMNS, GAP, check_memorisation
from pcdms_bench.metrics.networks import feature_network
from pcdms_bench.run_folder import read_table
from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

SIZE = (96, 64)
PAIRS = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        result = call(
            "run", "--size", "smoke", "--out", out, "--methods", "nearest-pose,copy-source",
            "--metrics", "l1", "--device", "cpu", "--limit", PAIRS, "--resolution", "96x64",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        yield {path.parent.name: path for path in out.glob("*/*/*") if path.is_dir()}, out


def test_a_method_that_hands_out_training_pictures_is_found(runs):
    places, _ = runs
    found = check_memorisation(places["nearest-pose"])
    assert (found.table["distance"] == 0).all()
    assert found.suspects == {"final": PAIRS}
    train = load_pairs("people", split="train", size="smoke", resolution=SIZE, limit=1).gallery
    handles = {picture.name: picture for picture in train.pictures}
    for row in found.table.itertuples():
        path = places["nearest-pose"] / "samples" / "final" / f"{row.pair}.png"
        made = load_picture(Picture(path.name, path))
        np.testing.assert_array_equal(made, load_picture(handles[row.nearest], SIZE))


def test_distances_are_those_of_the_features(runs):
    places, _ = runs
    found = check_memorisation(places["copy-source"])
    pairs = list(load_pairs("people", size="smoke", resolution=SIZE, limit=PAIRS))
    train = load_pairs("people", split="train", size="smoke", resolution=SIZE, limit=1).gallery
    network = feature_network("fd_efficientnet_lite0")

    def embed(handles):
        return network.features(np.stack([load_picture(h, SIZE) for h in handles]))

    known = embed(train.pictures)
    sources = cdist(embed([pair.source for pair in pairs]), known).min(1)
    targets = cdist(embed([pair.target for pair in pairs]), known).min(1)
    table = found.table.set_index("pair")
    for pair, distance, target in zip(pairs, sources, targets, strict=True):
        assert table.loc[pair.pair_id, "distance"] == pytest.approx(distance, rel=1e-3)
        assert table.loc[pair.pair_id, "target_distance"] == pytest.approx(target, rel=1e-3)
    assert found.threshold == pytest.approx(np.quantile(targets, 0.01), rel=1e-3)
    assert found.suspects["final"] < PAIRS


def test_the_command_leaves_a_table_and_a_grid_and_changes_nothing_when_repeated(runs):
    places, out = runs
    result = call("memorisation", out, "--json", "--device", "cpu")
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)
    assert len(answers) == 2
    place = places["copy-source"]
    rows = read_table(place / "memorisation.csv", COLUMNS)
    assert len(rows) == PAIRS
    assert [float(row["distance"]) for row in rows] == sorted(float(r["distance"]) for r in rows)
    path = place / "memorisation.png"
    grid = load_picture(Picture(path.name, path))
    assert grid.shape == (PAIRS * (96 + GAP) + GAP, 4 * (64 + GAP) + GAP, 3)
    first = place / "samples" / "final" / f"{rows[0]['pair']}.png"
    np.testing.assert_array_equal(
        grid[GAP : GAP + 96, GAP : GAP + 64], load_picture(Picture(first.name, first))
    )
    before = {f: f.stat().st_mtime_ns for f in (place / "memorisation.csv",)}
    result = call("memorisation", place, "--device", "cpu")
    assert "nearer to a training picture" in result.stdout
    assert before == {f: f.stat().st_mtime_ns for f in before}


def test_unusable_folders_are_refused_in_one_line(tmp_path, runs):
    assert "holds no run folder" in error_line(call("memorisation", tmp_path))
    with pytest.raises(InputError, match=r"spec\.json"):
        check_memorisation(tmp_path)
    place = runs[0]["copy-source"]
    for file in (place / "samples" / "final").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="holds no pictures"):
        check_memorisation(place)
