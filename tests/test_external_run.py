"""Official repositories in a run: options, identity, what a failure leaves, resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
import stand_in
from bench_fixture import call, error_line

from pcdms_bench.methods import method_names, standard_names
from pcdms_bench.planning import prepare
from pcdms_bench.progress import Progress
from pcdms_bench.request import RunRequest
from pcdms_data.types import InputError
from pcdms_reports.scores import load_scores

METRICS = "ssim,seconds_per_picture,peak_memory_mb,parameters"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return stand_in.make_interpreter(tmp_path_factory.mktemp("own") / "env")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return stand_in.make_market(tmp_path_factory.mktemp("market"))


@pytest.fixture
def clone(tmp_path):
    return stand_in.make_repository(tmp_path / "Pose-Transfer")


@pytest.fixture
def run(root, clone, python, tmp_path):
    def run(*words, methods="patn-official"):
        return call(
            "run", "--dataset", "market1501", "--root", root, "--methods", methods, "--repo", clone,
            "--interpreter", python, "--metrics", METRICS, "--device", "cpu",
            "--out", tmp_path / "runs", *words,
        )  # fmt: skip

    return run


@pytest.fixture
def plan(root, clone, python, tmp_path):
    def plan(methods="patn-official", **options):
        options = {"repos": (str(clone),), "interpreters": (str(python),)} | options
        request = RunRequest(
            dataset="market1501", root=root, methods=methods, device="cpu",
            out=tmp_path / "runs", **options,
        )  # fmt: skip
        return prepare(request, Progress(silent=True)).runs

    return plan


def scored(tmp_path, method="patn-official"):
    """Return {metric: its row} of a method."""
    table = load_scores(tmp_path / "runs" / "scores.csv")
    rows = table[table["method"] == method].itertuples(index=False)
    return {row.metric: row for row in rows}


def folder_of(tmp_path):
    (folder,) = {path.parent for path in (tmp_path / "runs").glob("*/*/*/spec.json")}
    return folder


def asked(tmp_path):
    return (folder_of(tmp_path) / "external.log").read_text().count("made ")


def test_a_run_scores_the_pictures_and_says_whose_program_made_them(run, clone, python, tmp_path):
    commit = stand_in.commit(clone, "as it is")
    result = run()
    assert result.exit_code == 0, result.output
    rows = scored(tmp_path)
    assert rows["ssim"].n == rows["ssim"].n_expected == 4
    assert rows["ssim"].value > 0
    assert rows["seconds_per_picture"].value > 0
    assert "start" in rows["seconds_per_picture"].reason
    for name in ("peak_memory_mb", "parameters"):
        assert np.isnan(rows[name].value)
        assert "official repository" in rows[name].reason
    record = json.loads((folder_of(tmp_path) / "environment.json").read_text())["external"]
    assert record["repository"] == "tengteng95/Pose-Transfer"
    assert record["clone"] == str(clone)
    assert record["interpreter"] == str(python)
    assert commit in record["state"]


def test_what_a_program_finished_is_scored_and_the_rest_asked_for_again(run, clone, tmp_path):
    stand_in.behave(clone, fail_at=3)
    result = run()
    assert result.exit_code == 1
    row = scored(tmp_path)["ssim"]
    assert (row.n, row.n_expected) == (3, 4)
    assert "out of memory, as a stand-in says it" in row.reason
    assert asked(tmp_path) == 3
    stand_in.behave(clone)
    assert run().exit_code == 0
    assert asked(tmp_path) == 1
    assert scored(tmp_path)["ssim"].n == 4


def test_a_program_that_hangs_ends_with_its_time_and_leaves_its_last_words(run, clone, tmp_path):
    stand_in.behave(clone, hang_at=1)
    result = run("--time-limit", "6")
    assert result.exit_code == 1
    status = json.loads((folder_of(tmp_path) / "status.json").read_text())
    assert len(status["failed"]) == 3
    assert all("waiting for nothing" in reason for reason in status["failed"].values())
    assert scored(tmp_path)["ssim"].n == 1


def test_pictures_of_other_weights_or_of_another_state_go_to_another_folder(plan, clone, tmp_path):
    def folder():
        (run,) = plan()
        assert run.unavailable is None
        return run.folder

    first = folder()
    assert folder() == first
    (clone / "results" / "new.txt").write_text("made by an earlier run")
    assert folder() == first
    (clone / "data" / "pairs.py").write_text(stand_in.PAIRS + "\n# changed\n")
    changed = folder()
    assert changed != first
    (clone / stand_in.WEIGHTS).write_bytes(b"v" * 40)
    assert folder() not in (first, changed)


def test_weights_are_meant_for_the_official_repository_unless_ours_runs_too(plan, tmp_path):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"m" * 7)
    (run,) = plan(weights=mine)
    (named,) = plan(method_weights=(f"patn-official={mine}",))
    assert run.spec.weights == named.spec.weights != plan()[0].spec.weights
    with pytest.raises(InputError, match=r"mine.pth: no such folder, expected a model directory"):
        plan(methods="pcdms,patn-official", weights=mine)
    with pytest.raises(InputError, match=r"patn-official or dptn-official.*METHOD=FILE"):
        plan(methods="patn-official,dptn-official", weights=mine, repos=(), interpreters=())


@pytest.mark.parametrize(
    ("methods", "option", "value", "said"),
    [
        ("patn-official,nted-official", "repos", "here", "patn-official or nted-official"),
        ("copy-source", "repos", "here", "no official repository"),
        ("patn-official", "repos", "patm-official=here", "did you mean .patn-official."),
        ("patn-official", "repos", "patn-official=", r"expected METHOD=DIR"),
        ("patn-official", "repos", "patn-official=absent", "no such folder"),
        ("patn-official,nted-official", "interpreters", "python3", "METHOD=PYTHON"),
    ],
)
def test_an_option_that_fits_no_repository_is_refused(
    plan, tmp_path, monkeypatch, methods, option, value, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(InputError, match=said):
        plan(methods, **{"repos": (), "interpreters": (), option: (value,)})


def test_repositories_are_found_by_name_and_below_a_folder_of_clones(
    plan, clone, python, monkeypatch
):
    named = {"repos": (f"patn-official={clone}",), "interpreters": (f"patn-official={python}",)}
    first, other = plan("patn-official,gfla-official", **named)
    assert first.unavailable is None
    assert "lacks a clone of RenYurui/Global-Flow" in other.unavailable
    monkeypatch.setenv("PCDMS_REPOS", str(clone.parent))
    (found,) = plan(repos=())
    assert found.folder == first.folder


def test_a_repository_that_lacks_something_ends_its_row_not_the_command(run, clone, tmp_path):
    (clone / stand_in.WEIGHTS).unlink()
    result = run(methods="copy-source,patn-official")
    assert result.exit_code == 1
    assert scored(tmp_path, "copy-source")["ssim"].n == 4
    row = scored(tmp_path)["ssim"]
    assert np.isnan(row.value)
    assert stand_in.WEIGHTS in row.reason


def test_all_methods_are_ours_alone():
    assert "copy-source" in standard_names()
    assert not [name for name in standard_names() if name.endswith("-official")]
    assert "patn-official" in method_names()


def test_lists_say_what_each_repository_lacks(clone, python, monkeypatch):
    (clone / ".venv").symlink_to(python.parents[1])
    monkeypatch.setenv("PCDMS_REPOS", str(clone.parent))
    for kind in ("methods", "repositories"):
        listed = json.loads(call("list", kind, "--json").stdout)
        found = {row["name"]: row for row in listed if row["name"].endswith("-official")}
        assert len(found) == 12
        assert "clone of ankanbhunia/PIDM" in found["pidm-official"]["reason"]
        assert "parsing" in found["adgan-official"]["reason"]
        assert "Pose-Transfer" not in found["patn-official"]["reason"].partition("lacks")[0]
    assert "licence" in found["pidm-official"]["summary"]


def test_a_bad_option_is_one_line_and_exit_code_2(run, tmp_path):
    result = run("--repo", f"patn-official={tmp_path / 'absent'}")
    assert result.exit_code == 2
    assert "no such folder" in error_line(result)
    assert not Path(tmp_path / "runs").exists()
