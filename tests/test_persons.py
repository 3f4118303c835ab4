"""Persons and cameras: the sets of Market-1501 with what is ignored, and of the street people."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench_fixture import save_noise

from pcdms_data.layouts.annotation import read_annotation_rows
from pcdms_data.persons import by_person, load_persons
from pcdms_data.types import AbsentSplitError, InputError, Picture

REAL = Path(os.environ.get("PCDMS_REALDATA") or Path(__file__).parents[1] / "../shared/realdata")
needs_real = pytest.mark.skipif(
    not (REAL / "market1501").is_dir(), reason="PCDMS_REALDATA has no lists of Market-1501"
)
TRAIN = ("0002_c1s1_000451_03.jpg", "0002_c2s1_000301_01.jpg", "0007_c3s3_077419_03.jpg")
TEST = (
    "-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg", "0001_c2s1_000151_01.jpg",
    "1488_c4s6_022291_05.jpg.jpg",
)  # fmt: skip
QUERY = ("0001_c1s1_001051_00.jpg", "1488_c3s3_071344_00.jpg")


def write_market(root, train="bounding_box_train", test="bounding_box_test", query="query"):
    for folder, names in ((train, TRAIN), (test, TEST), (query, QUERY)):
        for number, name in enumerate(names):
            (root / folder).mkdir(parents=True, exist_ok=True)
            save_noise(root / folder / "x.png", number, (128, 64)).rename(root / folder / name)
        (root / folder / "Thumbs.db").write_bytes(b"not a picture")
    return root


def names(pictures):
    return [one.picture.name for one in pictures]


@pytest.mark.parametrize(
    "folders",
    [
        {},
        {"train": "train", "test": "test"},
        {
            "train": "Market-1501-v15.09.15/bounding_box_train",
            "test": "Market-1501-v15.09.15/bounding_box_test",
            "query": "Market-1501-v15.09.15/query",
        },
        {"train": "market_data/train", "test": "market_data/test", "query": "market_data/query"},
    ],
    ids=["download", "renamed", "unpacked", "patn"],
)
def test_market_is_read_from_its_folders_without_bad_detections(tmp_path, folders):
    split = load_persons("market1501", write_market(tmp_path, **folders))
    assert names(split.train) == sorted(TRAIN)
    assert names(split.query) == sorted(QUERY)
    assert names(split.gallery) == sorted(TEST[1:]), "distractors stay, bad detections go"
    assert [(one.person, one.camera) for one in split.gallery] == [
        ("0000", 1), ("0001", 2), ("1488", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["bounding_box_train", "bounding_box_test", "query"])
def test_a_missing_folder_is_named(tmp_path, missing):
    write_market(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(AbsentSplitError, match=missing):
        load_persons("market1501", tmp_path)
    (tmp_path / missing).mkdir()
    with pytest.raises(AbsentSplitError, match="holds no pictures"):
        load_persons("market1501", tmp_path)


def test_a_name_without_person_or_camera_is_refused(tmp_path):
    save_noise(write_market(tmp_path) / "query" / "somebody.png")
    with pytest.raises(InputError, match=r"'somebody.png' tells no person and camera"):
        load_persons("market1501", tmp_path)


def test_a_linked_folder_outside_of_the_root_is_refused(tmp_path):
    outside = write_market(tmp_path / "outside")
    root = write_market(tmp_path / "root")
    (root / "query").rename(root / "own")
    (root / "query").symlink_to(outside / "query", target_is_directory=True)
    with pytest.raises(InputError, match="outside of"):
        load_persons("market1501", root)


@needs_real
def test_real_names_have_the_published_counts():
    listed = {
        split: read_annotation_rows(REAL / "market1501" / f"market-annotation-{split}.csv.gz").names
        for split in ("train", "test")
    }
    train, test = (by_person([Picture(n, Path(n)) for n in listed[s]], s) for s in listed)
    assert (len(train), len({one.person for one in train})) == (12_936, 751)
    assert len(test) == 19_732
    assert sum(one.person != "-1" for one in test) == 15_913
    assert {one.camera for one in (*train, *test)} == {1, 2, 3, 4, 5, 6}
    assert not {one.person for one in train} & {one.person for one in test}


def test_street_people_ask_among_all_test_pictures_and_share_no_person_with_training(cache):
    split = load_persons("people-street", size="smoke")
    assert (len(split.train), len(split.query)) == (64, 16)
    assert split.query == split.gallery
    assert not {one.person for one in split.train} & {one.person for one in split.query}
    assert {one.camera for one in split.train} == {1, 2, 3, 4, 5, 6}


def test_datasets_without_cameras_are_refused():
    with pytest.raises(InputError, match="'people' names no cameras"):
        load_persons("people")
    with pytest.raises(InputError, match="takes no --root"):
        load_persons("people-street", root="somewhere")
