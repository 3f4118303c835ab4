"""Run folders that were edited, aged or thinned out: what `report`, `table` and `compare` say."""

import json
from shutil import rmtree

import pytest
from bench_fixture import call, error_line
from report_fixture import PAIRS, make_runs

from pcdms_bench.run_folder import merge_table
from pcdms_bench.run_scores import ROW_KEY
from pcdms_data.types import InputError
from pcdms_reports.records import COLUMNS

PCDMS, LIMB = "people-test/pcdms/a1b2c3d4", "people-test/limb-warp/33334444"


@pytest.fixture
def out(tmp_path):
    return make_runs(tmp_path / "runs")


@pytest.fixture
def runs(out):
    """The folder with whole specifications, as `compare` needs them."""
    for place, stages in ((PCDMS, "prior+inpaint+refine"), (LIMB, "final")):
        path = out / place / "spec.json"
        spec = json.loads(path.read_text()) | {
            "split": "test", "resolution": "96x64", "stages": stages, "preset": "", "weights": "",
            "seed": 0, "samples": 1, "selection": "first", "steps": None, "guidance": None,
            "guidance_rescale": None, "null": "", "final_sigma": "", "dtype": "", "chunk": None,
            "refine_over": "",
        }  # fmt: skip
        path.write_text(json.dumps(spec))
    return out


def replaced(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def every_reader(out, without=()):
    commands = {
        "report": ("report", out, "--out", out / "page"),
        "table": ("table", "stages", "--runs", out / PCDMS),
        "compare": ("compare", out / PCDMS, out / LIMB),
    }
    return {name: call(*words) for name, words in commands.items() if name not in without}


def test_scores_of_an_older_schema_are_refused_with_the_version_everywhere(runs):
    path = runs / PCDMS / "scores.csv"
    replaced(path, ",samples,", ",draws,")
    for name, result in every_reader(runs, without=("compare",)).items():
        assert result.exit_code == 2, name
        line = error_line(result)
        assert f"{path}:1: missing column 'samples', expected a score file of schema 1" in line
    assert not (runs / "page").exists()
    with pytest.raises(InputError, match="surplus column 'draws', expected a score file of schema"):
        merge_table(path, COLUMNS, ROW_KEY, [])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("masked_l1,0.", "masked_l1,nought.", ":3: value 'nought."),
        (",masked_l1,0.", ",masked_l1,nan0.", ":3: value 'nan0."),
        ("refine,standard", "polish,standard", ":12: stage 'polish', expected one of prior"),
        ("masked_l1,", "ssim,", ":3: pair 'id00_front_to_id00_side', stage 'inpaint', protocol "
         "'standard@96x64', metric 'ssim' repeats line 2"),
        ("masked_l1,", "masked_l1,1,", ":3: 6 fields, expected 5"),
        ("pair,stage,", "pair,step,", ":1: missing column 'stage', expected the columns pair"),
    ],
)  # fmt: skip
def test_a_hand_edited_pair_table_is_refused_with_line_and_column_everywhere(runs, old, new, words):
    path = runs / PCDMS / "pairs.csv"
    replaced(path, old, new)
    for name, result in every_reader(runs).items():
        assert result.exit_code == 2, name
        assert f"{path}{words}" in error_line(result)


def test_equal_pictures_have_an_infinite_psnr_that_is_no_damage(runs):
    from pcdms_reports.paired import read_pair_table

    path = runs / LIMB / "pairs.csv"
    path.write_text(path.read_text() + f"{PAIRS[0]},final,standard@96x64,psnr,inf\n")
    assert read_pair_table(path)["value"].iloc[-1] == float("inf")
    assert call("compare", runs / PCDMS, runs / LIMB).exit_code == 0


def test_a_hand_edited_selection_or_slice_names_line_and_column(runs):
    (runs / PCDMS / "selection.csv").write_text(
        f"stage,pair,sample,ssim\nrefine,{PAIRS[0]},second,0.5\n"
    )
    assert call("report", runs, "--out", runs / "page").exit_code == 0
    page = (runs / "page" / "report.html").read_text(encoding="utf-8")
    assert "selection.csv:2: sample &#39;second&#39;, expected a whole number of 0 or more" in page
    path = runs / PCDMS / "slices.csv"
    path.write_text(
        "run,stage,protocol,metric,slice,label,value,ci_low,ci_high,n\n"
        "a1b2c3d4,refine,standard@96x64,ssim,turn,back,0.5,low,,3\n"
    )
    line = error_line(call("report", runs, "--out", runs / "page"))
    assert f"{path}:2: ci_low 'low', expected a number or nothing" in line


def test_pictures_that_are_gone_are_said_so_in_their_cells(out):
    (out / PCDMS / "samples" / "refine" / f"{PAIRS[1]}.png").unlink()
    rmtree(out / LIMB / "samples")
    assert call("report", out).exit_code == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    grid = page[page.index("<h3>Pictures</h3>") :]
    assert grid.count('<p class="hole">no picture</p>') == 1 + len(PAIRS)
    assert '<th scope="col"><span>limb-warp</span></th>' in page


def test_an_empty_selection_is_refused_with_what_exists(runs):
    result = call("compare", runs / PCDMS, runs / LIMB, "--metrics", "lpips")
    assert result.exit_code == 2
    line = error_line(result)
    assert "no per-pair score in common of those asked for" in line
    assert f"{runs / LIMB} has ssim, masked_l1 under standard@96x64" in line
    result = call("compare", runs, runs / LIMB)
    assert result.exit_code == 2
    assert "expected one to compare: give one of people-test/" in error_line(result)
    (runs / "empty").mkdir()
    (runs / "empty" / "notes.txt").write_text("x")
    result = call("report", runs / "empty")
    assert result.exit_code == 2
    assert "holds no run folder <dataset>-<split>" in error_line(result)
    assert "there is notes.txt" in error_line(result)


def test_runs_are_found_from_the_folder_of_a_dataset_or_a_method(runs):
    for place in ("people-test", "people-test/pcdms"):
        result = call("report", runs / place, "--out", runs / "page")
        assert result.exit_code == 0, result.output


def test_runs_with_scores_of_other_pairs_are_compared_on_those_of_both(runs):
    path = runs / LIMB / "pairs.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if PAIRS[4] not in line))
    result = call("compare", runs / PCDMS, runs / "people-test" / "limb-warp", "--json")
    assert result.exit_code == 0
    assert "of 5 pairs" in result.stderr
    assert "of 4: compared are the 4 of both" in result.stderr
    assert {row["n"] for row in json.loads(result.stdout)} == {4}
    assert call("compare", runs / PCDMS, runs / PCDMS, "--stages", "inpaint,refine").stderr == ""
