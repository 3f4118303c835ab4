"""Official repositories: a stand-in's program runs apart from us, and what it leaves is checked."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stand_in

from pcdms_baselines.external import child
from pcdms_baselines.external.clone import Given
from pcdms_baselines.external.method import LOG, External
from pcdms_baselines.external.recipe import recipe_of
from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

FRAME = (128, 64)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return stand_in.make_interpreter(tmp_path_factory.mktemp("own") / "env")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return load_pairs("market1501", stand_in.make_market(tmp_path_factory.mktemp("market")))


@pytest.fixture
def clone(tmp_path):
    return stand_in.make_repository(tmp_path / "Pose-Transfer")


@pytest.fixture
def method(clone, python):
    return External(recipe_of("patn-official"), FRAME, Given(clone, str(python)))


def levels(out, pairs):
    paths = [out / "final" / f"{pair.pair_id}.png" for pair in pairs]
    pictures = [load_picture(Picture(path.name, path)) for path in paths if path.exists()]
    assert all(picture.shape == (*FRAME, 3) and np.ptp(picture) == 0 for picture in pictures)
    return [int(picture[0, 0, 0]) for picture in pictures]


def test_the_result_tile_of_every_pair_becomes_its_picture(method, pairs, tmp_path):
    seen = []
    out = tmp_path / "run" / "samples"
    failed = method.generate_stage(
        "final", pairs, out, seed=0, progress=lambda done, total: seen.append((done, total))
    )
    assert failed == {}
    assert levels(out, pairs) == [40, 41, 42, 43]
    assert seen[-1] == (4, 4)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [LOG, "samples"]


def test_the_program_has_its_own_interpreter_and_none_of_our_variables(
    method, pairs, python, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(np.__file__).parents[1]))
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("RANK", "1")
    assert method.generate(pairs[:1], tmp_path / "run" / "samples", seed=0) == {}
    log = (tmp_path / "run" / LOG).read_text()
    assert f"prefix {python.parents[1]}" in log
    assert "variables ['PYTHONDONTWRITEBYTECODE', 'PYTHONUNBUFFERED']" in log


def test_the_clone_is_shown_by_links_and_not_written_to(method, clone, pairs, tmp_path):
    def content():
        return {p: p.read_bytes() for p in sorted(clone.rglob("*")) if p.is_file()}

    before = content()
    assert method.generate(pairs, tmp_path / "run" / "samples", seed=0) == {}
    assert content() == before
    log = (tmp_path / "run" / LOG).read_text()
    assert "'data'" in log
    assert "'market_data'" in log


def test_a_second_call_asks_only_for_what_is_missing(method, clone, pairs, tmp_path):
    out = tmp_path / "run" / "samples"
    stand_in.behave(clone, fail_at=2)
    failed = method.generate(pairs, out, seed=0)
    assert list(failed) == [pair.pair_id for pair in pairs[2:]]
    assert levels(out, pairs) == [40, 41]
    reason = failed[pairs[2].pair_id]
    assert reason.startswith("patn-official ended with exit code 1; its last lines: ")
    assert "RuntimeError: out of memory, as a stand-in says it" in reason
    assert reason.endswith("2 of 4 pictures came back")
    stand_in.behave(clone)
    assert method.generate(pairs, out, seed=0) == {}
    assert levels(out, pairs) == [40, 41, 40, 41]  # numbered anew: two pairs were listed
    assert method.generate(pairs, out, seed=0) == {}
    assert (tmp_path / "run" / LOG).read_text().count("made") == 2


def test_a_program_that_hangs_is_ended_with_its_children(
    clone, python, pairs, tmp_path, monkeypatch
):
    stand_in.behave(clone, hang_at=1, child=str(tmp_path / "pid"), deaf=True)
    monkeypatch.setattr(child, "GRACE", 0.3)
    given = Given(clone, str(python), time_limit=3)
    method = External(recipe_of("patn-official"), FRAME, given)
    started = time.monotonic()
    failed = method.generate(pairs, tmp_path / "run" / "samples", seed=0)
    assert time.monotonic() - started < 20
    assert len(failed) == 3
    assert "was stopped after 3 s; its last lines: " in failed[pairs[1].pair_id]
    assert "waiting for nothing" in failed[pairs[1].pair_id]
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_program_without_a_sign_of_life_is_ended(method, clone, pairs, tmp_path):
    stand_in.behave(clone, hang_at=0)
    silent = replace(method, patience=1.0)
    failed = silent.generate(pairs[:1], tmp_path / "run" / "samples", seed=0)
    assert "after 1 s without output or a new picture" in failed[pairs[0].pair_id]


def test_children_of_a_program_that_has_ended_are_ended_too(method, clone, pairs, tmp_path):
    stand_in.behave(clone, child=str(tmp_path / "pid"))
    assert method.generate(pairs[:1], tmp_path / "run" / "samples", seed=0) == {}
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_an_interrupt_ends_the_program_and_keeps_its_pictures(method, clone, pairs, tmp_path):
    stand_in.behave(clone, hang_at=1, child=str(tmp_path / "pid"))

    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    out = tmp_path / "run" / "samples"
    with pytest.raises(KeyboardInterrupt):
        method.generate_stage("final", pairs, out, 0, progress=interrupt)
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert levels(out, pairs) == [40]
    assert not list((tmp_path / "run").glob("*.work"))


def test_a_signal_to_terminate_ends_the_program_too(clone, python, tmp_path):
    root = stand_in.make_market(tmp_path / "market")
    stand_in.behave(clone, hang_at=1, child=str(tmp_path / "pid"))
    worker = Path(__file__).parent / "external_worker.py"
    words = [str(clone), str(python), str(root), str(tmp_path / "run" / "samples")]
    ours = subprocess.Popen([sys.executable, str(worker), *words], stderr=subprocess.DEVNULL)
    made = tmp_path / "run" / "samples" / "final"
    wait_for(lambda: made.is_dir() and len(list(made.glob("*.png"))) == 1)
    ours.terminate()
    assert ours.wait(30) == 128 + 15
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert len(list(made.iterdir())) == 1
    assert not list((tmp_path / "run").glob("*.work"))


def test_pictures_that_cannot_be_used_fail_their_pair_with_the_reason(
    method, clone, pairs, tmp_path
):
    secret = tmp_path / "secret.png"
    secret.write_bytes(stand_in.sheet((128, 320), {}))
    stand_in.behave(
        clone, broken=[0], small=[1], link_out=[2], outside=str(secret), strangers=["a_b_vis.png"]
    )
    failed = method.generate(pairs, tmp_path / "run" / "samples", seed=0)
    reasons = [failed.get(pair.pair_id, "") for pair in pairs]
    assert "cannot be decoded" in reasons[0]
    assert "is 10x10, expected 128x320" in reasons[1]
    assert "is a link out of the work folder" in reasons[2]
    assert reasons[3] == ""
    assert not any(str(tmp_path) in reason for reason in reasons)


def test_files_without_a_pair_are_counted_where_pictures_are_missing(
    method, clone, pairs, tmp_path
):
    stand_in.behave(clone, leave_out=[1], strangers=["a___b_vis.png"])
    failed = method.generate(pairs, tmp_path / "run" / "samples", seed=0)
    assert list(failed) == [pairs[1].pair_id]
    assert "1 files fit no pair, such as a___b_vis.png" in failed[pairs[1].pair_id]


def test_an_unreadable_picture_fails_its_own_pairs_only(method, pairs, tmp_path):
    gone = replace(pairs[0], source=Picture("gone.jpg", tmp_path / "gone.jpg"), pair_id="g_to_t")
    out = tmp_path / "run" / "samples"
    failed = method.generate([gone, *pairs[2:]], out, seed=0)
    assert list(failed) == ["g_to_t"]
    assert "gone.jpg" in failed["g_to_t"]
    assert levels(out, pairs) == [40, 41]


def test_words_that_mean_no_weights_make_every_picture_worthless(method, clone, pairs, tmp_path):
    case = method.recipe.case(FRAME)
    case = replace(case, unloaded=("do not find checkpoint",))
    stand_in.behave(clone, say="do not find checkpoint for network G")
    careful = replace(method, recipe=replace(method.recipe, cases=(case,)))
    out = tmp_path / "run" / "samples"
    failed = careful.generate(pairs, out, seed=0)
    assert len(failed) == 4
    assert "'do not find checkpoint'" in failed[pairs[0].pair_id]
    assert levels(out, pairs) == []


def test_more_samples_than_one_are_refused(method, pairs, tmp_path):
    with pytest.raises(InputError, match="one picture a pair, not 2 samples"):
        method.generate(pairs, tmp_path / "samples", seed=0, samples=2)


def test_everything_that_is_lacking_is_said_at_once(method, clone, python, tmp_path):
    recipe = recipe_of("patn-official")
    assert method.unavailable() is None
    assert "not of 96x64" in External(recipe, (96, 64)).unavailable()
    nothing = External(recipe, FRAME).unavailable()
    for part in ("a clone of tengteng95/Pose-Transfer", "an interpreter", stand_in.WEIGHTS):
        assert part in nothing
    wrong = External(recipe, FRAME, Given(tmp_path)).unavailable()
    assert f"tool/generate_pose_map_fashion.py in {tmp_path}" in wrong
    (clone / stand_in.WEIGHTS).unlink()
    (clone / "pandas.py").unlink()
    lacks = External(recipe, FRAME, Given(clone, str(python))).unavailable()
    assert f"pandas in {python}" in lacks
    assert "Google Drive" in lacks
    no_python = External(recipe, FRAME, Given(clone, str(clone / "test.py"))).unavailable()
    assert "lacks interpreter" in no_python or "working interpreter" in no_python


def test_clones_and_their_interpreters_are_found_in_one_folder(
    clone, python, pairs, tmp_path, monkeypatch
):
    monkeypatch.setenv("PCDMS_REPOS", str(clone.parent))
    (clone / ".venv").symlink_to(python.parents[1])
    method = External(recipe_of("patn-official"), FRAME)
    assert method.unavailable() is None
    assert method.generate(pairs[:1], tmp_path / "run" / "samples", seed=0) == {}


def test_identity_follows_code_commit_weights_and_nothing_else(clone, tmp_path):
    def identity(**given):
        return External(recipe_of("patn-official"), FRAME, Given(clone, **given)).identity()

    plain = identity()
    assert len(plain) == 8
    (clone / "options.json").write_text("{}")  # a configuration decides as code does
    assert identity() != plain
    (clone / "options.json").unlink()
    assert identity() == plain
    (clone / "README.md").write_text("words")
    assert identity() == plain
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    assert identity(weights=other) != plain
    other.write_bytes((clone / stand_in.WEIGHTS).read_bytes())
    assert identity(weights=other) == plain
    stand_in.commit(clone, "one")
    committed = identity()
    assert committed != plain
    (clone / "data" / "pairs.py").write_text("# changed")
    changed = identity()
    assert changed not in (plain, committed)
    stand_in.commit(clone, "two")
    assert identity() not in (plain, committed, changed)


def is_gone(pid):
    def ended():
        stat = Path(f"/proc/{pid}/stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    return wait_for(ended)


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)
    return True
