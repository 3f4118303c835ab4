"""`ablate`: every stage subset from the fewest runs, on the same pairs."""

import pytest
from bench_fixture import call, error_line
from micro_model import pipeline

from pcdms_bench.ablation import VARIANTS, covering_runs
from pcdms_reports.scores import load_scores

pytestmark = [
    pytest.mark.usefixtures("one_thread", "cache"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(folder)
    return folder


def ablate(out, weights, *words):
    return call(
        "ablate", "--size", "smoke", "--limit", 3, "--out", out, "--metrics", "ssim", "--device",
        "cpu", "--weights", weights, "--chunk", 4, *words,
    )  # fmt: skip


def measured(out):
    """Return {(method, stages up to the scored stage)} of the rows with a value."""
    frame = load_scores(out / "scores.csv").dropna(subset=["value"])
    frame = frame[frame["metric"] == "ssim"]
    paths = set()
    for row in frame.itertuples():
        names = row.stages.split("+")
        paths.add((row.method, "+".join(names[: names.index(row.stage) + 1])))
    return paths


def test_runs_cover_every_variant_once():
    assert covering_runs(VARIANTS) == (
        "inpaint+refine", "prior+inpaint+refine", "truth+inpaint+refine",
    )  # fmt: skip
    assert covering_runs(("inpaint", "prior+inpaint")) == ("inpaint", "prior+inpaint")


def test_every_stage_subset_and_the_refined_method_are_scored(weights, tmp_path):
    result = ablate(tmp_path, weights, "--refine-over", "limb-warp")
    assert result.exit_code == 0, result.output
    paths = measured(tmp_path)
    assert {("pcdms", variant) for variant in VARIANTS} <= paths
    assert ("limb-warp+refine", "final+refine") in paths
    assert len(list((tmp_path / "people-test" / "pcdms").iterdir())) == 3
    table = (tmp_path / "tables" / "ablation.md").read_text()
    assert table in result.output
    assert "limb-warp" in table
    other = call("table", "ablation", "--runs", tmp_path, "--dataset", "people")
    assert other.output == table


def test_without_a_score_there_is_no_table_and_the_reason_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    result = ablate(tmp_path / "runs", tmp_path / "empty")
    assert result.exit_code == 1
    assert "pipeline.json" in result.stderr
    assert not (tmp_path / "runs" / "tables" / "ablation.md").exists()


def test_only_the_wanted_variants_run(weights, tmp_path):
    assert ablate(tmp_path, weights, "--variants", "prior+inpaint").exit_code == 0
    assert measured(tmp_path) == {("pcdms", "prior+inpaint")}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--variants", "prior+refine"), "unknown variant 'prior+refine'"),
        (("--methods", "pcdms"), "No such option"),
        (("--stages", "inpaint"), "No such option"),
    ],
)
def test_what_cannot_be_ablated_is_one_line(words, reason, weights, tmp_path):
    result = ablate(tmp_path, weights, *words)
    assert result.exit_code == 2
    assert reason in error_line(result)
