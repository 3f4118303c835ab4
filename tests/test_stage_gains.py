"""The tables of stages: subsets, gains over the same pairs, and what must not be compared."""

import json

import pytest
from report_fixture import row
from table_fixture import build, cell, make_ablation, notes, texts

from pcdms_reports.paper_tables import read_runs
from pcdms_reports.records import RecordError
from pcdms_reports.scores import write_scores


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    return read_runs([make_ablation(tmp_path_factory.mktemp("ablation"))])


def test_the_ablation_has_a_row_per_stage_subset_and_the_refined_method(ablation):
    (table,) = build("ablation", runs=ablation)
    assert [line.label for line in table.rows] == [
        "inpaint", "prior+inpaint", "truth+inpaint †", "inpaint+refine", "prior+inpaint+refine",
        "truth+inpaint+refine †", "limb-warp", "limb-warp + refine",
    ]  # fmt: skip
    assert [line.cells[0].text for line in table.rows] == [
        "none", "predicted", "true", "none", "predicted", "true", "–", "–",
    ]  # fmt: skip
    assert [line.cells[1].text for line in table.rows] == ["no"] * 3 + ["yes"] * 3 + ["no", "yes"]
    assert [line.block for line in table.rows] == [0] * 6 + [1] * 2
    for line in table.rows:
        assert line.muted == line.label.startswith("truth")
        if line.muted:
            assert not any(number.rank for found in line.cells for number in found.numbers)


def test_a_stage_of_a_longer_run_stands_for_its_subset_where_it_has_no_run(tmp_path):
    made = {"run": "aaaa", "stages": "prior+inpaint+refine"}
    rows = [row("ssim", 0.6, stage="inpaint", **made), row("ssim", 0.5, stage="refine", **made)]
    write_scores(rows, tmp_path / "scores.csv")
    (table,) = build("ablation", runs=read_runs([tmp_path / "scores.csv"]))
    assert [line.label for line in table.rows] == ["prior+inpaint", "prior+inpaint+refine"]
    assert "stage inpaint of run aaaa" in notes(table, table.rows[0].notes)
    assert any(sentence.startswith("Not measured: inpaint, truth") for sentence in table.legend)
    own = row("ssim", 0.7, run="bbbb", stages="prior+inpaint", stage="inpaint")
    write_scores([*rows, own], tmp_path / "scores.csv")
    (table,) = build("ablation", runs=read_runs([tmp_path / "scores.csv"]))
    assert texts(cell(table, "prior+inpaint", "SSIM ↑")) == ["0.7000"]


def test_the_published_ablation_of_pcdms_is_not_recorded():
    (table,) = build("ablation")
    for label in ("PCDMs: inpaint", "PCDMs: prior+inpaint+refine", "PIDM + refine of PCDMs"):
        assert {found.text for found in table.rows[0].cells[2:]} == {"not recorded"}
        assert cell(table, label, "SSIM ↑").text == "not recorded"
    assert texts(cell(table, "IMAGPose B4", "FID ↓")) == ["6.0242"]
    change = cell(table, "PIDM Baseline+TDB", "FID ↓").numbers[0]
    assert (change.sign, change.text) == ("Δ ", "-2.3377")


def test_runs_without_a_stage_subset_are_refused(tmp_path):
    write_scores([row(method="limb-warp", stages="final", stage="final")], tmp_path / "scores.csv")
    with pytest.raises(RecordError, match=r"no stage subset was scored.*there are limb-warp"):
        build("ablation", runs=read_runs([tmp_path / "scores.csv"]))


def test_gains_are_paired_over_the_pairs_of_both_subsets(ablation):
    _, table = build("stages", runs=ablation)
    gain = cell(table, "prior, on inpaint", "SSIM ↑").numbers[0]
    # Pairs differ by 0.1 in hardness and only by 0.01 in noise: unpaired intervals would overlap.
    assert gain.low < gain.value < gain.high
    assert gain.value == pytest.approx(0.1, abs=0.01)
    assert gain.high - gain.low < 0.02
    assert gain.spread == f"[{gain.low:+.4f}, {gain.high:+.4f}]"
    assert texts(cell(table, "prior, on inpaint", "pairs")) == ["40"]
    assert [line.label for line in table.rows] == [
        "prior, on inpaint", "true embedding in place of the predicted one, on prior+inpaint",
        "refine, on inpaint", "refine, on prior+inpaint", "refine, on truth+inpaint",
        "prior, on inpaint+refine", "refine over limb-warp",
    ]  # fmt: skip


def test_a_set_metric_gains_without_an_interval_and_says_why(ablation):
    _, table = build("stages", runs=ablation)
    gain = cell(table, "refine, on prior+inpaint", "FD (efficientnet-lite0) ↓").numbers[0]
    assert (gain.text, gain.spread, gain.low) == ("+2.00", "", None)
    assert "no value per pair" in notes(table, gain.notes)


def test_runs_of_another_setting_are_no_gain(tmp_path):
    make_ablation(tmp_path)
    spec = next(tmp_path.glob("*/pcdms/00000000/spec.json"))
    spec.write_text(json.dumps(json.loads(spec.read_text()) | {"seed": 7}))
    _, table = build("stages", runs=read_runs([tmp_path]))
    labels = [line.label for line in table.rows]
    assert "prior, on inpaint" not in labels
    assert "refine, on prior+inpaint" in labels


def test_sizes_of_a_dataset_never_share_a_table(tmp_path):
    for size, run in (("mini", "aaaaaaaa"), ("full", "bbbbbbbb")):
        folder = tmp_path / "people-test" / "pcdms" / run
        write_scores([row(run=run)], folder / "scores.csv")
        (folder / "spec.json").write_text(json.dumps({"size": size, "data_seed": 0}))
    runs = read_runs([tmp_path])
    assert len(build("ablation", runs=runs)) == 2
    (table,) = build("quantitative", runs=runs)
    assert [text for _, text in table.marks] == [
        "protocol standard@96x64, selection first, size mini",
        "protocol standard@96x64, selection first, size full",
    ]


def test_stages_need_runs():
    with pytest.raises(RecordError, match="no runs given, expected --runs"):
        build("stages")
