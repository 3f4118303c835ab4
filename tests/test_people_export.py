"""People as files: what `folder` reads back, resuming, sheets, and the calibration table."""

import os
from pathlib import Path

import numpy as np
import pytest

from pcdms_data import load_pairs
from pcdms_data.images import load_labels, load_picture
from pcdms_data.layouts.annotation import read_annotation
from pcdms_data.people.export import export_people
from pcdms_data.people.render import render_view
from pcdms_data.people.sheet import contact_sheet
from pcdms_data.people.stats import REAL, calibration, calibration_text
from pcdms_data.types import InputError, Picture


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("dataset", ["people", "people-street"])
def test_an_export_reads_back_identically(dataset, tmp_path):
    assert export_people(tmp_path, dataset, "smoke", ("val", "test")) == 32
    for split in ("val", "test"):
        made = load_pairs(dataset, size="smoke", split=split)
        read = load_pairs("folder", tmp_path, split=split)
        assert read.resolution == made.resolution
        assert read.gallery.groups == made.gallery.groups
        assert [p.name for p in read.gallery.pictures] == [p.name for p in made.gallery.pictures]
        assert len(read) == len(made)
        for ours, theirs in zip(made, read, strict=True):
            assert theirs.pair_id == ours.pair_id
            assert theirs.slices == ours.slices
            assert theirs.group == ours.group
            seen = ours.target_pose.visible
            assert np.array_equal(theirs.target_pose.visible, seen)
            assert np.array_equal(theirs.target_pose.xy[seen], ours.target_pose.xy[seen])
        for ours, theirs in zip(made.mask_handles, read.mask_handles, strict=True):
            assert np.array_equal(load_labels(ours), load_labels(theirs))
        for ours, theirs in zip(made.gallery.pictures, read.gallery.pictures, strict=True):
            assert np.array_equal(load_picture(ours), load_picture(theirs))


def test_an_interrupted_export_goes_on_and_keeps_what_is_there(tmp_path):
    export_people(tmp_path, size="smoke", splits=("test",))
    pictures = sorted((tmp_path / "pictures").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in pictures[1:]}
    content = pictures[0].read_bytes()
    pictures[0].unlink()
    (tmp_path / "pairs.csv").unlink()
    counts = []
    export_people(
        tmp_path,
        size="smoke",
        splits=("test",),
        progress=lambda done, total: counts.append((done, total)),
    )
    assert counts[-1] == (16, 16)
    assert pictures[0].read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in pictures[1:]} == stamps
    assert (tmp_path / "pairs.csv").exists()


def test_a_folder_with_other_content_is_refused(tmp_path):
    export_people(tmp_path / "a", size="smoke", splits=("test",))
    with pytest.raises(InputError, match="other people"):
        export_people(tmp_path / "a", size="smoke", splits=("test",), seed=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_people(tmp_path / "b", size="smoke")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["letter.txt"]


def test_a_sheet_shows_the_pictures_of_the_split(tmp_path):
    sheet = contact_sheet(size="smoke", identities=2, views=3)
    first = render_view(0, 1_000_000, 0, "fashion", (64, 32)).pixels
    enlarged = load_picture_of(first, 3, tmp_path)
    top = 6
    left = sheet.shape[1] - 3 * (enlarged.shape[1] + 6)
    shown = sheet[top : top + enlarged.shape[0], left : left + enlarged.shape[1]]
    assert np.array_equal(shown, enlarged)
    with_bones = contact_sheet(size="smoke", identities=2, views=3, skeleton=True)
    assert with_bones.shape[0] > 1.8 * sheet.shape[0]
    with pytest.raises(InputError, match="99 x 3"):
        contact_sheet(size="smoke", identities=99, views=3)


def load_picture_of(pixels, factor, folder):
    np.save(folder / "one.npy", pixels[None])
    size = (pixels.shape[0] * factor, pixels.shape[1] * factor)
    return load_picture(Picture("one", folder / "one.npy", 0), size)


@pytest.mark.parametrize(
    ("dataset", "column", "tolerance"), [("people", 0, 0.2), ("people-street", 1, 0.2)]
)
def test_people_resemble_the_real_key_points(dataset, column, tolerance):
    pairs = load_pairs(dataset, size="mini", split="val", resolution=(64, 32))
    poses = pairs.gallery.keypoints
    rows = calibration(poses)
    assert [row.name for row in rows] == list(REAL)
    for row in rows:
        assert abs(row.value - row.real[column]) < tolerance, row
    assert "ankles missing" in calibration_text(rows, lambda value: f"{value:.2f}")


def test_the_real_statistics_are_those_of_the_real_annotation():
    root = Path(os.environ.get("PCDMS_REALDATA", "../shared/realdata"))
    path = root / "deepfashion" / "fasion-resize-annotation-test.csv"
    if not path.exists():
        pytest.skip("PCDMS_REALDATA has no DeepFashion annotation")
    for row in calibration(tuple(read_annotation(path, (256, 176)).values())):
        assert row.value == pytest.approx(row.real[0], abs=0.01), row
