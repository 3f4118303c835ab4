"""Preparing: everything is checked first, the tables equal direct reading, kills lose nothing."""

import hashlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_fixture import save_folder_dataset
from click.testing import CliRunner
from raw_downloads import lock_members, make_inshop, make_market, pack

from pcdms_data import load_pairs
from pcdms_data.exporting import export
from pcdms_data.images import load_picture, png_bytes, resize
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.picture_store import encoded_bytes
from pcdms_data.preparing import shards
from pcdms_data.preparing.manifest import damaged_files, read_manifest
from pcdms_data.preparing.problems import UnfitError, listing
from pcdms_data.preparing.request import Request, prepare_dataset
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def download(tmp_path_factory, cache):
    return make_inshop(tmp_path_factory.mktemp("inshop"))


@pytest.fixture
def own(download, tmp_path):
    """A copy of the download that a test may spoil."""
    root = tmp_path / "raw"
    shutil.copytree(download.root, root)
    return type(download)(root, download.names, download.people)


def silent(title):
    return lambda done, total: None


def prepare(root, out, dataset="deepfashion", **settings):
    return prepare_dataset(Request(dataset, root, workers=2, **settings), out, silent)


def problems_of(root, tmp_path, **settings):
    """The problems as (kind, text); checks that nothing was written."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnfitError) as caught:
        prepare(root, tmp_path / "out", **settings)
    assert sorted(tmp_path.iterdir()) == before
    assert "\n" not in str(caught.value)
    return [(problem.kind, problem.text) for problem in caught.value.problems]


def test_prepared_pictures_pairs_and_slices_equal_direct_reading(download, tmp_path):
    made = prepare(download.root, tmp_path / "out")
    assert made.manifest["convention"] == "lowres_crop"
    assert made.manifest["kernel"] == "pil-bicubic-u8"
    assert made.manifest["lists"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in download.root.glob("*.csv")
    }
    for split in ("test", "train"):
        direct = load_pairs("deepfashion", download.root, split=split)
        stored = load_pairs("deepfashion", tmp_path / "out", split=split)
        assert stored.layout == "prepared"
        assert stored.convention == direct.convention
        assert stored.resolution == direct.resolution
        assert stored.gallery.groups == direct.gallery.groups
        assert np.array_equal(stored.rows, direct.rows)
        assert len(direct) > 0
        assert direct.slices
        for ours, theirs in zip(stored, direct, strict=True):
            assert (ours.pair_id, ours.group, ours.slices) == (
                theirs.pair_id, theirs.group, theirs.slices,
            )  # fmt: skip
        for ours, theirs in zip(stored.gallery.keypoints, direct.gallery.keypoints, strict=True):
            assert np.array_equal(ours.xy, theirs.xy)
            assert np.array_equal(ours.visible, theirs.visible)
        for ours, theirs in zip(stored.gallery.pictures, direct.gallery.pictures, strict=True):
            assert ours.name == theirs.name
            assert np.array_equal(load_picture(ours), load_picture(theirs))
        counts = made.manifest["splits"][split]
        assert (counts["pairs"], counts["pictures"]) == (len(direct), len(direct.gallery.pictures))


def test_high_resolution_pictures_are_resized_by_the_named_kernel_to_each_frame(tmp_path):
    raw = make_inshop(tmp_path / "raw", highres=True, splits=("test",))
    sizes = ((256, 176), (64, 44))
    prepare(raw.root, tmp_path / "out", resolutions=sizes, kernel="cv2-linear-u8", splits=("test",))
    direct = load_pairs("deepfashion", raw.root)
    for size in sizes:
        stored = load_pairs("deepfashion", tmp_path / "out", resolution=size)
        assert stored.convention == "highres_resize"
        for ours, theirs in zip(stored.gallery.pictures, direct.gallery.pictures, strict=True):
            wanted = resize(load_picture(theirs), size, "cv2-linear-u8")
            assert np.array_equal(load_picture(ours), wanted)
            assert f"{size[0]}x{size[1]}" in ours.path.parts
        scaled = direct.gallery.keypoints[0].resized(size)
        assert np.allclose(stored.gallery.keypoints[0].xy, scaled.xy, atol=1e-4)


def test_an_archive_prepares_to_the_same_as_its_folder(download, tmp_path):
    archive = pack(download.root / "Img" / "img", tmp_path / "img.zip", download.root / "Img")
    prepare(archive, tmp_path / "packed", annotations=download.root, splits=("test",))
    prepare(download.root, tmp_path / "plain", splits=("test",))
    packed, plain = (load_pairs("deepfashion", tmp_path / name) for name in ("packed", "plain"))
    assert np.array_equal(packed.rows, plain.rows)
    for ours, theirs in zip(packed.gallery.pictures, plain.gallery.pictures, strict=True):
        assert encoded_bytes(ours) == encoded_bytes(theirs)


@pytest.mark.parametrize("packed", [False, True])
def test_market_names_that_end_in_two_extensions_survive_and_junk_makes_no_pair(tmp_path, packed):
    raw = make_market(tmp_path / "raw")
    root, annotations = raw.root, None
    if packed:
        below = tmp_path / "Market-1501-v15.09.15"
        below.mkdir()
        shutil.move(raw.root / "bounding_box_test", below)
        root, annotations = pack(below, tmp_path / "market.zip", tmp_path), raw.root
        shutil.rmtree(below)
    prepare(root, tmp_path / "out", "market1501", annotations=annotations, encoding="jpeg")
    pairs = load_pairs("market1501", tmp_path / "out")
    names = [picture.name for picture in pairs.gallery.pictures]
    assert names == raw.names["test"]
    assert any(name.endswith(".jpg.jpg") for name in names)
    used = {names[row] for row in pairs.rows.ravel()}
    assert any(name.endswith(".jpg.jpg") for name in used)
    assert not any(name.startswith("-1") for name in used)
    assert load_pairs("market1501", tmp_path / "out")[0].source_pose.size == (128, 64)
    if not packed:  # JPEG of the right size is stored as it came
        for picture in pairs.gallery.pictures:
            path = raw.root / "bounding_box_test" / picture.name
            assert encoded_bytes(picture) == path.read_bytes()


def test_every_problem_is_listed_and_nothing_is_written(own, tmp_path):
    names = own.names["test"]
    wrong, missing, cut, empty = (own.picture(name) for name in names[:4])
    wrong.write_bytes(jpeg_bytes(np.zeros((256, 255, 3), dtype=np.uint8)))
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-200])
    empty.write_bytes(b"")
    (own.root / "fasion-resize-pairs-train.csv").write_text(
        f"from,to\n{own.names['train'][0]},fashionWOMENDressesid0000000201_1front.jpg\n"
    )
    (own.root / "Eval").mkdir()
    (own.root / "Eval" / "list_eval_partition.txt").write_text("5\nhead\n")
    found = problems_of(own.root, tmp_path)
    assert [kind for kind, _ in found] == [
        "unusable file", "missing annotation", "picture of a wrong size",
        "annotation without picture", "unreadable picture", "unreadable picture",
    ]  # fmt: skip
    for (_, text), name in zip(
        found,
        ["list_eval_partition.txt", "line 2: fashionWOMENDressesid0000000201_1front.jpg",
         "is 256x255, expected 256x256", missing.name, cut.name, empty.name],
        strict=True,
    ):  # fmt: skip
        assert name in text


def test_the_command_prints_the_list_and_exits_with_2(own, tmp_path):
    from pcdms_bench.cli import cli

    for name in own.names["test"]:
        own.picture(name).unlink()
    words = ["data", "prepare", "--dataset", "deepfashion", "--root", str(own.root)]
    words += ["--out", str(tmp_path / "out"), "--problems", str(tmp_path / "list.txt")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert f"annotation without picture: {len(own.names['test'])}" in result.stderr
    assert "error: " in result.stderr.splitlines()[-1]
    text = (tmp_path / "list.txt").read_text()
    assert text.count("expected an image file") == len(own.names["test"])
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_the_command_prepares_and_names_what_it_made(download, tmp_path):
    from pcdms_bench.cli import cli

    words = ["data", "prepare", "--dataset", "deepfashion", "--root", str(download.root)]
    words += ["--splits", "test", "--resolution", "128x88,64x44", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "128x88, 64x44" in result.output
    assert "test: 16 pictures" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = CliRunner().invoke(cli, words)
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_locked_and_cut_archives_are_listed_by_name(download, tmp_path):
    archive = pack(download.root / "Img" / "img", tmp_path / "img.zip", download.root / "Img")
    whole = archive.read_bytes()
    lock_members(archive, "WOMEN/")
    found = problems_of(archive, tmp_path, annotations=download.root)
    women = sum("WOMEN" in name for names in download.names.values() for name in names)
    assert len([kind for kind, text in found if "password" in text]) == women
    assert {kind for kind, _ in found} == {"archive"}
    archive.write_bytes(whole[: len(whole) // 2])
    ((kind, text),) = problems_of(archive, tmp_path, annotations=download.root)
    assert (kind, text) == ("archive", f"{archive}: is cut short or no zip archive")


def test_a_locked_archive_of_the_other_resolution_is_no_hindrance(download, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(download.root, root)
    locked = pack(root / "Img" / "img", root / "Img" / "img_highres.zip", root / "Img")
    lock_members(locked, "/")
    made = prepare(root, tmp_path / "out").manifest
    assert made["convention"] == "lowres_crop"
    shutil.rmtree(tmp_path / "out")
    found = problems_of(root, tmp_path, convention="highres_resize")
    assert len(found) == 32
    assert all("img_highres.zip" in text and "password" in text for _, text in found)


def test_a_split_without_annotations_is_left_out_or_a_problem_when_asked_for(own, tmp_path):
    (own.root / "fasion-resize-annotation-train.csv").unlink()
    ((kind, text),) = problems_of(own.root, tmp_path, splits=("train", "test"))
    assert kind == "missing annotation file"
    assert "pcdms-bench data pose" in text
    made = prepare(own.root, tmp_path / "out")
    assert list(made.manifest["splits"]) == ["test"]
    assert any("train is left out" in remark for remark in made.remarks)


def test_the_wanted_convention_must_be_there(download, tmp_path):
    found = problems_of(download.root, tmp_path, convention="highres_resize")
    assert all("lowres_crop alone" in text for _, text in found)


def test_pictures_of_other_sizes_pass_only_when_they_are_allowed(tmp_path):
    raw = make_inshop(tmp_path / "raw", highres=True, splits=("test",))
    path = raw.root / "Img" / "img_highres"
    odd = next(iter(sorted(path.rglob("*.jpg"))))
    odd.write_bytes(jpeg_bytes(cv2.resize(cv2.imread(str(odd)), (751, 1101))))
    assert [kind for kind, _ in problems_of(raw.root, tmp_path)] == ["picture of a wrong size"]
    prepare(raw.root, tmp_path / "out", any_size=True, resolutions=((64, 44),))
    assert len(load_pairs("deepfashion", tmp_path / "out")) > 0


def test_a_picture_that_only_decoding_finds_out_stops_the_whole(own, tmp_path):
    path = own.picture(own.names["test"][5])
    path.write_bytes(spoilt_png())
    with pytest.raises(UnfitError) as caught:
        prepare(own.root, tmp_path / "out")
    assert [problem.kind for problem in caught.value.problems] == ["unreadable picture"]
    assert path.name in listing(caught.value.problems, 20)
    assert not (tmp_path / "out").exists()


def spoilt_png():
    """A PNG of 256x256 with right checksums whose pixel data is no zlib stream."""
    whole = png_bytes(np.zeros((256, 256, 3), dtype=np.uint8))
    body = b"IDAT" + b"\xff" * 100
    chunk = struct.pack(">I", 100) + body + struct.pack(">I", zlib.crc32(body))
    return whole[:33] + chunk + whole[-12:]


def test_the_manifest_finds_changed_missing_and_added_files(download, tmp_path):
    prepare(download.root, tmp_path / "out")
    assert damaged_files(tmp_path / "out") == []
    files = sorted(tmp_path.glob("out/*/test/images/*.arrow"))
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(bytes(content))
    (tmp_path / "out" / "256x176" / "train" / "images" / "state.json").unlink()
    (tmp_path / "out" / "more.txt").write_text("x")
    lines = damaged_files(tmp_path / "out")
    assert [line.rpartition("/")[2] for line in lines] == [
        f"{files[0].name} has changed since it was prepared",
        "state.json is missing",
        "more.txt is not of this dataset",
    ]


def test_two_preparations_are_equal_byte_for_byte(download, tmp_path):
    first = prepare(download.root, tmp_path / "a").manifest
    second = prepare(download.root, tmp_path / "b").manifest
    assert first == second
    assert len(first["files"]) > 10


WORKER = """
import sys, time
from pathlib import Path
from pcdms_data.preparing import prepare, shards
from pcdms_data.preparing.request import Request, prepare_dataset
shards.SHARD_ROWS = 2
whole = prepare.make_shard
def slow(*given):
    time.sleep(0.3)
    return whole(*given)
