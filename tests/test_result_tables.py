"""The tables of re-identification, user studies and cost, and the files behind them."""

import json

import pytest
from report_fixture import make_runs
from table_fixture import build, cell, make_ablation, notes, texts

from pcdms_reports.paper_tables import read_runs
from pcdms_reports.paper_tables.measured_speed import speed_tables
from pcdms_reports.records import RecordError
from pcdms_reports.reid_results import ReidRow, write_reid
from pcdms_reports.study_results import BOOTSTRAP, StudyRow, read_study_results, study_csv


def reid(method="none", fraction=20, **changes):
    plain = {
        "dataset": "people-street", "method": method, "fraction": fraction,
        "with_generated": method != "none", "real_pictures": 100,
        "generated_pictures": 0 if method == "none" else 400, "network": "resnet18@1", "seed": 0,
        "map": 30.0, "map_low": 28.0, "map_high": 33.0, "rank1": 40.0, "rank1_low": None,
        "rank1_high": None, "n": 60, "gallery": 300, "status": "ok", "reason": "",
    }  # fmt: skip
    return ReidRow(**(plain | changes))


def test_published_re_identification_keeps_the_doubt_about_its_label():
    (table,) = build("reid")
    assert "label uncertain" in table.caption
    assert texts(cell(table, "PCDMs", "20 %")) == ["63.8"]
    assert cell(table, "PCDMs", "100 %").text == "not recorded"
    assert cell(table, "IMAGPose", "80 %").numbers[0].rank == 1
    assert cell(table, "PCDMs", "80 %").numbers[0].rank == 2


def test_measured_re_identification_stands_in_a_table_of_its_own(tmp_path):
    rows = [
        reid(), reid("pcdms", map=35.0, seed=0), reid("pcdms", map=37.0, seed=1),
        reid("pcdms", fraction=100, map=None, rank1=None, status="failed", reason="diverged"),
        reid("limb-warp", map=20.0),
    ]  # fmt: skip
    write_reid(rows, tmp_path / "reid.csv")
    published, table = build("reid", runs=read_runs([tmp_path]))
    assert published.name == "reid-published"
    assert table.rows[0].label == "none (real pictures alone)"
    mean = cell(table, "pcdms", "20 % mAP ↑").numbers[0]
    assert (mean.text, mean.spread, mean.rank) == ("36.0", "± 1.4", 1)
    assert "mean of 2 seeds" in notes(table, mean.notes)
    alone = cell(table, "none (real pictures alone)", "20 % mAP ↑").numbers[0]
    assert (alone.text, alone.spread, alone.rank) == ("30.0", "± 2.5", 2)
    failed = cell(table, "pcdms", "100 % mAP ↑")
    assert (failed.text, notes(table, failed.notes)) == ("failed", "failed: diverged")
    assert cell(table, "limb-warp", "100 % mAP ↑").status == "absent"
    with pytest.raises(RecordError, match="no re-identification on market1501; there is people-st"):
        build("reid", dataset="market1501", runs=read_runs([tmp_path]))


def test_networks_trained_on_other_numbers_of_pictures_are_not_ranked(tmp_path):
    write_reid([reid(), reid("pcdms", real_pictures=90)], tmp_path / "reid.csv")
    _, table = build("reid", runs=read_runs([tmp_path]))
    assert not any(n.rank for line in table.rows for found in line.cells for n in found.numbers)


def study(method="pcdms", measure="G2R", **changes):
    plain = {
        "dataset": "people", "method": method, "measure": measure, "value": 0.4, "ci_low": 0.3,
        "ci_high": 0.52, "n_answers": 20, "n_raters": 2, "interval": BOOTSTRAP,
    }  # fmt: skip
    return StudyRow(**(plain | changes))


def write_study(rows, path):
    path.write_text(study_csv(rows))


