"""Slices and paired differences in the report: what is marked, what is tested, what is refused."""

from __future__ import annotations

import csv

import pytest
from report_fixture import PAIRS, make_runs

from pcdms_reports import load_scores, stage_tables, write_report
from pcdms_reports.differences import differences_of, in_words
from pcdms_reports.folders import find_runs
from pcdms_reports.memorisation import repeats_of
from pcdms_reports.records import RecordError
from pcdms_reports.slices import COLUMNS, read_slices, slice_tables


def write_slices(folder, run, stage, values):
    """A `slices.csv` of one stage: {(metric, label): value} of the slice `turn`."""
    with (folder / "slices.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for (metric, label), value in values.items():
            writer.writerow((run, stage, "standard@96x64", metric, "turn", label, value,
                             value - 0.01, value + 0.03, 3))  # fmt: skip


@pytest.fixture
def out(tmp_path):
    return make_runs(tmp_path / "runs")


def pictures_table(out):
    return stage_tables(load_scores(out / "scores.csv"))[0]


def test_the_best_of_each_label_is_marked_by_the_metric_and_bounds_are_not(out):
    home = out / "people-test"
    write_slices(home / "limb-warp" / "33334444", "33334444", "final",
                 {("masked_l1", "back"): 0.2, ("masked_l1", "front"): 0.1})  # fmt: skip
    write_slices(home / "copy-source" / "11112222", "11112222", "final",
                 {("masked_l1", "back"): 0.15, ("masked_l1", "front"): 0.3})  # fmt: skip
    write_slices(home / "target-copy" / "77778888", "77778888", "final",
                 {("masked_l1", "back"): 0.0, ("masked_l1", "front"): 0.0})  # fmt: skip
    import pandas as pd

    frame = pd.concat([read_slices(path) for path in sorted(home.glob("*/*/slices.csv"))])
    (table,) = slice_tables(frame, pictures_table(out), "standard@96x64")
    assert table.labels == (("back", 3), ("front", 3))
    marks = {name: [cell.best for cell in cells] for name, cells in table.rows}
    assert marks == {
        "copy-source": [True, False], "limb-warp": [False, True], "target-copy †": [False, False],
    }  # fmt: skip
    assert dict(table.rows)["limb-warp"][0].spread == "0.0200"


def test_slices_stand_in_the_page_and_in_a_table_of_their_own(out):
    write_slices(out / "people-test" / "limb-warp" / "33334444", "33334444", "final",
                 {("ssim", "<b>back"): 0.2, ("psnr", "<b>back"): 12.0})  # fmt: skip
    written = write_report(out, out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert out / "tables" / "slices.md" in written
    text = (out / "tables" / "slices.md").read_text(encoding="utf-8")
    assert "SSIM" in text
    assert "PSNR" in text
    assert "By slice" in page
    assert "<b>back" not in page
    write_report(out / "people-test" / "copy-source" / "11112222", out / "other" / "report.html")
    assert "By slice" not in (out / "other" / "report.html").read_text(encoding="utf-8")


def test_a_damaged_slice_file_is_named(tmp_path):
    path = tmp_path / "slices.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(RecordError, match=r"slices\.csv:1: missing column 'run', 'stage'"):
        read_slices(path)
    path.write_text(",".join(COLUMNS) + "\nr,final,p,ssim,turn,back,many,,,3\n")
    with pytest.raises(RecordError, match=r"slices\.csv:2: value 'many', expected a n"):
        read_slices(path)
    path.write_text(",".join(COLUMNS) + "\nr,final,p,ssim,turn,back,0.5,,,1\n")
    assert read_slices(path)["ci_low"].isna().all()
    assert not len(read_slices(tmp_path / "none.csv"))


def test_the_leading_stage_is_compared_on_the_same_pairs(out):
    runs = find_runs(out)
    found = differences_of(pictures_table(out), runs, "standard@96x64", ("ssim",))
    assert found is not None
    assert found.lead == "pcdms · refine"
    rows = {row.against: row for row in found.rows}
    assert "target-copy" not in rows
    worst = rows["mean-image"]
    assert worst.found.n == len(PAIRS)
    assert worst.found.difference == pytest.approx(0.74 - 0.55, abs=0.05)
    assert worst.p >= worst.found.p
    words = in_words(found)["ssim", "mean-image"]
    assert worst.text in words
    write_report(out, out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Pair by pair: pcdms · refine against the others" in page
    assert "pair by pair the difference is" in page


def test_without_pair_scores_nothing_is_compared(out):
    for path in out.glob("*/*/*/pairs.csv"):
        path.unlink()
    runs = find_runs(out)
    assert differences_of(pictures_table(out), runs, "standard@96x64", ("ssim", "l1")) is None
    assert in_words(None) == {}
    write_report(out, out / "report.html")
    assert "Pair by pair" not in (out / "report.html").read_text(encoding="utf-8")


def write_repeats(folder, rows):
    with (folder / "memorisation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pair", "stage", "nearest", "distance", "target_nearest",
                         "target_distance"))  # fmt: skip
        writer.writerows(rows)


def test_stored_checks_for_repeated_training_pictures_are_shown(out):
    folder = out / "people-test" / "limb-warp" / "33334444"
    rows = [(f"p{i}", "final", "<i>t.png", 5.0 + i, "u.png", 6.0 + i) for i in range(20)]
    write_repeats(folder, [*rows, ("p20", "final", "t.png", 1.0, "u.png", "")])
    (found,) = repeats_of(find_runs(out))
    (stage,) = found.stages
    assert (stage.label, stage.n, stage.suspects, stage.nearest) == ("limb-warp", 21, 3, 1.0)
    assert (found.grid, stage.target_median) == ("", 15.5)
    (folder / "memorisation.png").write_bytes(b"\x89PNG")
    write_report(out, out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Do methods repeat training pictures?" in page
    assert "data:image/png;base64,iVBORw" in page
    (folder / "memorisation.csv").write_text("pair,distance\n")
    with pytest.raises(RecordError, match=r"memorisation\.csv:1: missing column 'stage'"):
        repeats_of(find_runs(out))
