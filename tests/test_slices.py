"""Slice labels: what each says of a pair, and the counts and percentiles of the real test sets."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench_fixture import call, error_line

from pcdms_data.layouts.annotation import read_annotation_rows, read_names
from pcdms_data.names import parse_fashion
from pcdms_data.pair_rule import published_rows
from pcdms_data.slices import mean_displacement, pair_slices, torso_ratio
from pcdms_data.types import Keypoints

REAL = Path(os.environ.get("PCDMS_REALDATA") or Path(__file__).parents[1] / "../shared/realdata")
real_files = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no real lists at {REAL} (set PCDMS_REALDATA)"
)
FRONT = "fashionWOMENDressesid0000000202_1front.jpg"
BACK = "fashionWOMENDressesid0000000202_3back.jpg"
STREET = ("0002_c1s1_000001_00.jpg", "0002_c2s1_000001_00.jpg", "0002_c1s2_000009_01.jpg.jpg")
ROWS = np.array([[0, 1], [1, 0]], dtype=np.int32)


def labels(columns):
    return {
        name: [column.label(row) for row in range(len(column))] for name, column in columns.items()
    }


def pose(size=(256, 176), move=(0, 0), torso=50.0, hidden=()):
    xy = np.zeros((18, 2), dtype=np.float32)
    xy[:] = np.arange(18)[:, None]
    xy[[2, 5]] = (40, 30), (60, 30)
    xy[[8, 11]] = (40, 30 + torso), (60, 30 + torso)
    visible = np.ones(18, dtype=bool)
    visible[list(hidden)] = False
    return Keypoints(xy + np.float32(move), visible, size)


def fashion(one, other, rows=ROWS, train=None):
    return labels(pair_slices("deepfashion", [FRONT, BACK], [one, other], rows, train))


def test_views_name_the_source_first():
    assert fashion(pose(), pose())["view"] == ["front-back", "back-front"]


@pytest.mark.parametrize(
    ("train", "item"),
    [
        ("fashionWOMENDressesid0000000205_2side.jpg", "seen"),
        ("fashionWOMENSkirtsid0000000202_1front.jpg", "unseen"),
        ("fashionMENShortsid0000000202_1front.jpg", "unseen"),
        ("fashionWOMENDressesid0000000302_1front.jpg", "unseen"),
    ],
)
def test_an_item_is_known_by_gender_category_and_number(train, item):
    assert fashion(pose(), pose(), train=frozenset([train]))["item"] == [item, item]
    assert "item" not in fashion(pose(), pose())


@pytest.mark.parametrize(
    ("moved", "label"),
    [(0, "under16"), (15.9, "under16"), (16, "16to33"), (33, "33to45"), (45, "45to58"),
     (58, "58to76"), (75.9, "58to76"), (76, "over76"), (500, "over76")],
)  # fmt: skip
def test_displacement_is_the_mean_distance_of_shared_joints(moved, label):
    assert fashion(pose(), pose(move=(0, moved)))["displacement"] == [label, label]
    # 3-4-5: neither axis alone, and hidden joints do not count.
    moved_both = pose(move=(moved * 0.6, moved * 0.8), hidden=[0, 4])
    moved_both.xy[[0, 4]] = 999
    assert fashion(pose(), moved_both)["displacement"] == [label, label]


@pytest.mark.parametrize(
    ("torso", "there", "back"),
    [(50, "0.8to1.25", "0.8to1.25"), (62, "0.8to1.25", "0.8to1.25"), (63, "1.25to2", "0.5to0.8"),
     (99, "1.25to2", "0.5to0.8"), (101, "over2", "under0.5")],
)  # fmt: skip
def test_scale_is_the_torso_of_the_target_over_that_of_the_source(torso, there, back):
    assert fashion(pose(), pose(torso=torso))["scale"] == [there, back]


def test_joints_are_those_both_pictures_show():
    assert fashion(pose(hidden=[0, 1]), pose(hidden=[1, 17]))["joints"] == ["15", "15"]


def test_pairs_that_share_nothing_are_unknown_not_guessed():
    nothing = pose(hidden=range(18))
    found = fashion(pose(), nothing)
    assert found["displacement"] == found["scale"] == ["unknown", "unknown"]
    assert found["joints"] == ["0", "0"]
    assert fashion(pose(torso=0), pose())["scale"] == ["unknown", "unknown"]
    assert fashion(pose(hidden=[11]), pose())["scale"] == ["unknown", "unknown"]


def test_lengths_do_not_depend_on_the_frame_of_the_key_points():
    near, far = pose(), pose(move=(30, 40), torso=80)
    expected = fashion(near, far)
    assert expected["displacement"][0] == "45to58"
    for size in ((512, 352), (256, 256), (1101, 750)):
        assert fashion(near.resized(size), far) == expected
        assert fashion(near.resized(size), far.resized(size)) == expected


def test_street_pictures_are_measured_at_twice_their_size():
    def street(size):
        poses = [pose((128, 64)), pose((128, 64), move=(8.5, 0)), pose((128, 64))]
        poses = [one.resized(size) for one in poses]
        rows = np.array([[0, 1], [0, 2]], dtype=np.int32)
        return labels(pair_slices("market1501", STREET, poses, rows))

    assert street((128, 64))["displacement"] == ["16to33", "under16"]
    assert street((256, 128)) == street((128, 64))
    assert street((128, 64))["camera"] == ["other", "same"]
    assert set(street((128, 64))) == {"camera", "displacement", "scale", "joints"}


def test_names_without_parts_keep_the_slices_of_the_key_points():
    poses = [pose(), pose()]
    assert set(pair_slices("deepfashion", ["a.png", "b.png"], poses, ROWS)) == {
        "displacement", "scale", "joints",
    }  # fmt: skip
    mixed = labels(pair_slices("deepfashion", [FRONT, "b.png"], poses, ROWS))
    assert mixed["view"] == ["front-none", "none-front"]
    unnamed = labels(pair_slices("market1501", ["a.png", STREET[0]], poses, ROWS))
    assert unnamed["camera"] == ["unknown", "unknown"]


def test_own_pictures_have_the_slices_of_their_table_alone():
    assert pair_slices("folder", ["a.png", "b.png"], [pose(), pose()], ROWS) == {}


def test_no_pairs_and_no_pictures_give_empty_columns():
    for names, poses in (([], []), ([FRONT], [pose()])):
        columns = pair_slices("deepfashion", names, poses, np.zeros((0, 2), dtype=np.int32))
        assert all(len(column) == 0 for column in columns.values())


@pytest.fixture(scope="module")
def real_pairs():
    rows = read_annotation_rows(REAL / "deepfashion/fasion-resize-annotation-test.csv")
    return rows, published_rows(rows.names, rows.visible, "deepfashion", "test")


@real_files
def test_percentiles_of_the_real_pairs(real_pairs):
    annotation, rows = real_pairs
    apart, joints = mean_displacement(annotation.coded, annotation.visible, rows)
    assert np.rint(np.percentile(apart, [5, 25, 50, 75, 95])).tolist() == [16, 33, 45, 58, 76]
    ratio = torso_ratio(annotation.coded, annotation.visible, rows)
    assert np.round(np.percentile(ratio, [1, 99]), 2).tolist() == [np.float32(0.45), 2.21]
    # The plain formula, one pair after another.
    for row in range(0, len(rows), 857):
        source, target = rows[row]
        both = annotation.visible[source] & annotation.visible[target]
        step = annotation.coded[source, both] - annotation.coded[target, both]
        assert joints[row] == both.sum()
        assert apart[row] == pytest.approx(np.linalg.norm(step, axis=1).mean(), rel=1e-5)


@real_files
def test_counts_of_the_real_pairs(real_pairs):
    annotation, rows = real_pairs
    train = read_names(REAL / "deepfashion/train.lst.gz")
    poses = annotation.keypoints((256, 176))
    columns = pair_slices("deepfashion", annotation.names, poses, rows, frozenset(train))
    counts = {name: Counter(column) for name, column in labels(columns).items()}
    assert counts["item"] == {"seen": 4984, "unseen": 3586}
    views = counts["view"]
    assert views["front-side"] == views["side-front"] == 633
    assert views["front-back"] + views["back-front"] == 1266
    assert views["full-front"] + views["front-full"] == 986
    assert views["additional-front"] + views["front-additional"] == 980
    assert views["back-side"] + views["side-back"] == 950
    assert sum(count for view, count in views.items() if "flat" in view.split("-")) == 54
    assert counts["displacement"] == {
        "under16": 414, "16to33": 1798, "33to45": 2172, "45to58": 2090, "58to76": 1680,
        "over76": 416,
    }  # fmt: skip
    # The list is closed under reversal, so mirrored buckets hold the same number.
    assert counts["scale"] == {
        "under0.5": 248, "0.5to0.8": 1743, "0.8to1.25": 4588, "1.25to2": 1743, "over2": 248,
    }  # fmt: skip
    assert counts["joints"]["11"] == 2208
    # By the bare number other items would count as seen: nobody may change the key unnoticed.
    bare = {parse_fashion(name).item for name in train}
    items = [parse_fashion(annotation.names[row]).item for row in rows[:, 1]]
    assert sum(item in bare for item in items) == 5010


@real_files
def test_cameras_of_the_real_street_pairs():
    annotation = read_annotation_rows(REAL / "market1501/market-annotation-test.csv.gz")
    rows = published_rows(annotation.names, annotation.visible, "market1501", "test")
    poses = annotation.keypoints((128, 64))
    columns = pair_slices("market1501", annotation.names, poses, rows)
    counts = {name: Counter(column) for name, column in labels(columns).items()}
    assert counts["camera"] == {"same": 2735, "other": 12_000 - 2735}
    assert all("unknown" not in count for count in counts.values())


@real_files
def test_stats_need_no_pictures_and_write_a_row_for_each_slice_of_each_pair(tmp_path):
    result = call(
        "data", "stats", "--dataset", "deepfashion", "--json", "--out", tmp_path,
        "--annotations", REAL / "deepfashion/fasion-resize-annotation-test.csv",
        "--train-list", REAL / "deepfashion/train.lst.gz",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["pictures"], found["groups"], found["pairs"]) == (4038, 1000, 8570)
    assert found["file"] == str(tmp_path / "slices.csv")
    with (tmp_path / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8570 * 5
    assert len({row["pair"] for row in rows}) == 8570
    for name, counts in found["slices"].items():
        assert Counter(row["label"] for row in rows if row["slice"] == name) == counts
    assert found["slices"]["item"] == {"seen": 4984, "unseen": 3586}
    assert next(iter(found["slices"]["displacement"])) == "under16"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--annotations", "a.csv", "--root", "."], "give --annotations, or --root and --layout"),
        (["--train-list", "train.lst"], "--train-list belongs to --annotations"),
        (["--annotations", "a.csv", "--dataset", "people"], "unknown dataset 'people'"),
        (["--annotations", "a.csv", "--dataset", "deepfashion"], "a.csv is missing, expected rows"),
    ],
)
def test_stats_refuse_what_does_not_go_together(words, message):
    result = call("data", "stats", *words)
    assert result.exit_code == 2
    assert message in error_line(result)
