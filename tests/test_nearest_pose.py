"""Pose distance against plain loops; which pictures the search may return, and in which order."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_pairs import make_gallery, make_pairs, pose

from pcdms_baselines.methods import make_baseline
from pcdms_baselines.nearest_pose import NearestPose
from pcdms_baselines.pose_distance import (
    FLIPPED_JOINTS,
    mirrored,
    normalise,
    normalise_all,
    squared_distances,
)
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, InputError, K, Keypoints, Picture

ROOT = Path(__file__).parent.parent
REALDATA = Path(os.environ.get("PCDMS_REALDATA", ROOT / "../shared/realdata")) / "deepfashion"
SIZE = (64, 44)


def plain_normal(pose):
    """The normalised joints by the words of the specification, in plain Python."""
    points = {k: [float(v) for v in pose.xy[k]] for k in range(K) if pose.visible[k]}
    if all(k in points for k in (8, 11, 2, 5)):
        centre = [sum(points[k][axis] for k in (8, 11, 2, 5)) / 4 for axis in (0, 1)]
        right, left = math.dist(points[8], points[2]), math.dist(points[11], points[5])
        scale = math.sqrt((right**2 + left**2) / 2)
    else:
        centre = [sum(p[axis] for p in points.values()) / max(len(points), 1) for axis in (0, 1)]
        squares = [math.dist(p, centre) ** 2 for p in points.values()]
        scale = 2 * math.sqrt(sum(squares) / len(squares)) if len(squares) >= 2 else 1.0
    return {k: [(p[0] - centre[0]) / scale, (p[1] - centre[1]) / scale] for k, p in points.items()}


def plain_distance(first, second):
    """D squared of two poses by the words of the specification."""
    a, b = plain_normal(first), plain_normal(second)
    both, one = a.keys() & b.keys(), a.keys() ^ b.keys()
    if not both and not one:
        return 1.0
    total = sum(min(math.dist(a[k], b[k]) ** 2, 1.0) for k in both) + 0.25 * len(one)
    return total / (len(both) + len(one))


def varied_poses(count, seed=0):
    """Poses with any joints missing, from whole ones to none at all."""
    rng = np.random.default_rng(seed)
    poses = [
        pose(rng, SIZE, jitter=30, missing=rng.choice(K, rng.integers(0, K), replace=False))
        for _ in range(count - 3)
    ]
    nothing, one = (pose(rng, SIZE, missing=range(n, K)) for n in (0, 1))
    return [*poses, nothing, one, pose(rng, SIZE)]


def test_distances_equal_a_plain_double_loop():
    poses = varied_poses(30)
    gallery = normalise_all(poses)
    for query in poses:
        expected = [plain_distance(query, other) for other in poses]
        assert squared_distances(query, gallery) == pytest.approx(np.array(expected), abs=1e-12)


def test_distance_ignores_place_and_scale_and_keeps_to_zero_and_one():
    rng = np.random.default_rng(3)
    first = pose(rng)
    moved = Keypoints(first.xy * 0.5 + 20, first.visible, first.size)
    assert squared_distances(first, normalise_all([moved]))[0] == pytest.approx(0, abs=1e-12)
    values = [squared_distances(p, normalise_all(varied_poses(20))) for p in varied_poses(9, 4)]
    assert (np.min(values), np.max(values)) >= (0, 0)
    assert np.max(values) <= 1


def test_coordinates_of_missing_joints_do_not_matter():
    rng = np.random.default_rng(4)
    first, second = pose(rng, missing=(3, 9)), pose(rng, missing=(0,))
    xy = first.xy.copy()
    xy[[3, 9]] = np.nan
    other = Keypoints(xy, first.visible, first.size)
    assert np.array_equal(normalise(first), normalise(other))
    expected = squared_distances(second, normalise_all([first]))
    assert np.array_equal(squared_distances(second, normalise_all([other])), expected)


def test_mirroring_twice_gives_the_pose_back_and_keeps_distances():
    assert [FLIPPED_JOINTS[k] for k in FLIPPED_JOINTS] == list(range(K))
    poses = varied_poses(12, 5)
    for one in poses:
        back = mirrored(mirrored(one))
        assert np.array_equal(back.visible, one.visible)
        assert back.xy == pytest.approx(one.xy, abs=1e-4)
        straight = squared_distances(one, normalise_all(poses))
        flipped = squared_distances(mirrored(one), normalise_all([mirrored(p) for p in poses]))
        assert flipped == pytest.approx(straight, abs=1e-6)


def test_mirrored_pose_swaps_sides_and_leaves_missing_joints():
    one = pose(np.random.default_rng(6), missing=(4,))
    other = mirrored(one)
    assert other.xy[5].tolist() == [one.size[1] - 1 - one.xy[2, 0], one.xy[2, 1]]
    assert not other.visible[7]
    assert other.xy[7].tolist() == [-1, -1]


@pytest.mark.parametrize("flip", [False, True])
def test_search_returns_the_least_distance_outside_the_group(tmp_path, flip):
    gallery = make_gallery(tmp_path, count=12, per_group=3)
    method = NearestPose(SIZE, gallery, flip=flip)
    for pair in make_pairs(gallery):
        found = method.find(pair)
        options = [
            (plain_distance(pair.target_pose, shown), picture.name, flipped)
            for picture, keypoints, group in zip(*gallery_columns(gallery), strict=True)
            for flipped, shown in ((False, keypoints), (True, mirrored(keypoints)))
            if group != pair.group and flipped <= flip
        ]
        distance, name, flipped = min(options)
        assert (found.picture.name, found.flipped) == (name, flipped)
        assert found.squared_distance == pytest.approx(distance)


def gallery_columns(gallery):
    return gallery.pictures, gallery.keypoints, gallery.groups


def test_group_variant_returns_another_picture_of_the_target_group(tmp_path):
    gallery = make_gallery(tmp_path, count=12, per_group=3)
    groups = dict(zip((p.name for p in gallery.pictures), gallery.groups, strict=True))
    method = make_baseline("nearest-pose-group", SIZE, None, gallery)
    for pair in make_pairs(gallery):
        found = method.find(pair).picture
        assert groups[found.name] == pair.group
        assert found.name != pair.target.name


def test_group_of_two_gives_the_source(tmp_path):
    gallery = make_gallery(tmp_path / "data")
    pairs = make_pairs(gallery)
    make_baseline("nearest-pose-group", SIZE, None, gallery).generate(pairs, tmp_path, seed=0)
    for pair in pairs:
        path = tmp_path / "final" / f"{pair.pair_id}.png"
        assert np.array_equal(load_picture(Picture(path.name, path)), load_picture(pair.source))


def test_ties_go_to_the_first_name_whatever_the_order_of_the_gallery(tmp_path):
    gallery = make_gallery(tmp_path, count=8)
    same = replace(gallery, keypoints=(gallery.keypoints[0],) * 8)
    pair = make_pairs(same)[-1]
    order = np.random.default_rng(0).permutation(8)
    shuffled = Gallery(*(tuple(column[i] for i in order) for column in gallery_columns(same)))
    for flip in (False, True):
        found = NearestPose(SIZE, shuffled, flip=flip).find(pair)
        assert (found.picture.name, found.flipped) == ("p000_1.png", False)


def test_flipped_result_is_the_mirrored_picture(tmp_path):
    gallery = make_gallery(tmp_path / "data")
    pair = make_pairs(gallery)[0]
    pair = replace(pair, target_pose=mirrored(gallery.keypoints[5]))
    method = make_baseline("nearest-pose+flip", SIZE, gallery)
    assert method.generate([pair], tmp_path, seed=0) == {}
    path = tmp_path / "final" / f"{pair.pair_id}.png"
    expected = load_picture(gallery.pictures[5])[:, ::-1]
    assert np.array_equal(load_picture(Picture(path.name, path)), expected)


def test_each_target_is_searched_once(tmp_path, monkeypatch):
    gallery = make_gallery(tmp_path / "data", count=8, per_group=4)
    pairs = make_pairs(gallery)
    searches = []
    module = "pcdms_baselines.nearest_pose.squared_distances"
    monkeypatch.setattr(module, lambda *args: searches.append(1) or squared_distances(*args))
    make_baseline("nearest-pose", SIZE, gallery).generate(pairs, tmp_path, seed=0)
    assert (len(pairs), len(searches)) == (24, 8)


def test_pair_fails_where_no_other_group_is_in_the_gallery(tmp_path):
    gallery = make_gallery(tmp_path / "data", count=4, per_group=4)
    pairs = make_pairs(gallery)
    failures = make_baseline("nearest-pose", SIZE, gallery).generate(pairs, tmp_path, seed=0)
    assert failures.keys() == {pair.pair_id for pair in pairs}
    assert "no picture outside the group 'g0'" in failures[pairs[0].pair_id]
    with pytest.raises(InputError, match="training split"):
        NearestPose(SIZE, None).find(pairs[0])


def test_unknown_groups_still_bar_the_target_itself(tmp_path):
    gallery = make_gallery(tmp_path, count=4, per_group=4)
    pairs = [replace(pair, group="") for pair in make_pairs(gallery)]
    method = NearestPose(SIZE, replace(gallery, groups=("",) * 4))
    assert all(method.find(pair).picture.name != pair.target.name for pair in pairs)


@pytest.mark.skipif(not REALDATA.is_dir(), reason="PCDMS_REALDATA is not there")
def test_distances_on_the_real_test_split():
    poses = {}
    rows = (REALDATA / "fasion-resize-annotation-test.csv").read_text().splitlines()[1:]
    for name, y, x in (row.split(":") for row in rows):
        xy = np.array([json.loads(x), json.loads(y)], dtype=np.float32).T
        poses[name.strip()] = Keypoints(xy, xy[:, 1] != -1, (256, 176))
    rows = (REALDATA / "fasion-resize-pairs-test.csv").read_text().splitlines()[1:]
    pairs = [row.split(",") for row in rows]
    names = sorted({target for _, target in pairs})
    gallery = normalise_all([poses[name] for name in names])
    place = {name: i for i, name in enumerate(names)}
    groups = np.array([name.rpartition("_")[0] for name in names])
    nearest, between = [], {}
    for name in names:
        distances = squared_distances(poses[name], gallery)
        between[name] = np.sqrt(distances)
        nearest.append(math.sqrt(distances[groups != groups[place[name]]].min()))
    assert np.round(np.quantile(nearest, [0.05, 0.5, 0.95]), 3).tolist() == [0.028, 0.061, 0.172]
    values = [between[target][place[source]] for source, target in pairs]
    assert np.round(np.quantile(values, [0.05, 0.5, 0.95]), 3).tolist() == [0.228, 0.390, 0.573]
