"""Export: the embedded people through every layout that is written, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_fixture import call, error_line

from pcdms_data import load_pairs
from pcdms_data.exporting import LOOKS, export
from pcdms_data.images import load_labels, load_picture
from pcdms_data.layouts.split import FRAMES
from pcdms_data.layouts.table import LAYOUTS
from pcdms_data.picture_store import encoded_bytes
from pcdms_data.types import InputError, Picture, PictureError, flat_stem

pytestmark = pytest.mark.usefixtures("one_thread", "cache")

# Layouts that hold places finer than whole pixels; the others round to the nearest one.
FINE = {"folder", "nted", "pidm", "pcdms"}


def fitting(layout):
    """The embedded dataset that fits a layout, and the dataset that reads it back."""
    if layout == "folder":
        return "people-street", "folder"
    dataset = "people" if "deepfashion" in LAYOUTS[layout].datasets else "people-street"
    return dataset, LOOKS[dataset]


WRITABLE = [layout.name for layout in LAYOUTS.values() if layout.writable]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Test splits in every writable layout, each written when it is asked for."""
    made = {}

    def get(layout):
        if layout not in made:
            out = tmp_path_factory.mktemp("exports") / layout
            export(fitting(layout)[0], layout, out, splits=("test",), size="smoke")
            made[layout] = out
        return made[layout]

    return get


def decoded_as_stored(source: Picture, read: Picture):
    """Return the source's pixels as the file format of `read` can give them back."""
    stored = load_picture(read)
    pixels = load_picture(source, stored.shape[:2])
    if encoded_bytes(read).startswith(b"\xff\xd8"):
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
        _, content = cv2.imencode(".jpg", pixels[:, :, ::-1], quality)
        pixels = cv2.imdecode(content, cv2.IMREAD_COLOR)[:, :, ::-1]
    return pixels, stored


@pytest.mark.parametrize("layout", WRITABLE)
def test_people_come_back_from_every_layout(layout, written):
    dataset, back = fitting(layout)
    frame = None if layout == "folder" else FRAMES[back]
    made = load_pairs(dataset, size="smoke", resolution=frame)
    read = load_pairs(back, written(layout), layout=layout, resolution=made.resolution)
    assert [pair.pair_id for pair in read] == [pair.pair_id for pair in made]
    assert len(read) == 48
    at = {flat_stem(picture.name): row for row, picture in enumerate(made.gallery.pictures)}
    rows = [at[flat_stem(picture.name)] for picture in read.gallery.pictures]
    assert {row for pair in made.rows for row in pair} <= set(rows)
    assert read.gallery.groups == tuple(made.gallery.groups[row] for row in rows)
    tolerance = 1e-3 if layout in FINE else 0.5001
    for row, ours, picture in zip(rows, read.gallery.keypoints, read.gallery.pictures, strict=True):
        expected, stored = decoded_as_stored(made.gallery.pictures[row], picture)
        assert np.array_equal(stored, expected)
        theirs = made.gallery.keypoints[row]
        seen = theirs.visible
        assert np.array_equal(ours.visible, seen)
        assert np.abs(ours.xy[seen] - theirs.xy[seen]).max(initial=0) <= tolerance


