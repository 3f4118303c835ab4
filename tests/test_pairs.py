"""Pairs: the published rule, a frozen order, slices, and readers that name what is wrong."""

import csv
import math
import os
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
import pytest

from pcdms_data import load_pairs
from pcdms_data.images import load_labels, load_picture
from pcdms_data.layouts.annotation import read_annotation
from pcdms_data.names import group_of
from pcdms_data.pair_set import ordered_pairs
from pcdms_data.pairs import view_change
from pcdms_data.people.cache import rendered_split
from pcdms_data.people.presets import FIRST_INDEX, PRESETS, SPLITS, plan_split
from pcdms_data.types import KEYPOINT_NAMES, InputError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def people():
    return load_pairs("people", size="smoke")


@pytest.mark.parametrize("dataset", ["people", "people-street"])
def test_pairs_are_all_ordered_pairs_that_show_shoulders_and_hips(dataset):
    pairs = load_pairs(dataset, size="smoke")
    gallery = pairs.gallery
    usable = [pose.visible[[2, 5, 8, 11]].all() for pose in gallery.keypoints]
    expected = {
        (a.name, b.name)
        for i, a in enumerate(gallery.pictures)
        for j, b in enumerate(gallery.pictures)
        if i != j and gallery.groups[i] == gallery.groups[j] and usable[i] and usable[j]
    }
    assert {(pair.source.name, pair.target.name) for pair in pairs} == expected
    assert len(pairs) == len(expected) > 0
    assert len(set(gallery.groups)) == 4
    assert len({picture.name for picture in gallery.pictures}) == 16


def test_the_order_is_frozen(people):
    # Sorting by a hash depends on the names alone: no library's random numbers are involved.
    order = sorted(
        (pair.pair_id for pair in people),
        key=lambda pair_id: blake2b(f"0\x1f{pair_id}".encode(), digest_size=8).digest(),
    )
    assert [pair.pair_id for pair in people] == order
    assert order != sorted(order)


def test_a_limit_takes_the_first_and_keeps_the_gallery(people):
    few = load_pairs("people", size="smoke", limit=5)
    assert [pair.pair_id for pair in few] == [pair.pair_id for pair in people[:5]]
    assert len(few.gallery.pictures) == 16
    with pytest.raises(InputError, match="limit 0"):
        load_pairs("people", size="smoke", limit=0)


def test_a_pair_carries_pictures_poses_and_a_person_mask(people):
    pair = people[-1]
    assert load_picture(pair.target).shape == (64, 32, 3)
    mask = load_labels(pair.target_mask)
    assert mask.shape == (64, 32)
    assert 0.05 < (mask > 0).mean() < 0.95
    assert pair.source_pose.size == people.resolution == (64, 32)
    assert pair.group == group_of("people", pair.source.name)
    assert people[0:3][2].pair_id == people[2].pair_id
    assert len(list(people)) == len(people)


def test_slices_follow_the_turn_and_the_printed_back(people):
    rendered = rendered_split(plan_split("people", "smoke"))
    row = {name: number for number, name in enumerate(rendered.names)}
    for pair in people:
        source, target = row[pair.source.name], row[pair.target.name]
        turned = rendered.yaw[target] - rendered.yaw[source]
        turn = math.degrees(abs(math.remainder(turned, 2 * math.pi)))
        label = "under45" if turn < 45 else "45to135" if turn <= 135 else "over135"
        hidden = rendered.back_print[target] and not rendered.back_print[source]
        assert pair.slices == {
            "view_change": label,
            "back_print": "yes" if hidden else "no",
            "framing": rendered.framing[target],
        }
    assert {pair.slices["view_change"] for pair in people} == {"under45", "45to135", "over135"}
    assert view_change(3.0, -3.0) == "under45"


def test_splits_and_seeds_share_no_person():
    for preset in PRESETS.values():
        seen = [set(range(FIRST_INDEX[s], FIRST_INDEX[s] + preset.identities[s])) for s in SPLITS]
        assert len(set.union(*seen)) == sum(map(len, seen))
    first = load_picture(load_pairs("people", size="smoke").gallery.pictures[0])
    other = load_picture(load_pairs("people", size="smoke", seed=1).gallery.pictures[0])
    assert not np.array_equal(first, other)


def test_another_resolution_renders_the_same_people_larger():
    small = load_pairs("people", size="smoke")
    large = load_pairs("people", size="smoke", resolution=(96, 64))
    assert large.resolution == (96, 64)
    assert load_picture(large[0].source).shape == (96, 64, 3)
    assert small.gallery.groups == large.gallery.groups