prepare.make_shard = slow
request = Request("deepfashion", Path(sys.argv[1]), workers=1)
prepare_dataset(request, Path(sys.argv[2]), lambda title: lambda done, total: None)
"""


def test_a_killed_preparation_goes_on_with_what_it_had(download, tmp_path, monkeypatch):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(download.root), str(out)], env=os.environ
    )
    partial = tmp_path / "out.partial"
    deadline = time.monotonic() + 60
    while len(made := list(partial.rglob("*.arrow"))) < 3:
        assert process.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    stamps = {path.relative_to(partial): path.stat().st_mtime_ns for path in made}
    monkeypatch.setattr(shards, "SHARD_ROWS", 2)
    resumed = prepare(download.root, out).manifest
    assert not partial.exists()
    assert {place: (out / place).stat().st_mtime_ns for place in stamps} == stamps
    assert resumed == prepare(download.root, tmp_path / "whole").manifest


def test_after_an_interruption_only_what_changed_is_made_anew(own, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_ROWS", 4)
    spoilt = own.picture(own.names["test"][5])
    good = spoilt.read_bytes()
    spoilt.write_bytes(spoilt_png())
    with pytest.raises(UnfitError):
        prepare(own.root, tmp_path / "out", splits=("test",))
    partial = tmp_path / "out.partial"
    kept = {path.name: path.stat().st_mtime_ns for path in partial.rglob("*.arrow")}
    assert len(kept) == 3
    torn = next(partial.rglob("00003-*.arrow"))
    torn.write_bytes(torn.read_bytes()[:-100])
    del kept[torn.name]
    stranger = torn.with_name("00000-0123456789abcdef.arrow")
    stranger.write_bytes(b"of other settings")
    spoilt.write_bytes(good)
    prepare(own.root, tmp_path / "out", splits=("test",))
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/*/images/*.arrow")}
    assert len(after) == 4
    assert kept.items() <= after.items()
    assert damaged_files(tmp_path / "out") == []
    assert not stranger.exists()


def test_two_preparations_of_one_folder_at_once_are_refused(download, tmp_path):
    from filelock import FileLock

    (tmp_path / "out.partial").mkdir()
    with (
        FileLock(tmp_path / "out.partial" / "prepare.lock"),
        pytest.raises(InputError, match="another process"),
    ):
        prepare(download.root, tmp_path / "out")


def test_a_split_that_another_layout_lacks_is_left_out_with_a_remark(tmp_path):
    root = tmp_path / "patn"
    export("people", "patn", root, splits=("test",), size="smoke")
    made = prepare(root, tmp_path / "out")
    assert list(made.manifest["splits"]) == ["test"]
    assert made.remarks[0].startswith("split train is left out: ")
    with pytest.raises(InputError, match=r"annotation-train\.csv is missing"):
        prepare(root, tmp_path / "no", splits=("train",))


def test_a_missing_label_map_is_found_before_anything_is_written(tmp_path):
    root = tmp_path / "folder"
    export("people", "folder", root, splits=("test",), size="smoke")
    mask = sorted((root / "masks").iterdir())[3]
    mask.unlink()
    with pytest.raises(UnfitError) as caught:
        prepare(root, tmp_path / "out", dataset="folder")
    assert [problem.kind for problem in caught.value.problems] == ["annotation without picture"]
    assert str(mask) in caught.value.problems[0].text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


def test_a_split_without_pairs_is_a_problem(tmp_path):
    root = save_folder_dataset(tmp_path / "alone", people=3, views=1)
    assert ("no pairs", "split test holds no pair") in problems_of(root, tmp_path, dataset="folder")


def test_wrong_requests_are_one_line(download, tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for root, settings, message in (
        (tmp_path / "a.rar", {}, "no zip archive"),
        (download.root, {"dataset": "deepfahsion"}, "deepfashion"),
        (download.root, {"kernel": "none"}, "kernel"),
        (None, {"dataset": "people", "resolutions": ((64, 32), (96, 64))}, "one resolution"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(root, tmp_path / "out", **settings)
    with pytest.raises(InputError, match="not empty"):
        prepare(download.root, tmp_path / "full")


def test_the_embedded_people_keep_their_masks(tmp_path):
    from pcdms_data.images import load_labels

    prepare(None, tmp_path / "out", "people", size="smoke", splits=("test",))
    assert read_manifest(tmp_path / "out")["dataset"] == "people"
    direct = load_pairs("people", size="smoke")
    stored = load_pairs("people", tmp_path / "out")
    for ours, theirs in zip(stored, direct, strict=True):
        assert ours.pair_id == theirs.pair_id
        assert ours.slices == theirs.slices
        assert np.array_equal(load_labels(ours.target_mask), load_labels(theirs.target_mask))
        assert np.array_equal(load_picture(ours.source), load_picture(theirs.source))
        assert np.array_equal(ours.target_pose.xy, theirs.target_pose.xy)


def test_the_plain_layout_is_prepared_with_its_groups_and_slices(tmp_path):
    from pcdms_data.people.export import export_people

    export_people(tmp_path / "raw", size="smoke", splits=("val", "test"))
    made = prepare(tmp_path / "raw", tmp_path / "out", "folder")
    assert sorted(made.manifest["splits"]) == ["test", "val"]
    for split in ("val", "test"):
        direct = load_pairs("folder", tmp_path / "raw", split=split)
        stored = load_pairs("folder", tmp_path / "out", split=split)
        assert Path(stored[0].source.path).is_relative_to(tmp_path / "out")
        assert [(p.pair_id, p.group, p.slices) for p in stored] == [
            (p.pair_id, p.group, p.slices) for p in direct
        ]
