"""PCKh and OKS of poses: definitions written plainly, and the estimator's own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pcdms_bench.metrics.pose_agreement import SIGMAS, key_point_similarity, pose_agreement
from pcdms_data.types import KEYPOINT_NAMES, Keypoints

SIZE = (128, 64)
COCO = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip


def pose(seed=0, missing=()):
    rng = np.random.default_rng(seed)
    xy = rng.uniform([10, 10], [54, 118], (18, 2)).astype(np.float32)
    xy[0], xy[1] = (32, 14), (32, 26)
    visible = np.ones(18, bool)
    visible[list(missing)] = False
    return Keypoints(np.where(visible[:, None], xy, np.float32(0)), visible, SIZE)


def moved(known, shift, hidden=()):
    visible = known.visible.copy()
    visible[list(hidden)] = False
    return Keypoints((known.xy + np.float32(shift)).astype(np.float32), visible, known.size)


def test_the_spreads_are_those_of_coco_and_the_neck_has_none():
    for name, sigma in zip(KEYPOINT_NAMES, SIGMAS, strict=True):
        if name == "neck":
            assert math.isnan(sigma)
        else:
            assert sigma == COCO[name.rpartition("_")[2]]


def test_similarity_equals_the_definition():
    known = pose(missing=(4, 17))
    estimate = moved(pose(seed=0, missing=(9,)), [1.5, -2])
    joints = [i for i in range(18) if known.visible[i] and KEYPOINT_NAMES[i] != "neck"]
    xs, ys = ([float(known.xy[i, axis]) for i in joints] for axis in (0, 1))
    area = 0.53 * (max(xs) - min(xs)) * (max(ys) - min(ys))
    total = 0.0
    for i in joints:
        if not estimate.visible[i]:
            continue
        sigma = COCO[KEYPOINT_NAMES[i].rpartition("_")[2]]
        square = float(((estimate.xy[i].astype(float) - known.xy[i]) ** 2).sum())
        total += math.exp(-square / (2 * area * (2 * sigma) ** 2))
    assert key_point_similarity(estimate, known) == pytest.approx(total / len(joints), rel=1e-9)


def test_the_true_pose_is_perfect_whatever_its_frame():
    known = pose()
    found = pose_agreement(known.resized((256, 176)), known)
    assert (found.found, found.visible) == (18, 18)
    assert found.similarity == pytest.approx(1, abs=1e-6)


def test_both_fall_with_distance_and_with_joints_that_are_not_found():
    known = pose()
    found = [pose_agreement(moved(known, [d, 0]), known) for d in (0, 5.9, 6.1)]
    assert [f.found for f in found] == [18, 18, 0]  # the head is 12 pixels long
    assert found[0].similarity > found[1].similarity > found[2].similarity > 0
    half = pose_agreement(moved(known, [0, 0], hidden=range(9)), known)
    assert half.found == 9
    assert half.similarity == pytest.approx(9 / 17)
    nobody = pose_agreement(moved(known, [0, 0], hidden=range(18)), known)
    assert (nobody.found, nobody.visible, nobody.similarity) == (0, 18, 0)


def test_poses_without_a_scale_give_no_number():
    lost = pose(missing=range(18))
    found = pose_agreement(pose(), lost)
    assert all(math.isnan(v) for v in (found.found, found.visible, found.similarity))
    one = pose_agreement(pose(), pose(missing=range(1, 18)))
    assert math.isnan(one.found)
    assert math.isnan(one.similarity)