@pytest.mark.parametrize("layout", WRITABLE)
def test_writing_again_what_was_read_gives_the_same_files(layout, written, tmp_path):
    _, back = fitting(layout)
    first, again = written(layout), tmp_path / "again"
    export(back, layout, again, root=first, splits=("test",), layout_in=layout)
    files = {path.relative_to(first) for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    for path in sorted(files):
        if path.suffix != ".mdb":  # pages of a database may lie in another order
            assert (again / path).read_bytes() == (first / path).read_bytes(), path


@pytest.mark.parametrize("layout", WRITABLE)
def test_a_written_layout_is_found_without_its_name(layout, written):
    _, back = fitting(layout)
    assert load_pairs(back, written(layout)).layout == layout


def test_the_plain_layout_keeps_masks_slices_and_every_split(tmp_path):
    done = export("people", "folder", tmp_path / "out", size="smoke")
    assert done.dataset == "folder"
    assert done.left_out == ()
    assert set(done.pairs) == {"train", "val", "test"}
    for split in done.pairs:
        made, read = load_pairs("people", split=split, size="smoke"), load_pairs(
            "folder", tmp_path / "out", split=split
        )  # fmt: skip
        assert [pair.slices for pair in read] == [pair.slices for pair in made]
        for ours, theirs in zip(made.mask_handles, read.mask_handles, strict=True):
            assert np.array_equal(load_labels(ours), load_labels(theirs))


def test_val_has_no_place_in_train_and_test(tmp_path):
    done = export("people", "patn", tmp_path / "out", size="smoke", resolution=(64, 32))
    assert done.left_out == ("val",)
    sizes = {
        split: len(load_pairs("people", split=split, size="smoke", resolution=(64, 32)))
        for split in ("train", "test")
    }
    assert done.pairs == sizes
    assert done.pictures == 80
    assert load_pairs("deepfashion", tmp_path / "out")[0].slices["item"] == "unseen"
    train = load_pairs("deepfashion", tmp_path / "out", split="train")
    assert {pair.slices["item"] for pair in train} == {"seen"}
    listed = (tmp_path / "out" / "train.lst").read_text().split()
    assert sorted(listed) == sorted(path.name for path in (tmp_path / "out" / "train").iterdir())
    with pytest.raises(InputError, match="no place for split 'val'"):
        export("people", "patn", tmp_path / "no", splits=("test", "val"), size="smoke")


@pytest.mark.parametrize(
    ("dataset", "layout", "message"),
    [
        ("people-street", "patn", "does not hold people-street: .* market, folder"),
        ("people", "market", "does not hold people: .*patn"),
        ("people", "inshop", "is read only"),
        ("people", "mrket", "did you mean market"),
        ("folder", "patn", "does not hold folder: folder can be written as folder"),
    ],
)
def test_a_look_goes_only_where_it_fits(dataset, layout, message, tmp_path):
    with pytest.raises(InputError, match=message):
        export(dataset, layout, tmp_path / "out", size="smoke")
    assert list(tmp_path.iterdir()) == []


def test_a_split_that_is_not_there_is_noted_and_one_asked_for_is_an_error(tmp_path, written):
    root = written("patn")
    done = export("deepfashion", "nted", tmp_path / "out", root=root)
    assert list(done.pairs) == ["test"]
    assert len(done.notes) == 2
    assert "fasion-resize-annotation-train.csv is missing" in done.notes[0]
    with pytest.raises(InputError, match=r"annotation-train\.csv is missing"):
        export("deepfashion", "nted", tmp_path / "no", root=root, splits=("train",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"market-annotation-train\.csv is missing"):
        export("market1501", "market", tmp_path / "no", root=tmp_path / "empty")


def test_names_that_end_twice_survive_every_round_trip(tmp_path):
    names = ["1488_c4s6_022291_05.jpg.jpg", "1488_c3s3_071344_02.jpg.jpg"]
    root = tmp_path / "root"
    joints = [list(range(40, 58)), list(range(20, 38))]
    lines = "".join(f"{name}: {joints[0]}: {joints[1]}\n" for name in names)
    (root / "test").mkdir(parents=True)
    (root / "market-annotation-test.csv").write_text(lines)
    (root / "market-pairs-test.csv").write_text(f"from,to\n{names[0]},{names[1]}\n")
    for value, name in enumerate(names):
        _, content = cv2.imencode(".jpg", np.full((128, 64, 3), 60 * value, dtype=np.uint8))
        (root / "test" / name).write_bytes(content.tobytes())
    expected = "1488_c4s6_022291_05.jpg_to_1488_c3s3_071344_02.jpg"
    for layout in ("market", "folder"):
        back = "folder" if layout == "folder" else "market1501"
        out = tmp_path / layout
        export("market1501", layout, out, root=root, splits=("test",), layout_in="market")
        pairs = load_pairs(back, out, layout=layout)
        assert [pair.pair_id for pair in pairs] == [expected]
        assert pairs[0].target.name == names[1]
        assert pairs[0].target.path.read_bytes() == (root / "test" / names[1]).read_bytes()


def test_a_failed_export_leaves_nothing(tmp_path):
    root = tmp_path / "root"
    export("people", "patn", root, splits=("test",), size="smoke", resolution=(64, 32))
    sorted((root / "test").iterdir())[7].write_bytes(b"\xff\xd8\xff not a picture")
    out = tmp_path / "outs" / "new"
    with pytest.raises(PictureError, match=r"fashion.*jpg"):
        export("deepfashion", "cfld", out, root=root, splits=("test",))
    assert list((tmp_path / "outs").iterdir()) == []
    out.mkdir()
    (out / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export("people", "patn", out, splits=("test",), size="smoke")
    assert [path.name for path in out.iterdir()] == ["letter.txt"]


def test_pictures_of_another_convention_are_told_and_keep_their_size(tmp_path, written):
    root = written("patn")
    done = export("deepfashion", "gfla", tmp_path / "out", root=root, splits=("test",))
    assert len(done.notes) == 1
    assert "lowres_crop" in done.notes[0]
    assert "highres_resize" in done.notes[0]
    for path in (tmp_path / "out" / "test").iterdir():
        assert path.read_bytes() == (root / "test" / path.name).read_bytes()
    with pytest.raises(InputError, match="keeps the size of every picture"):
        export("deepfashion", "gfla", tmp_path / "no", root, ("test",), resolution=(512, 352))
    export("deepfashion", "patn", tmp_path / "small", root, ("test",), resolution=(64, 44))
    read = load_pairs("deepfashion", tmp_path / "small")
    assert load_picture(read[0].source).shape == (64, 44, 3)
    assert read[0].source_pose.size == (256, 176)


@pytest.mark.parametrize(
    ("dataset", "layout"), [("people", "patn"), ("people-street", "market")]
)  # fmt: skip
def test_an_exported_dataset_runs_like_the_real_one(dataset, layout, tmp_path):
    out = tmp_path / "data"
    result = call(
        "data", "export", "--dataset", dataset, "--size", "smoke", "--split", "test",
        "--layout", layout, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{out}: 16 pictures, test 48 pairs, layout {layout}" in result.stdout
    step = result.stdout.splitlines()[-1].partition("next: pcdms-bench ")[2].split()
    assert step[:3] == ["run", "--dataset", LOOKS[dataset]]
    ran = call(
        *step, "--limit", "3", "--methods", "copy-source,target-copy", "--metrics", "ssim,l1",
        "--device", "cpu", "--out", tmp_path / "runs", "--json",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    text = (tmp_path / "runs" / "scores.csv").read_text()
    assert f",{LOOKS[dataset]},test," in text
    assert sorted(path.name for path in (tmp_path / "runs").rglob("samples/final/*.png"))


def test_the_command_reports_counts_and_refuses_in_one_line(tmp_path):
    words = ("data", "export", "--size", "smoke", "--resolution", "64x32")
    result = call(*words, "--layout", "patn", "--out", tmp_path / "a", "--json")
    document = json.loads(result.stdout)
    assert set(document["pairs"]) == {"train", "test"}
    assert document["pairs"]["test"] == 48
    assert document["pictures"] == 80
    assert document["left_out"] == ["val"]
    refused = call(*words, "--layout", "market", "--out", tmp_path / "b")
    assert refused.exit_code == 2
    assert "'market' does not hold people" in error_line(refused)
    again = call(*words, "--layout", "patn", "--out", tmp_path / "a")
    assert again.exit_code == 2
    assert "is not empty" in error_line(again)


def test_the_description_of_the_data_names_every_layout():
    text = (Path(__file__).parent.parent / "data" / "README.md").read_text()
    table = text.split("## Layouts")[1].splitlines()
    for layout in LAYOUTS.values():
        row = next(line for line in table if line.startswith(f"| `{layout.name}` |"))
        if layout.name != "prepared":
            assert row.split(" | ")[1] == ("yes" if layout.writable else "no")


def test_the_export_needs_no_network_library():
    code = (
        "import sys; import pcdms_data.exporting; "
        "sys.exit(bool({'torch', 'pandas', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
