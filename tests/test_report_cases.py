"""Cases and further plots of the page: which pairs, which runs, and what they say in words."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_fixture import PAIRS, make_runs, row

from pcdms_reports import load_scores, stage_tables, write_report
from pcdms_reports.ablation_rows import ablation_rows
from pcdms_reports.cases import case_pairs, disagreeing, picked
from pcdms_reports.metric_words import words_of
from pcdms_reports.relation_plots import (
    by_option,
    speed_figure,
    speed_points,
    speed_words,
    sweep_figure,
    sweep_words,
    sweeps_of,
)
from pcdms_reports.scores import to_rows, write_scores
from pcdms_reports.slice_plot import slice_figure, slice_words
from pcdms_reports.slices import SliceCell, SliceTable

PROTOCOL = "standard@96x64"


@pytest.fixture
def out(tmp_path):
    return make_runs(tmp_path / "runs")


def another(out, run, stages, **spec):
    """Add a run of pcdms with this hash, these stages and a specification; returns its folder."""
    home = out / "people-test" / "pcdms"
    folder = shutil.copytree(home / "a1b2c3d4", home / run)
    kept = [
        replace(row, run=run, stages=stages)
        for row in to_rows(load_scores(folder / "scores.csv"))
        if row.stage in stages.split("+")
    ]
    write_scores(kept, folder / "scores.csv")
    known = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(known | {"stages": stages} | spec))
    return folder


def pictures_of(out):
    paths = sorted(out.glob("*/*/*/scores.csv"))
    frame = pd.concat([load_scores(path) for path in paths], ignore_index=True)
    specs = {p.parent.name: json.loads((p.parent / "spec.json").read_text()) for p in paths}
    tables = stage_tables(frame)
    costs = next(t for t in tables if "seconds_per_picture" in [w.name for w in t.columns])
    return tables[0], costs, specs


def test_best_median_and_worst_follow_the_direction_of_the_metric():
    values = pd.Series({"a": 0.9, "b": 0.1, "c": 0.5, "d": 1.4, "e": 0.5})
    assert picked(values, words_of("ssim")) == ["d", "c", "b"]
    assert picked(values, words_of("masked_l1")) == ["b", "e", "d"]
    assert picked(values, words_of("gradient_ratio")) == ["a", "c", "b"]
    assert picked(values[:0], words_of("ssim")) == []


def test_the_pair_on_which_metrics_disagree_most_comes_first_with_both_sides():
    n = 10
    frame = pd.DataFrame(
        {"ssim": [i / n for i in range(n)], "masked_l1": [1 - i / n for i in range(n)]},
        index=[f"p{i}" for i in range(n)],
    )
    frame.loc["p9", "masked_l1"] = 2.0  # best by ssim, worst by L1
    frame.loc["p0", "ssim"] = float("nan")  # not ranked
    assert disagreeing(frame, 2)[0] == ("p9", "ssim", "masked_l1")
    assert "p0" not in {pair for pair, _, _ in disagreeing(frame, n)}
    assert disagreeing(frame[:5]) == []
    assert disagreeing(frame[["ssim"]]) == []


def test_the_page_shows_cases_with_pictures_and_says_what_is_gone(out):
    folder = out / "people-test" / "pcdms" / "a1b2c3d4"
    shown = case_pairs(folder, "refine", PROTOCOL)
    assert shown <= set(PAIRS)
    gone = sorted(shown)[0]
    (folder / "samples" / "refine" / f"{gone}.png").unlink()
    write_report(out, out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    cases = page[page.index("Best, median and worst of") : page.index("<h3>Pictures</h3>")]
    found = re.findall(r'<img [^>]*alt="([^"]+)"', cases)
    assert {f"source of pair {gone}", f"target of pair {gone}"} <= set(found)
    assert "no picture" in cases
    assert len(re.findall('<figure class="case">', cases)) == 6  # three of two metrics


def test_a_damaged_pair_table_has_no_cases(out):
    folder = out / "people-test" / "pcdms" / "a1b2c3d4"
    (folder / "pairs.csv").write_text("pair,stage\nx,refine\n")
    assert case_pairs(folder, "refine", PROTOCOL) == set()


def test_an_ablation_takes_the_runs_that_differ_in_their_stages_alone(out):
    assert ablation_rows(pictures_of(out)[0], pictures_of(out)[2]) is None
    another(out, "b0000001", "inpaint+refine")
    another(out, "b0000002", "truth+inpaint+refine")
    another(out, "b0000003", "prior+inpaint+refine", steps=50)
    pictures, _, specs = pictures_of(out)
    table = ablation_rows(pictures, specs)
    assert [row.label for row in table.rows] == [
        "inpaint", "inpaint+refine", "prior+inpaint", "prior+inpaint+refine",
        "truth+inpaint", "truth+inpaint+refine",
    ]  # fmt: skip
    assert "b0000003" not in {row.run for row in table.rows}


def test_sweeps_join_runs_that_differ_in_one_option_alone(out):
    another(out, "b0000001", "prior+inpaint+refine", steps=5, guidance=1.0)
    another(out, "b0000002", "prior+inpaint+refine", steps=10, guidance=1.0)
    another(out, "b0000003", "prior+inpaint+refine", steps=10, guidance=1.0, seed=7)
    pictures, _, specs = pictures_of(out)
    sweeps = sweeps_of(pictures, "ssim", specs)
    assert {sweep.option for sweep in sweeps} == {"steps"}
    assert [[point.x for point in sweep.points] for sweep in sweeps] == [[5.0, 10.0]] * 2
    (group,) = by_option(sweeps)
    assert isinstance(sweep_figure(group, words_of("ssim")), Figure)
    assert "0.7400 at 5, 0.7400 at 10" in sweep_words(group, words_of("ssim"))


def test_time_of_a_stage_includes_the_stages_before(out):
    pictures, costs, _ = pictures_of(out)
    unknown = {point.label for point in speed_points(pictures, "ssim", costs)}
    assert not unknown & {"pcdms · inpaint", "pcdms · refine"}  # the prior was not measured
    folder = out / "people-test" / "pcdms" / "a1b2c3d4"
    prior = row("seconds_per_picture", 0.2, stage="prior", protocol="", resolution="")
    write_scores([*to_rows(load_scores(folder / "scores.csv")), prior], folder / "scores.csv")
    pictures, costs, _ = pictures_of(out)
    points = {p.label: p for p in speed_points(pictures, "ssim", costs)}
    assert points["pcdms · inpaint"].x == pytest.approx(0.2 + 0.71)
    assert points["pcdms · refine"].x == pytest.approx(0.2 + 0.71 + 0.75)
    shown = list(points.values())
    score, time = speed_figure(shown, words_of("ssim")).axes
    names = [label.get_text() for label in score.get_yticklabels()]
    assert names == [point.label for point in sorted(shown, key=lambda point: point.x)]
    low, high = time.get_xlim()
    assert low < min(point.x for point in shown) <= max(point.x for point in shown) < high
    assert "pcdms · refine 0.7400 in 1.66 s" in speed_words(shown, words_of("ssim"))
    assert speed_points(pictures, "ssim", None) == []


def test_a_slice_figure_shows_the_named_stages_and_says_their_numbers():
    cells = (SliceCell("0.50", "0.10", 0.5, low=0.35, high=0.55), SliceCell("–"))
    table = SliceTable(
        "view", words_of("ssim"), (("front", 3), ("back", 2)), (("a", cells), ("b", cells))
    )
    (axes,) = slice_figure(table, ["b"]).axes
    interval, _ = axes.lines
    assert list(interval.get_xdata()) == [0.35, 0.55]  # the stored ends, not value and half width
    assert slice_words(table, ["b"]).endswith("b: front 0.50, back –.")
