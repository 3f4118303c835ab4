"""`reid` from pictures to table: what is trained on what, kept, repeated, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_fixture import call, error_line, save_noise
from safetensors.torch import load_file
from test_persons import write_market

from pcdms_bench.intervals import mean_interval
from pcdms_bench.reid.cells import RESAMPLES
from pcdms_bench.reid.evaluation import Embedded, score_queries
from pcdms_bench.reid.network import ReidNetwork, embed
from pcdms_bench.run_folder import read_json
from pcdms_data.images import load_picture
from pcdms_data.persons import load_persons
from pcdms_reports.reid_results import read_reid

pytestmark = pytest.mark.usefixtures("one_thread")
PAIRS = 40
STEPS = 3


def reid(out, *words, runs=None):
    given = ("--runs", runs) if runs else ()
    return call(
        "reid", "--size", "smoke", "--steps", STEPS, "--device", "cpu", "--out", out, *given, *words
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("runs")
    result = call(
        "run", "--dataset", "people-street", "--size", "smoke", "--split", "train", "--out", out,
        "--methods", "limb-warp,target-copy", "--metrics", "l1", "--limit", PAIRS,
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out / "people-street-train"


@pytest.fixture(scope="module")
def limb_warp(runs):
    return next((runs / "limb-warp").iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory, limb_warp):
    """Two cells: half of the real pictures, alone and with generated ones."""
    out = tmp_path_factory.mktemp("reid")
    result = reid(out, "--fractions", "50", runs=limb_warp)
    assert result.exit_code == 0, result.output
    return out, result


def stamps(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_rows_say_what_each_network_was_trained_on(finished, limb_warp):
    out, result = finished
    alone, filled = read_reid(out / "reid.csv")
    split = load_persons("people-street", size="smoke")
    assert (alone.method, filled.method) == ("none", "limb-warp")
    assert (alone.fraction, alone.real_pictures, alone.generated_pictures) == (50, 32, 0)
    made = len(list((limb_warp / "samples" / "final").glob("*.png")))
    assert made == PAIRS
    assert 0 < filled.generated_pictures < PAIRS
    for row in (alone, filled):
        assert (row.dataset, row.seed, row.status, row.reason) == ("people-street", 0, "ok", "")
        assert (row.n, row.gallery) == (len(split.query), len(split.gallery))
        assert row.network == f"resnet10 64x32, random start, {STEPS} steps"
        assert 0 <= row.map_low <= row.map <= row.map_high <= 100
    lines = [line.split() for line in result.stdout.splitlines()]
    (shown,) = [line for line in lines if line[:3] == ["50", "%", "limb-warp"]]
    assert shown[3:6] == [
        str(filled.real_pictures), str(filled.generated_pictures), f"{filled.map:.1f}",
    ]  # fmt: skip


def test_the_kept_network_gives_the_scores_of_its_row(finished):
    out, _ = finished
    split = load_persons("people-street", size="smoke")
    pixels = np.stack([load_picture(one.picture, (64, 32)) for one in split.query])
    table = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for row in read_reid(out / "reid.csv"):
        folder = out / f"050-{row.method}-seed0"
        network = ReidNetwork("resnet10", 16)
        network.load_state_dict(load_file(folder / "network.safetensors"), strict=True)
        side = Embedded(
            embed(network, table, 5),
            [one.person for one in split.query],
            [one.camera for one in split.query],
        )
        scores = score_queries(side, side)
        assert row.map == pytest.approx(100 * scores.mean_precision, abs=0.01)
        assert row.rank1 == pytest.approx(100 * scores.rate(1))
        low, high = mean_interval(scores.precision, RESAMPLES)
        assert (row.map_low, row.map_high) == pytest.approx((100 * low, 100 * high), abs=0.01)
        cell = read_json(folder / "cell.json")
        assert cell["rates"]["5"] == pytest.approx(100 * scores.rate(5))
        queries = (folder / "queries.csv").read_text().splitlines()
        assert len(queries) == 1 + row.n
        assert not (folder / "checkpoint.pt").exists(), "three times the network's size"


def test_the_same_command_changes_nothing_and_a_larger_one_trains_what_is_new(finished, limb_warp):
    out, _ = finished
    before = stamps(out)
    again = reid(out, "--fractions", "50", "--json", runs=limb_warp)
    assert again.exit_code == 0, again.output
    changed = {path.name for path, stamp in stamps(out).items() if before.get(path) != stamp}
    assert changed <= {"reid.csv"}
    rows = json.loads(again.stdout)
    assert [row["map"] for row in rows] == [row.map for row in read_reid(out / "reid.csv")]
    more = reid(out, "--fractions", "50", "--seed", "1")
    assert more.exit_code == 0, more.output
    kept = stamps(out)
    assert all(kept[path] == stamp for path, stamp in before.items() if path.name != "reid.csv")
    assert [(row.method, row.seed) for row in read_reid(out / "reid.csv")] == [
        ("none", 0), ("none", 1), ("limb-warp", 0),
    ]  # fmt: skip
    shutil.rmtree(out / "050-none-seed1")


def test_another_folder_gives_the_same_networks(finished, limb_warp, tmp_path):
    out, _ = finished
    result = reid(tmp_path, "--fractions", "50", runs=limb_warp)
    assert result.exit_code == 0, result.output
    for row in read_reid(tmp_path / "reid.csv"):
        name = Path(f"050-{row.method}-seed0") / "network.safetensors"
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_changed_pictures_are_trained_on_again(limb_warp, tmp_path):
    run = Path(shutil.copytree(limb_warp, tmp_path / "runs" / limb_warp.name))
    out = tmp_path / "reid"
    assert reid(out, "--fractions", "100", runs=run).exit_code == 0
    first = {row.method: row for row in read_reid(out / "reid.csv")}
    picture = sorted((run / "samples" / "final").iterdir())[0]
    save_noise(picture, 7)
    before = stamps(out)
    assert reid(out, "--fractions", "100", runs=run).exit_code == 0
    changed = {path.parent.name for path, s in stamps(out).items() if before[path] != s}
    assert changed <= {"100-limb-warp-seed0", out.name}
    assert "100-limb-warp-seed0" in changed
    assert {row.method: row.real_pictures for row in read_reid(out / "reid.csv")} == {
        name: row.real_pictures for name, row in first.items()
    }


def test_an_interrupted_cell_goes_on_where_it_stopped(finished, tmp_path, monkeypatch):
    import pcdms_bench.reid.cells as cells

    real, seen = cells.train, []

    def stopping(*words, **named):
        def stop(step, steps, value):
            if step == 2:
                raise KeyboardInterrupt

        return real(*words[:6], stop, **named)

    def watching(*words, **named):
        words = (*words[:6], lambda step, steps, value: seen.append(step))
        return real(*words, **named)

    monkeypatch.setattr(cells, "train", stopping)
    assert reid(tmp_path, "--fractions", "50").exit_code == 130
    assert not (tmp_path / "reid.csv").exists()
    monkeypatch.setattr(cells, "train", watching)
    assert reid(tmp_path, "--fractions", "50").exit_code == 0
    assert seen == [3]
    name = Path("050-none-seed0") / "network.safetensors"
    assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


def test_seeds_are_trained_apart_and_shown_as_mean_and_deviation(tmp_path):
    result = reid(tmp_path, "--fractions", "25", "--repeat-seeds", "2")
    assert result.exit_code == 0, result.output
    first, second = read_reid(tmp_path / "reid.csv")
    assert (first.seed, second.seed) == (0, 1)
    assert first.map != second.map
    mean = (first.map + second.map) / 2
    deviation = abs(first.map - second.map) / 2**0.5
    assert f"{mean:.1f} ± {deviation:.1f}" in result.stdout


def test_pictures_that_know_the_targets_are_marked_and_none_left_is_no_score(runs, tmp_path):
    result = reid(
        tmp_path, "--fractions", "50,100", "--generated", "rest",
        runs=next((runs / "target-copy").iterdir()),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = {(row.method, row.fraction): row for row in read_reid(tmp_path / "reid.csv")}
    half, whole = rows["target-copy", 50], rows["target-copy", 100]
    assert (half.status, half.with_generated) == ("indicative", True)
    assert "hands out real pictures" in half.reason
    assert (whole.status, whole.map, whole.generated_pictures) == ("unavailable", None, 0)
    assert "no generated picture of target-copy can join 100 %" in whole.reason
    assert {row.network for row in rows.values()} == {
        f"resnet10 64x32, random start, {STEPS} steps, generated pictures for the rest alone"
    }
    assert "n/a" in result.stdout


def test_a_dry_run_counts_and_writes_nothing(limb_warp, tmp_path):
    out = tmp_path / "out"
    result = reid(out, "--fractions", "25,100", "--dry-run", runs=limb_warp)
    assert result.exit_code == 0, result.output
    assert "025-none-seed0: 16 real and 0 generated pictures" in result.stdout
    assert f"100-limb-warp-seed0: 64 real and {PAIRS} generated pictures" in result.stdout
    assert not out.exists()


def test_market_is_trained_and_searched_with_its_query_folder(tmp_path):
    root = write_market(tmp_path / "market")
    result = call(
        "reid", "--dataset", "market1501", "--root", root, "--steps", 2, "--fractions", "100",
        "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (row,) = read_reid(tmp_path / "out" / "reid.csv")
    assert (row.n, row.gallery, row.real_pictures) == (2, 3, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fractions", "20,120"), "fraction '120'"),
        (("--dataset", "people"), "names no cameras"),
        (("--preset", "huge"), "unknown preset 'huge'"),
        (("--generated", "some"), "unknown rule for generated pictures 'some'"),
        (("--runs", "nowhere"), "nowhere holds no run folder"),
        (("--start-from", "absent.pth"), "absent.pth: no such file"),
        (("--root", "somewhere"), "takes no --root"),
        (("--device", "tpu"), "device 'tpu'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_values_are_one_line_and_leave_nothing(words, said, tmp_path, cache):
    result = reid(tmp_path / "out", *words)
    assert result.exit_code == 2
    assert said in error_line(result)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_networks_is_refused(finished, runs, limb_warp, tmp_path):
    out = Path(shutil.copytree(finished[0], tmp_path / "out"))
    for words, said in (
        (("--steps", 4), "holds networks with network 'resnet10 64x32, random start, 3 steps'"),
        (("--generated", "rest"), "holds networks with network"),
    ):
        result = reid(out, "--fractions", "50", *words)
        assert (result.exit_code, said in error_line(result)) == (2, True), result.stderr
    record = out / "050-limb-warp-seed0" / "cell.json"
    stored = read_json(record)
    record.write_text(json.dumps({**stored, "run": "00000000 final"}))
    result = reid(out, "--fractions", "50", runs=limb_warp)
    assert "holds networks for limb-warp of run 00000000 final, now" in error_line(result)
    record.write_text(json.dumps({**stored, "row": {"method": "none"}}))
    result = reid(out, "--fractions", "50")
    assert "cell.json: holds no row of a table" in error_line(result)
    assert result.exit_code == 2


def test_a_damaged_picture_is_named(limb_warp, tmp_path):
    run = Path(shutil.copytree(limb_warp, tmp_path / "runs" / limb_warp.name))
    picture = sorted((run / "samples" / "final").iterdir())[0]
    picture.write_bytes(picture.read_bytes()[:100])
    result = reid(tmp_path / "out", "--fractions", "100", runs=run)
    assert result.exit_code == 2
    assert f"{picture.name} is cut short" in result.stderr.strip().splitlines()[-1]
    rows = read_reid(tmp_path / "out" / "reid.csv")
    assert [row.method for row in rows] == ["none"], "what was finished before is kept"