def test_to_datasets_gives_the_pictures_and_key_points(people, recwarn):
    table = people[:4].to_datasets()
    row = table.with_format("numpy")[2]
    assert row["pair_id"] == people[2].pair_id
    assert np.array_equal(row["source_image"], load_picture(people[2].source))
    assert np.array_equal(row["target_keypoints"], people[2].target_pose.xy)
    assert row["source_visible"].tolist() == people[2].source_pose.visible.tolist()
    assert table.features["dataset"].int2str(table[0]["dataset"]) == "people"
    view = table.features["target_view"].int2str(int(row["target_view"]))
    assert people[2].target.name.endswith(f"{view}.png")
    assert table[2]["source_camera"] is None


def test_to_datasets_reads_the_camera_from_a_market_name():
    pairs = load_pairs("people-street", size="smoke", limit=2)
    row = pairs.to_datasets()[1]
    assert pairs[1].source.name.partition("_c")[2][0] == str(row["source_camera"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "poeple"}, "'poeple'.*did you mean people"),
        ({"dataset": "people", "size": "large"}, "size 'large'.*smoke, mini, full"),
        ({"dataset": "people", "split": "dev"}, "split 'dev'.*train, val, test"),
        ({"dataset": "people", "seed": -1}, "seed -1"),
        ({"dataset": "people", "resolution": (8, 8)}, "8x8"),
        ({"dataset": "deepfashion"}, "--root DIR or set PCDMS_DATA_ROOT"),
        ({"dataset": "market1501", "root": "no/such"}, "no/such is no folder"),
    ],
)
def test_unusable_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        load_pairs(**arguments)


