"""Making a study: what is drawn, that nothing says what a picture is, and what is refused."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from bench_fixture import call, error_line, save_noise
from study_fixture import FRAME, METHODS, PICTURES, make_runs, make_study, rows, save_run

from pcdms_bench.study.competitors import find_competitors
from pcdms_bench.study.making import make_study as write_study
from pcdms_bench.study.questions import draw_questions
from pcdms_data.images import load_picture
from pcdms_data.types import Picture
from pcdms_reports.study_file import SCHEMA

QUESTIONS = "SELECT part, method, truth, pair FROM questions ORDER BY rowid"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def changed(runs, tmp_path):
    """A copy of the runs that a test may damage."""
    return shutil.copytree(runs, tmp_path / "runs")


def shown(folder):
    """(part, method, truth, pair, role, maker, pixels) of every picture, in the order made."""
    found = rows(
        folder,
        "SELECT pictures.id, part, questions.method, truth, pair, role, pictures.method"
        " FROM pictures JOIN questions ON questions.id = question ORDER BY pictures.rowid",
    )
    return [(*row, pixels(folder / "pictures" / f"{name}.png")) for name, *row in found]


def pixels(path):
    return load_picture(Picture(path.name, path))


def target_of(runs, pair):
    name = pair.partition("_to_")[2]
    return pixels(runs.parent / "data" / "pictures" / f"{name}.png")


def test_equal_seeds_draw_equal_questions_and_other_seeds_others(runs, tmp_path):
    first, again, other = (
        make_study(runs, tmp_path / name, "--seed", seed)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert rows(first, QUESTIONS) == rows(again, QUESTIONS)
    assert rows(first, QUESTIONS) != rows(other, QUESTIONS)
    for one, two in zip(shown(first), shown(again), strict=True):
        assert one[:-1] == two[:-1]
        np.testing.assert_array_equal(one[-1], two[-1])


def test_names_do_not_follow_from_the_seed_and_belong_to_one_question_each(runs, tmp_path):
    folders = [make_study(runs, tmp_path / name) for name in "ab"]
    for query in ("SELECT id FROM pictures", "SELECT id FROM questions"):
        names = [[row[0] for row in rows(folder, query)] for folder in folders]
        assert not set(names[0]) & set(names[1])
        assert len(set(names[0])) == len(names[0])
        assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names[0])
    files = {path.stem for path in (folders[0] / "pictures").iterdir()}
    assert files == {row[0] for row in rows(folders[0], "SELECT id FROM pictures")}


def test_every_method_has_a_round_of_as_many_real_as_generated_pictures(runs, tmp_path):
    drawn = rows(make_study(runs, tmp_path / "s"), QUESTIONS)
    generated = {}
    for method in METHODS:
        pairs = {
            truth: [row[3] for row in drawn if row[:3] == ("judge", method, truth)]
            for truth in ("real", "generated")
        }
        targets = [pair.partition("_to_")[2] for pair in pairs["real"]]
        assert len(set(targets)) == len(targets) == PICTURES
        assert len(set(pairs["generated"])) == PICTURES
        generated[method] = pairs["generated"]
        assert not set(targets) & {pair.partition("_to_")[2] for pair in pairs["generated"]}
    assert generated["copy-source"] == generated["limb-warp"] == generated["pcdms"]
    cases = [row[3] for row in drawn if row[0] == "choose"]
    assert len(set(cases)) == PICTURES
    assert not set(cases) & set(generated["limb-warp"])


def test_pictures_are_those_of_the_runs_and_of_the_dataset_in_one_size(runs, tmp_path):
    folder = make_study(runs, tmp_path / "s")
    places = {
        path.parent.name: path / "samples" / METHODS[path.parent.name].split("+")[-1]
        for path in runs.glob("*/*/*/")
    }
    roles = []
    for part, method, truth, pair, role, maker, found in shown(folder):
        assert found.shape == (*FRAME, 3)
        roles.append((part, role))
        if truth == "real":
            assert maker == ""
            np.testing.assert_array_equal(found, target_of(runs, pair))
        elif role in ("judged", "candidate"):
            assert role == "candidate" or maker == method
            np.testing.assert_array_equal(found, pixels(places[maker] / f"{pair}.png"))
        elif role == "source":
            name = pair.partition("_to_")[0]
            expected = pixels(runs.parent / "data" / "pictures" / f"{name}.png")
            np.testing.assert_array_equal(found, expected)
    assert roles.count(("judge", "judged")) == 2 * PICTURES * len(METHODS)
    assert roles.count(("choose", "candidate")) == PICTURES * len(METHODS)
    assert roles.count(("choose", "source")) == roles.count(("choose", "pose")) == PICTURES


def test_files_hold_pixels_and_nothing_else(runs, tmp_path):
    for path in (make_study(runs, tmp_path / "s") / "pictures").iterdir():
        content = path.read_bytes()
        chunks, at = [], 8
        while at < len(content):
            size = int.from_bytes(content[at : at + 4], "big")
            chunks.append(content[at + 4 : at + 8])
            at += 12 + size
        assert set(chunks) <= {b"IHDR", b"IDAT", b"IEND"}


def test_few_pairs_are_used_up_and_the_repeats_are_said(runs, tmp_path):
    result = call("study", "make", runs, "--out", tmp_path / "s")
    assert result.exit_code == 0, result.output
    assert "54 showings of real pictures 36 repeat an earlier one" in " ".join(
        result.stderr.split()
    )
    drawn = rows(tmp_path / "s", QUESTIONS)
    assert len(drawn) == 18 * 7
    for method in METHODS:
        real = [row[3] for row in drawn if row[:3] == ("judge", method, "real")]
        assert len({pair.partition("_to_")[2] for pair in real}) == 18


def test_one_method_alone_is_judged_and_not_compared(runs, tmp_path):
    folder = make_study(next(runs.glob("*/limb-warp/*/")), tmp_path / "s")
    assert {row[0] for row in rows(folder, QUESTIONS)} == {"judge"}


def test_pairs_without_a_usable_picture_are_left_out_and_named(changed, tmp_path):
    # As many as all 36 pairs, so that every pair is looked at.
    place = next(changed.glob("*/limb-warp/*/")) / "samples" / "final"
    gone, broken, *_ = sorted(path.stem for path in place.iterdir())
    (place / f"{gone}.png").unlink()
    (place / f"{broken}.png").write_bytes(b"no picture")
    result = call("study", "make", changed, "--out", tmp_path / "s", "--pictures", 18)
    assert result.exit_code == 1
    assert f"left out: {gone}: limb-warp has no picture" in result.stderr
    assert f"left out: {broken}:" in result.stderr
    used = {row[3] for row in rows(tmp_path / "s", QUESTIONS) if row[2] != "real"}
    assert not used & {gone, broken}


def test_more_pictures_than_there_are_are_refused(runs, tmp_path):
    result = call("study", "make", runs, "--out", tmp_path / "s", "--pictures", 19)
    assert result.exit_code == 2
    assert "19 pictures were asked for, but the runs hold 18 pairs" in error_line(result)
    assert not (tmp_path / "s").exists()


def test_runs_that_must_not_be_mixed_are_refused_with_the_reason(runs, changed, tmp_path):
    def refused(*places):
        result = call("study", "make", *places, "--out", tmp_path / "s", "--pictures", 2)
        assert result.exit_code == 2
        assert not (tmp_path / "s").exists()
        return error_line(result)

    mine, theirs = next(runs.glob("*/limb-warp/*/")), next(changed.glob("*/copy-source/*/"))
    spec = json.loads((theirs / "spec.json").read_text())
    status = json.loads((theirs / "status.json").read_text())
    for name, value in (("resolution", "128x64"), ("dataset", "deepfashion"), ("split", "val")):
        (theirs / "spec.json").write_text(json.dumps(spec | {name: value}))
        assert f"differ in {name}" in refused(mine, theirs)
    (theirs / "spec.json").write_text(json.dumps(spec))
    for change, reason in (
        ({"pair_ids": status["pair_ids"][:9]}, "hold different pairs (36 and 9, 9 in both)"),
        ({"root": "/elsewhere"}, "differ in the dataset's folder"),
        ({"state": "failed", "reason": "too warm"}, "the run is failed: too warm"),
    ):
        (theirs / "status.json").write_text(json.dumps(status | change))
        assert reason in refused(mine, theirs)
    assert "holds no run folder" in refused(tmp_path)


def test_two_runs_of_one_method_are_told_apart_by_their_hash(runs, changed, tmp_path):
    place = next(changed.glob("*/limb-warp/*/"))
    other = place.rename(place.with_name("0123abcd"))
    found, _ = find_competitors([next(runs.glob("*/limb-warp/*/")), other])
    assert [one.method for one in found] == [f"limb-warp [{one.folder.name}]" for one in found]
    assert len({one.method for one in found}) == 2


def test_the_chosen_sample_is_shown_where_a_run_chose_one(runs, tmp_path):
    root = runs.parent / "data"
    place = save_run(tmp_path / "runs", root, "limb-warp", "final", 9000, samples=2)
    for path in (place / "samples" / "final").glob("*.1.png"):
        target = path.name.removesuffix(".1.png").partition("_to_")[2]
        shutil.copy(root / "pictures" / f"{target}.png", path)  # no other sample is as good
    for _, _, truth, pair, _, _, found in shown(make_study(place, tmp_path / "s")):
        assert truth
        np.testing.assert_array_equal(found, target_of(runs, pair))
    next((place / "samples" / "final").glob("*.1.png")).unlink()
    (place / "selection.csv").unlink()
    result = call("study", "make", place, "--out", tmp_path / "t", "--pictures", PICTURES)
    assert (result.exit_code, "limb-warp has no picture" in result.stderr) == (1, True)


def test_an_error_leaves_no_half_written_study(runs, tmp_path):
    competitors, pairs = find_competitors([runs])
    drawn = draw_questions(competitors, pairs, 2, 0)

    def interrupt(count=1):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_study(tmp_path / "s", competitors, drawn, 0, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_never_written_into(runs, tmp_path):
    folder = make_study(runs, tmp_path / "s")
    before = rows(folder, QUESTIONS)
    line = error_line(call("study", "make", runs, "--out", folder, "--pictures", 2))
    assert "is there already" in line
    assert rows(folder, QUESTIONS) == before
    save_noise(tmp_path / "mine" / "a.png")
    assert "is there already" in error_line(call("study", "make", runs, "--out", tmp_path / "mine"))
    (tmp_path / "empty").mkdir()
    make_study(runs, tmp_path / "empty")


def test_the_tables_are_those_of_the_contract(runs, tmp_path):
    folder = make_study(runs, tmp_path / "s")
    made = [
        row[0].split()[2] for row in rows(folder, "SELECT sql FROM sqlite_master WHERE sql > ''")
    ]
    assert made == re.findall(r"CREATE TABLE (\w+)", SCHEMA)
    assert rows(folder, "SELECT method, stage FROM methods ORDER BY place") == [
        (method, stages.split("+")[-1]) for method, stages in METHODS.items()
    ]
    assert (folder / "study.sqlite").stat().st_mode & 0o077 == 0
