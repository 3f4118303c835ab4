"""Runs of several folders on one page: what is compared pair by pair, what stands apart and why."""

import csv
import html
import json
from shutil import copytree

import numpy as np
import pytest
from bench_fixture import call
from report_fixture import row

from pcdms_reports.folders import find_runs
from pcdms_reports.merging import merge_runs, merging_notices
from pcdms_reports.page import write_report
from pcdms_reports.scores import write_scores

PAIRS = [f"a{i}_to_b{i}" for i in range(8)]
PROTOCOL = "standard@96x64"


def make_run(out, method, run, pairs=PAIRS, shift=0.0, protocol=PROTOCOL, dataset="people", **spec):
    """One run of a single step with values per pair around 0.5 + `shift`."""
    folder = out / f"{dataset}-test" / method / run
    draw = np.random.default_rng(len(pairs))
    values = 0.5 + shift + draw.normal(0, 0.01, len(pairs))
    fields = {
        "run": run, "method": method, "stages": "final", "stage": "final", "dataset": dataset,
        "n": len(pairs), "n_expected": len(pairs),
    }  # fmt: skip
    rows = [
        row("ssim", float(values.mean()), protocol=protocol, **fields),
        row("parameters", 1.0, protocol="", resolution="", **fields),
    ]
    write_scores(rows, folder / "scores.csv")
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pair", "stage", "protocol", "metric", "value"))
        for pair, value in zip(pairs, values, strict=True):
            writer.writerow((pair, "final", protocol, "ssim", repr(float(value))))
    known = {"dataset": dataset, "size": "mini", "data_seed": 0, "method": method} | spec
    (folder / "spec.json").write_text(json.dumps(known))
    status = {"state": "complete", "pair_ids": list(pairs), "failed": {}}
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def report(tmp_path, *roots):
    result = call("report", *roots, "--out", tmp_path / "page")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    return result.stderr.strip().splitlines(), page


def test_runs_of_two_folders_on_the_same_pairs_are_one_comparison_with_paired_tests(tmp_path):
    a = make_run(tmp_path / "a", "limb-warp", "11111111", shift=0.1)
    b = make_run(tmp_path / "b", "mean-image", "22222222", pairs=PAIRS[::-1])
    lines, page = report(tmp_path, tmp_path / "a", b)
    assert lines == []
    assert page.count("<section id=") == 1
    assert "Pair by pair: limb-warp against the others" in page
    assert "not merged" not in page
    assert merging_notices([a, b]) == ()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"dataset": "market1501"}, "dataset and split (people-test and market1501-test)"),
        ({"size": "full"}, "size (mini and full)"),
        ({"data_seed": 3}, "data seed (0 and 3)"),
        ({"convention": "lowres_crop"}, "convention of the pictures (none and lowres_crop)"),
        ({"pairs": PAIRS[:5]}, "their pairs (8 and 5)"),
        ({"pairs": [*PAIRS[1:], "c_to_d"]}, "their pairs (both 8, lists "),
        ({"protocol": "pidm@96x64"}, "protocol (standard@96x64 and pidm@96x64)"),
    ],
)
def test_what_must_not_be_merged_stands_apart_with_the_reason(tmp_path, other, reason):
    make_run(tmp_path / "a", "limb-warp", "11111111", shift=0.1)
    make_run(tmp_path / "b", "mean-image", "22222222", **other)
    lines, page = report(tmp_path, tmp_path / "a", tmp_path / "b")
    assert len(lines) == 1
    assert lines[0].startswith("not merged: ")
    assert reason in lines[0]
    assert lines[0] in html.unescape(page)
    assert page.count("<section id=") == 2
    assert "Pair by pair" not in page
    for section in page.split("<section id=")[1:]:
        assert ("limb-warp</th>" in section) != ("mean-image</th>" in section)
    tables = [path.name for path in (tmp_path / "page" / "tables").iterdir()]
    assert len(tables) == 2, tables


def test_two_protocols_of_the_same_runs_need_no_reason(tmp_path):
    folder = make_run(tmp_path, "limb-warp", "11111111")
    first = find_runs(folder)[0].scores
    other = first[first["protocol"] != ""].assign(protocol="pidm@96x64").astype(first.dtypes)
    import pandas as pd

    write_scores(pd.concat([first, other]), folder / "scores.csv")
    lines, page = report(tmp_path, folder)
    assert lines == []
    assert page.count("<section id=") == 2


def test_a_copy_of_a_run_is_shown_once_and_another_result_of_it_under_its_folder(tmp_path):
    make_run(tmp_path / "a", "limb-warp", "11111111")
    copytree(tmp_path / "a", tmp_path / "b")
    lines, page = report(tmp_path, tmp_path / "a", tmp_path / "b")
    assert lines == ["shown once: limb-warp [11111111] has equal scores in a and b"]
    assert "limb-warp [" not in page.partition("How each run was made")[0].replace(lines[0], "")
    make_run(tmp_path / "b", "limb-warp", "11111111", shift=0.2)
    lines, page = report(tmp_path, tmp_path / "a", tmp_path / "b")
    assert lines == []
    assert "limb-warp [11111111 in a]" in page
    assert "Pair by pair: limb-warp [11111111 in b] against the others" in page


def test_a_run_that_names_no_pairs_joins_the_only_list_of_its_length(tmp_path):
    make_run(tmp_path, "limb-warp", "11111111")
    silent = make_run(tmp_path, "mean-image", "22222222")
    (silent / "status.json").unlink()
    assert len(merge_runs(find_runs(tmp_path)).parts) == 1
    make_run(tmp_path, "copy-source", "33333333", pairs=[*PAIRS[1:], "c_to_d"])
    names = [part.name for part in merge_runs(find_runs(tmp_path)).parts]
    assert len(names) == 3
    assert any("a list that is not recorded" in name for name in names)


def test_differences_are_of_the_pairs_of_the_table_only(tmp_path):
    for method, run in (("limb-warp", "11111111"), ("mean-image", "22222222")):
        folder = make_run(tmp_path, method, run, pairs=PAIRS[:5])
        text = (folder / "pairs.csv").read_text()
        (folder / "pairs.csv").write_text(text + f"{PAIRS[7]},final,{PROTOCOL},ssim,0.9\n")
    write_report(tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'data-value="5">5</td>' in page
    assert 'data-value="6">6</td>' not in page