def test_the_user_study_stands_in_percent_with_its_interval_and_answers(tmp_path):
    rows = [
        study(), study("limb-warp", value=0.1), study(measure="R2G", n_answers=18),
        study("limb-warp", "R2G", value=0.05),
        study(measure="Jab", value=None, ci_low=None, ci_high=None, n_answers=0, interval=""),
    ]  # fmt: skip
    write_study(rows, tmp_path / "user_study.csv")
    assert read_study_results(tmp_path / "user_study.csv") == rows
    published, table = build("user-study", runs=read_runs([tmp_path]))
    assert cell(published, "PCDMs", "G2R ↑").text == "not recorded"
    assert texts(cell(published, "IMAGPose", "G2R ↑")) == ["58.5"]
    assert not any(n.rank for line in published.rows for f in line.cells for n in f.numbers)
    assert "2 raters" in table.caption
    best = cell(table, "pcdms", "G2R ↑").numbers[0]
    assert (best.text, best.spread, best.rank) == ("40.0", "[30.0, 52.0]", 1)
    assert notes(table, best.notes) == "20 answers"
    assert notes(table, cell(table, "pcdms", "R2G ↑").numbers[0].notes) == "18 answers"
    assert cell(table, "limb-warp", "G2R ↑").numbers[0].rank == 2
    assert cell(table, "pcdms", "Jab ↑").text == "n/a"
    assert cell(table, "limb-warp", "Jab ↑").status == "absent"
    with pytest.raises(RecordError, match="no user study of deepfashion; there is people"):
        build("user-study", dataset="deepfashion", runs=read_runs([tmp_path]))


@pytest.mark.parametrize(
    ("write", "name", "rows", "old", "new", "message"),
    [
        (write_reid, "reid.csv", [reid()], ",20,", ",200,", r"csv:2: fraction '200', .*1 to 100"),
        (write_reid, "reid.csv", [reid()], "false", "no", r"csv:2: with_generated 'no', .*true or"),
        (write_reid, "reid.csv", [reid()], "false", "true", r"csv:2: method 'none' with with_gen"),
        (write_reid, "reid.csv", [reid()], ",30.0,", ",,", r"csv:2: map None with status ok"),
        (write_reid, "reid.csv", [reid(), reid()], "", "", r"csv:3: method 'none', .*repeats line"),
        (write_study, "user_study.csv", [study()], "G2R", "g2r", r"csv:2: measure 'g2r', expected"),
        (write_study, "user_study.csv", [study()], ",20", ",0", r"csv:2: value 0.4 with n_answers"),
        (write_study, "user_study.csv", [study()], "0.4", "40", r"csv:2: value '40', .*0 to 1"),
        (write_study, "user_study.csv", [study()], "0.3", "0.9", r"csv:2: ci_low 0.9, expected at"),
        (
            write_study,
            "user_study.csv",
            [study(), study()],
            "",
            "",
            r"csv:3: G2R of 'pcdms' repeat",
        ),
    ],
)
def test_damaged_results_are_refused_with_line_and_column(
    tmp_path, write, name, rows, old, new, message
):
    write(rows, tmp_path / name)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace(old, new) if old else text)
    with pytest.raises(RecordError, match=message):
        build("reid" if name == "reid.csv" else "user-study", runs=read_runs([tmp_path]))


def test_published_costs_keep_their_hardware_and_are_never_ranked(tmp_path):
    stored = read_runs([make_ablation(tmp_path)])
    published, runs, sampling, training = build("compute", runs=stored)
    found = cell(published, "X-MDPT-B", "sampling (s per picture)")
    assert texts(found) == ["1.3", "1.2"]
    assert "A100" in notes(published, found.numbers[0].notes)
    assert texts(cell(published, "PCDMs · inpaint", "training (h)")) == ["64.8"]
    for table in (published, runs, sampling, training):
        assert not any(n.rank for line in table.rows for f in line.cells for n in f.numbers)
    assert cell(runs, "limb-warp+refine", "seconds per picture ↓").numbers[0].value == 0.25
    assert cell(runs, "limb-warp", "device").text == "cpu (test)"
    ours = [line for line in sampling.rows if line.label.startswith("this project")]
    assert len(ours) == 2


def test_the_cost_of_all_stages_is_that_of_each_added(tmp_path):
    _, runs, *_ = build("compute", runs=read_runs([make_runs(tmp_path)]))
    seconds = "seconds per picture ↓"
    parts = [cell(runs, f"pcdms · {s}", seconds).numbers[0].value for s in ("inpaint", "refine")]
    total = cell(runs, "pcdms · all stages", seconds)
    assert total.numbers[0].value == pytest.approx(sum(parts))
    assert "added" in notes(runs, total.numbers[0].notes)
    assert cell(runs, "pcdms · all stages", "parameters").text == "n/a"


def test_a_measurement_without_a_number_is_refused_by_file_and_place(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"what": "something else"}))
    assert speed_tables(tmp_path) == []
    (tmp_path / "b.json").write_text(json.dumps({"what": "sampling", "ours": []}))
    with pytest.raises(RecordError, match=r"b\.json: no 'frame', expected a measurement"):
        speed_tables(tmp_path)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(RecordError, match=r"b\.json: not readable as JSON"):
        speed_tables(tmp_path)
