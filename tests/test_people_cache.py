"""The cache of rendered people: equal in any number of processes, safe, complete, verified."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pcdms_data import cache
from pcdms_data.cache import cached_entry, is_intact
from pcdms_data.images import load_labels, load_picture
from pcdms_data.people import rendering
from pcdms_data.people.cache import rendered_split, split_key
from pcdms_data.people.presets import SplitPlan, plan_split
from pcdms_data.people.render import render_view
from pcdms_data.people.rendering import WorkerPool, prepare_arrays
from pcdms_data.types import InputError

PLAN = plan_split("people", "smoke", "test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path))
    return tmp_path


def entry_of(plan, folder):
    return folder / "people" / split_key(plan)


def test_a_split_holds_what_the_renderer_gives(folder):
    split = rendered_split(PLAN)
    assert len(split) == 16
    for row in (0, 5, 15):
        seen = render_view(0, 1_000_000 + row // 4, row % 4, "fashion", (64, 32))
        assert np.array_equal(load_picture(split.picture(row)), seen.pixels)
        assert np.array_equal(load_labels(split.parts(row)), seen.parts)
        assert np.array_equal(load_labels(split.garments(row)), seen.garments)
        assert np.array_equal(split.pose(row).xy, seen.keypoints.xy)
        assert np.array_equal(split.pose(row).visible, seen.keypoints.visible)
        assert split.identities[row] == row // 4
    assert sorted(file.name for file in split.folder.iterdir()) == [
        "garments.npy", "index.json", "keypoints.npz", "manifest.json", "parts.npy", "pictures.npy",
    ]  # fmt: skip


def test_a_second_call_renders_nothing(folder, monkeypatch):
    counts = []
    rendered_split(PLAN, progress=lambda done, total: counts.append((done, total)))
    assert counts[0] == (0, 16)
    assert counts[-1] == (16, 16)
    monkeypatch.setattr(rendering, "render_chunk", None)
    rendered_split(PLAN, progress=lambda done, total: pytest.fail("rendered again"))


def test_worker_processes_give_the_same_bytes(folder, tmp_path, monkeypatch):
    plan = plan_split("people-street", "smoke", "train")
    one = rendered_split(plan, workers=1)
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "other"))
    two = rendered_split(plan, workers=2)
    assert one.folder != two.folder
    for path in sorted(one.folder.iterdir()):
        assert path.read_bytes() == (two.folder / path.name).read_bytes(), path.name


def test_two_processes_at_once_fill_it_once(folder):
    code = (
        "from pcdms_data import load_pairs; "
        "p = load_pairs('people', size='smoke', split='train', "
        "progress=lambda done, total: print('rendered', done)); print(len(p))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("rendered 64" in output for output in outputs) == 1
    assert outputs[0][-2] == outputs[1][-2]
    assert not list(folder.rglob("*.partial"))


def test_an_interrupted_fill_goes_on_where_it_stopped(folder, monkeypatch):
    plan = plan_split("people", "smoke", "train")
    made = []
    render_chunk = rendering.render_chunk

    def stop_at_third(plan, target, chunk):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(chunk)
        render_chunk(plan, target, chunk)

    monkeypatch.setattr(rendering, "render_chunk", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        rendered_split(plan)
    assert not entry_of(plan, folder).exists()
    # A chunk whose rows were lost with the power is noticed and made again.
    partial = folder / "people" / f"{split_key(plan)}.partial"
    pictures = np.load(partial / "pictures.npy", mmap_mode="r+")
    pictures[3] = 0
    del pictures
    again = []

    def note(plan, target, chunk):
        again.append(chunk)
        render_chunk(plan, target, chunk)

    monkeypatch.setattr(rendering, "render_chunk", note)
    split = rendered_split(plan)
    assert made == [0, 1]
    assert again == [0, 2, 3]
    assert load_picture(split.picture(3)).any()
    assert not partial.exists()


@pytest.mark.parametrize("name", ["pictures.npy", "index.json", "manifest.json"])
def test_a_tampered_file_is_found_and_made_anew(folder, monkeypatch, caplog, name):
    split = rendered_split(PLAN)
    good = {path.name: path.read_bytes() for path in split.folder.iterdir()}
    content = bytearray(good[name])
    content[len(content) // 2] ^= 1
    (split.folder / name).write_bytes(content)
    monkeypatch.setattr(cache, "_verified", set())  # as a new process starts
    with caplog.at_level(logging.WARNING):
        rendered_split(PLAN)
    assert "damaged" in caplog.text
    assert {path.name: path.read_bytes() for path in split.folder.iterdir()} == good


def test_a_missing_file_counts_as_damage(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    cache.write_manifest(tmp_path)
    assert is_intact(tmp_path)
    (tmp_path / "a").unlink()
    cache._verified.clear()
    assert not is_intact(tmp_path)


def test_everything_that_decides_pixels_is_in_the_key():
    keys = {
        split_key(plan)
        for plan in (
            PLAN,
            plan_split("people", "smoke", "val"),
            plan_split("people", "smoke", "test", seed=1),
            plan_split("people", "smoke", "test", (96, 64)),
            plan_split("people-street", "smoke", "test"),
            plan_split("people", "mini", "test", (64, 32)),
        )
    }
    assert len(keys) == 6


def test_another_renderer_version_is_another_entry(monkeypatch):
    before = split_key(PLAN)
    monkeypatch.setattr("pcdms_data.people.render.RENDERER_VERSION", "test")
    assert split_key(PLAN) != before


def test_a_worker_that_dies_is_reported_with_its_last_words(tmp_path):
    plan = SplitPlan("people", "no-such-look", "smoke", "test", (64, 32), 0, 0, 8, 2)
    prepare_arrays(plan, tmp_path)
    with (
        pytest.raises(RuntimeError, match=r"ended with code 1: .*no-such-look"),
        WorkerPool(plan, tmp_path, 2) as pool,
    ):
        list(pool.run([0, 1]))


def test_a_cache_that_cannot_be_written_is_named(folder, monkeypatch):
    (folder / "file").write_text("no folder")
    monkeypatch.setenv("PCDMS_CACHE", str(folder / "file"))
    with pytest.raises(InputError, match=r"file.* cannot be written .*PCDMS_CACHE"):
        cached_entry("x", "y", lambda target: None)


def test_a_fill_that_fails_leaves_no_entry_and_no_lock(folder):
    def fail(target):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cached_entry("x", "y", fail)
    made = cached_entry("x", "y", lambda target: (target / "a").write_text("b"))
    assert (made / "a").read_text() == "b"


def test_the_cache_is_the_users_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("PCDMS_CACHE", raising=False)
    assert "pcdms" in cache.cache_folder().name
    monkeypatch.setenv("PCDMS_CACHE", "elsewhere")
    assert cache.cache_folder() == Path("elsewhere")