def write_folder(root, rows, pairs=None, header_extra=()):
    columns = ["name", "height", "width"]
    columns += [f"{joint}_{axis}" for joint in KEYPOINT_NAMES for axis in "xy"]
    root.mkdir(exist_ok=True)
    with (root / "keypoints.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns + list(header_extra))
        writer.writerows(rows)
    if pairs is not None:
        (root / "pairs.csv").write_text(pairs)
    return root


def joints(missing=()):
    return [
        "" if joint in missing else value
        for joint in range(18)
        for value in (str(joint), str(2 * joint))
    ]


def test_a_plain_folder_needs_three_columns_and_joints(tmp_path):
    rows = [["a.png", 64, 32, *joints(missing=(4,))], ["b.png", 64, 32, *joints()]]
    root = write_folder(tmp_path / "mine", rows, "source,target,mood\nb.png,a.png,calm\n")
    pairs = load_pairs("folder", root)
    assert len(pairs) == 1
    assert pairs[0].pair_id == "b_to_a"
    assert pairs[0].slices == {"mood": "calm"}
    assert pairs[0].target_pose.visible.sum() == 17
    assert pairs[0].source_pose.xy[3].tolist() == [3, 6]
    assert pairs.resolution == (64, 32)
    assert pairs[0].target_mask is None
    scaled = load_pairs("folder", root, resolution=(128, 32))
    assert scaled[0].source_pose.xy[3].tolist() == [3, 12]


def test_without_a_pair_list_the_rule_makes_one(tmp_path):
    rows = [
        ["a.png", 64, 32, *joints(), "x"],
        ["b.png", 64, 32, *joints(), "x"],
        ["c.png", 64, 32, *joints(missing=(2,)), "x"],
        ["d.png", 64, 32, *joints(), "y"],
    ]
    root = write_folder(tmp_path / "mine", rows, None, ["group"])
    assert [pair.pair_id for pair in load_pairs("folder", root)] == ["a_to_b", "b_to_a"]


@pytest.mark.parametrize(
    ("rows", "pairs", "message"),
    [
        ([["../a.png", 64, 32, *joints()]], None, "line 2: picture name"),
        ([["a.png", 0, 32, *joints()]], None, "line 2: height and width"),
        ([["a.png", 64, 32, "x", *joints()[1:]]], None, "line 2: nose"),
        ([["a.png", 64, 32, "", *joints()[1:]]], None, "line 2: nose"),
        ([["a.png", 64, 32]], None, "line 2 has 3 cells, expected 39"),
        ([["a.png", 64, 32, *joints()]] * 2, None, "names a.png a second time"),
        ([["a.png", 64, 32, *joints()]], "source,target\na.png,q.png\n", "line 2: 'q.png'"),
        ([["a.png", 64, 32, *joints()]], "from,to\n", "no column 'source'"),
        ([["a.png", 64, 32, *joints()]], "source,target\n", "pairs.csv holds no pair"),
        ([["a.png", 64, 32, "1e39", *joints()[1:]]], None, "line 2: nose"),
        ([["x" * 200_000]], None, "line 2: field larger than field limit"),
        ([[], ["a.png", 0, 32, *joints()]], None, "line 3: height and width"),
    ],
)
def test_a_malformed_folder_is_named_with_its_line(tmp_path, rows, pairs, message):
    root = write_folder(tmp_path / "mine", rows, pairs)
    with pytest.raises(InputError, match=message):
        load_pairs("folder", root)


def test_a_split_is_no_path(tmp_path):
    row = ["a.png", 64, 32, *joints(), "../../elsewhere"]
    root = write_folder(tmp_path / "mine", [row], header_extra=("split",))
    with pytest.raises(InputError, match=r"line 2: split '\.\./\.\./elsewhere', expected a name"):
        load_pairs("folder", root, split="../../elsewhere")


def test_a_folder_without_the_split_or_the_tables_says_so(tmp_path):
    with pytest.raises(InputError, match=r"keypoints\.csv is missing"):
        load_pairs("folder", tmp_path)
    root = write_folder(tmp_path / "mine", [["a.png", 64, 32, *joints()]])
    with pytest.raises(InputError, match="no pictures of split 'train'"):
        load_pairs("folder", root, split="train")


NAMES = ["fashionWOMENSkirtsid0000000101_1front.jpg", "fashionWOMENSkirtsid0000000101_3back.jpg"]


def write_patn(root, annotation_name="fasion-resize-annotation-test.csv"):
    ys, xs = [list(range(k, k + 18)) for k in (10, 50)]
    ys[4] = xs[4] = -1
    xs[7] = -2  # a real place outside the frame
    lines = [
        "name:keypoints_y:keypoints_x,,,",
        f"{NAMES[0]}: {ys}: {xs},,",
        f"{NAMES[1]}:{ys}:{xs}",
        ",,,",
    ]
    (root / annotation_name).write_text("\n".join(lines) + "\n")
    (root / annotation_name.replace("annotation", "pairs")).write_text(
        f"from,to\n{NAMES[1]},{NAMES[0]}\n"
    )
    (root / "test").mkdir(exist_ok=True)
    return root


@pytest.mark.parametrize(
    "name", ["fasion-resize-annotation-test.csv", "fashion-annotation-test.csv"]
)
def test_patn_lists_are_read_with_y_before_x(tmp_path, name, monkeypatch):
    write_patn(tmp_path, name)
    pairs = load_pairs("deepfashion", tmp_path)
    assert [pair.source.name for pair in pairs] == [NAMES[1]]
    pose = pairs[0].source_pose
    assert pose.xy[0].tolist() == [50, 10]
    assert pose.size == (256, 176)
    assert not pose.visible[4]
    assert pose.visible[7]
    assert pose.xy[7, 0] == -2
    assert pairs[0].group == "fashionWOMENSkirtsid0000000101"
    assert pairs[0].source.path == tmp_path / "test" / NAMES[1]
    monkeypatch.setenv("PCDMS_DATA_ROOT", str(tmp_path))
    assert len(load_pairs("deepfashion")) == 1


def test_patn_faults_are_named(tmp_path):
    with pytest.raises(InputError, match=r"fasion-resize-annotation-test\.csv is missing"):
        load_pairs("deepfashion", tmp_path, layout="patn")
    with pytest.raises(InputError, match=r"split 'val'.*train, test"):
        load_pairs("deepfashion", tmp_path, split="val", layout="patn")
    write_patn(tmp_path)
    (tmp_path / "fasion-resize-pairs-test.csv").write_text("from,to\nx.jpg,y.jpg\n")
    with pytest.raises(InputError, match=r"pairs-test\.csv line 2: 'x\.jpg' is not listed"):
        load_pairs("deepfashion", tmp_path)
    path = tmp_path / "fasion-resize-annotation-test.csv"
    path.write_text(f"{NAMES[0]}:[1, 2]:[3, 4]\n")
    with pytest.raises(InputError, match=r"line 1: .*list of 18 numbers"):
        load_pairs("deepfashion", tmp_path)


def test_the_real_test_pairs_follow_the_rule():
    root = Path(os.environ.get("PCDMS_REALDATA", "../shared/realdata")) / "deepfashion"
    if not (root / "fasion-resize-annotation-test.csv").exists():
        pytest.skip("PCDMS_REALDATA has no DeepFashion annotation")
    poses = read_annotation(root / "fasion-resize-annotation-test.csv", (256, 176))
    names = list(poses)
    groups = [group_of("deepfashion", name) for name in names]
    ruled = ordered_pairs(groups, np.stack([pose.visible for pose in poses.values()]))
    order = np.random.RandomState(0).permutation(len(ruled))
    text = "from,to\n" + "".join(f"{names[i]},{names[j]}\n" for i, j in (ruled[k] for k in order))
    real = (root / "fasion-resize-pairs-test.csv").read_bytes()
    assert len(poses) == 4038
    assert sha256(text.encode()).hexdigest() == sha256(real).hexdigest()
