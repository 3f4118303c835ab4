"""The command `table`: what it prints, writes, refuses, and with which exit code."""

import json

import pytest
from bench_fixture import call, error_line
from report_fixture import make_runs
from table_fixture import make_fashion
from table_parsers import csv_records

from pcdms_bench.commands.table import SUFFIXES, TAKES
from pcdms_bench.protocol_table import protocol_table
from pcdms_bench.protocols import PROTOCOLS
from pcdms_reports.paper_tables import TABLES, TITLES
from pcdms_reports.table_formats import FORMATS


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    return make_fashion(tmp_path_factory.mktemp("fashion"))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("people"))


def test_the_command_knows_every_table_and_format():
    assert set(TAKES) == {*TABLES, "protocols"} == set(TITLES)
    assert set(SUFFIXES.values()) == set(FORMATS)


@pytest.mark.parametrize("name", [name for name in TAKES if name != "stages"])
def test_published_tables_are_printed_without_any_run(name):
    result = call("table", name)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"# {TITLES[name]}\n")


def test_a_table_is_written_in_the_format_that_its_name_ends_with(tmp_path, people):
    starts = {".md": "# ", ".tex": "% ", ".csv": "table,", ".html": "<!doctype html>"}
    for suffix, start in starts.items():
        out = tmp_path / "new" / f"table{suffix}"
        result = call("table", "stages", "--runs", people, "--out", out)
        assert result.exit_code == 0, result.output
        assert result.stdout.strip() == str(out)
        assert out.read_text(encoding="utf-8").startswith(start)
    assert len(list((tmp_path / "new").iterdir())) == 4
    out = tmp_path / "table.txt"
    assert call("table", "reid", "--format", "csv", "--out", out).exit_code == 0
    assert out.read_text().startswith("table,")


def test_metrics_and_protocols_narrow_the_table(fashion):
    words = ("--runs", fashion, "--protocol", "cfld", "--metrics", "ssim", "--format", "csv")
    records = csv_records(call("table", "quantitative", *words).stdout)
    assert {record["protocol"] for record in records} == {"cfld", "–"}
    assert not any(name.startswith(("LPIPS", "FID")) for name in records[0])


def test_the_protocols_are_the_ones_that_the_tool_runs():
    records = csv_records(call("table", "protocols", "--format", "csv").stdout)
    head, rows = protocol_table()
    assert [[record[name] for name in head] for record in records[:-1]] == rows
    assert records[-1]["pcdms notes"] == PROTOCOLS["pcdms"].source
    two = csv_records(
        call("table", "protocols", "--protocol", "cfld,pcdms", "--format", "csv").stdout
    )
    assert [name for name in two[0] if "notes" not in name] == ["table", "choice", "cfld", "pcdms"]


def test_an_embedded_run_gives_every_table_that_needs_runs(people):
    for name in ("quantitative", "ablation", "stages", "compute"):
        result = call("table", name, "--runs", people)
        assert result.exit_code == 0, result.output
        assert "0.7400" in result.stdout or name == "compute"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("quantitativ",), "unknown table 'quantitativ' (did you mean 'quantitative'?)"),
        (("quantitative", "--dataset", "deepfasion"), "unknown dataset 'deepfasion' (did you mean"),
        (("quantitative", "--metrics", "sim"), "unknown metric 'sim'"),
        (("quantitative", "--protocol", "ours"), "unknown protocol 'ours'"),
        (("quantitative", "--resolution", "1x1"), "resolution '1x1' of deepfashion, expected one"),
        (("reid", "--metrics", "ssim"), "--metrics means nothing to table reid"),
        (("protocols", "--dataset", "people"), "--dataset means nothing to table protocols"),
        (("quantitative", "--dataset", "people"), "dataset 'people': nothing published, and no"),
        (("reid", "--dataset", "people"), "dataset 'people': no re-identification is published"),
        (("user-study", "--dataset", "people"), "dataset 'people': no user study is published"),
        (("stages",), "no runs given, expected --runs"),
        (("stages", "--runs", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_wrong_words_are_refused_in_one_line_with_exit_code_2(words, message):
    result = call("table", *words)
    assert result.exit_code == 2
    assert message in error_line(result)


def test_an_empty_selection_names_what_exists_and_writes_nothing(people, tmp_path):
    words = ("--runs", people, "--dataset", "market1501", "--out", tmp_path / "a.md")
    result = call("table", "quantitative", *words)
    assert result.exit_code == 2
    line = error_line(result)
    assert "no scores of dataset market1501" in line
    assert "there are people test 96x64 under standard@96x64" in line
    assert list(tmp_path.iterdir()) == []


def test_a_hand_edited_score_file_is_refused_with_line_and_column(people, tmp_path):
    path = tmp_path / "scores.csv"
    lines = (people / "scores.csv").read_text().splitlines()
    at = lines[0].split(",").index("value")
    fields = lines[3].split(",")
    fields[at] = "0.7 (mine)"
    path.write_text("\n".join([*lines[:3], ",".join(fields), *lines[4:]]))
    result = call("table", "quantitative", "--runs", path)
    assert result.exit_code == 2
    assert "scores.csv:4: value '0.7 (mine)', expected a finite number" in error_line(result)


def test_a_score_file_of_other_columns_is_refused_with_the_schema(people, tmp_path):
    path = tmp_path / "scores.csv"
    text = (people / "scores.csv").read_text()
    path.write_text(text.replace(",samples,", ",draws,", 1))
    result = call("table", "stages", "--runs", path)
    assert result.exit_code == 2
    assert "missing column 'samples', expected a score file of schema 1" in error_line(result)


def test_a_damaged_pair_table_is_refused_by_name(people, tmp_path):
    from shutil import copytree

    copytree(people, tmp_path / "runs")
    path = next((tmp_path / "runs").glob("*/pcdms/*/pairs.csv"))
    path.write_text(path.read_text().replace("ssim,0.", "ssim,x", 1))
    result = call("table", "stages", "--runs", tmp_path / "runs")
    assert result.exit_code == 2
    assert "pairs.csv:2: value 'x" in error_line(result)


def test_a_run_folder_alone_is_enough(people):
    folder = next(people.glob("*/pcdms/*"))
    spec = json.loads((folder / "spec.json").read_text())
    result = call("table", "ablation", "--runs", folder)
    assert spec["method"] == "pcdms"
    assert result.exit_code == 0, result.output
    assert "prior+inpaint+refine" in result.stdout
