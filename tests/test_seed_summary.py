"""Several seeds in one command: a run folder each, and mean and deviation over them."""

from __future__ import annotations

import csv
import json
import statistics

import pytest
from bench_fixture import call, error_line, save_folder_dataset

from pcdms_bench.run_folder import read_json, run_folders


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from micro_model import pipeline

    folder = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_every_seed_has_its_own_run_and_the_summary_is_that_of_their_rows(weights, tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    words = (
        "run", "--dataset", "folder", "--root", root, "--resolution", "32x16", "--limit", 2,
        "--methods", "pcdms,copy-source", "--weights", weights, "--steps", 1, "--prior-steps", 1,
        "--stages", "prior+inpaint", "--metrics", "l1", "--device", "cpu", "--seed", 4,
        "--out", tmp_path / "runs",
    )  # fmt: skip
    result = call(*words, "--repeat-seeds", 3, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    specs = [run["spec"] for run in document["runs"]]
    assert [spec["seed"] for spec in specs if spec["method"] == "pcdms"] == [4, 5, 6]
    assert len([spec for spec in specs if spec["method"] == "copy-source"]) == 1
    assert len(run_folders(tmp_path / "runs")) == 4
    values = [
        row["value"] for run in document["runs"] for row in run["scores"]
        if row["method"] == "pcdms"
    ]  # fmt: skip
    assert len(set(values)) == 3
    (row,) = document["over_seeds"]
    assert (row["method"], row["stage"], row["metric"], row["n"]) == ("pcdms", "inpaint", "l1", 2)
    assert row["mean"] == pytest.approx(statistics.fmean(values))
    assert row["deviation"] == pytest.approx(statistics.stdev(values))
    assert (row["lowest"], row["highest"]) == (min(values), max(values))
    assert row["seeds"] == "4 5 6"
    with (tmp_path / "runs" / "seeds.csv").open(newline="") as file:
        assert [float(line["mean"]) for line in csv.DictReader(file)] == [row["mean"]]
    assert " ± " in (tmp_path / "runs" / "tables" / "seeds.md").read_text()
    text = call(*words, "--repeat-seeds", 3)
    assert "Mean and deviation over seeds" in text.output
    assert "--repeat-seeds" not in text.output
    fixed = call(*words, "--methods", "copy-source", "--repeat-seeds", 2)
    assert "nothing here is random" in fixed.stderr
    assert "over seeds" not in fixed.stdout
    once = call(*words, "--json")
    assert json.loads(once.stdout)["over_seeds"] == []


def test_a_layout_is_named_stored_and_guarded(tmp_path):
    root = save_folder_dataset(tmp_path / "data")
    words = (
        "run", "--dataset", "folder", "--root", root, "--methods", "copy-source",
        "--metrics", "l1", "--device", "cpu", "--out", tmp_path / "runs",
    )  # fmt: skip
    assert call(*words, "--layout", "folder").exit_code == 0
    (folder,) = run_folders(tmp_path / "runs")
    assert read_json(folder / "status.json")["layout"] == "folder"
    assert call("score", tmp_path / "runs", "--metrics", "l1", "--device", "cpu").exit_code == 0
    status = read_json(folder / "status.json") | {"layout": "patn"}
    (folder / "status.json").write_text(json.dumps(status))
    assert "layout patn, not folder" in error_line(call(*words))
    assert "did you mean 'folder'" in error_line(call(*words, "--layout", "foldr"))
    assert "no --layout" in error_line(call("run", "--layout", "folder", "--dry-run"))
    wrong = call(*words, "--layout", "patn")
    assert wrong.exit_code == 2
