"""Skeletons with distance maps: the published pixels exactly, and limbs that are not there."""

import numpy as np
import pytest
from baseline_files import FOLDER, needs_golden

from pcdms_baselines.skeleton_maps import CHANNELS, skeleton_maps
from pcdms_data.types import Keypoints

KNOWN = FOLDER / "pose" / "pose_tensors.npz"


def pose_of(rows_and_columns):
    yx = np.asarray(rows_and_columns)
    return Keypoints(yx[:, ::-1].astype(np.float32), (yx >= 0).all(axis=1), (256, 176))


@needs_golden
def test_maps_equal_the_official_ones():
    compared = 0
    with np.load(KNOWN, allow_pickle=False) as known:
        for name in [key for key in known.files if key.startswith("skeleton20_")]:
            _, person, size = name.split("_")
            height, width = map(int, size.split("x"))
            maps = skeleton_maps(pose_of(known[f"kp_{person}"]), (height, width))
            assert np.array_equal(np.rint(maps * 255).astype(np.uint8), known[name]), name
            compared += 1
    assert compared >= 4


def test_limb_without_a_joint_is_far_away_everywhere():
    yx = np.full((18, 2), -1)
    yx[2], yx[3] = (60, 40), (100, 40)  # right shoulder and elbow
    maps = skeleton_maps(pose_of(yx), (256, 176))
    assert maps.shape == (CHANNELS, 256, 176)
    there = [index for index in range(3, CHANNELS) if maps[index].min() < 1]
    assert there == [5]
    assert maps[5, 80, 40] == 0
    assert maps[5, 80, 100] == pytest.approx(56 / 3 // 1 / 255)


def test_nobody_is_a_black_drawing():
    maps = skeleton_maps(pose_of(np.full((18, 2), -1)), (64, 44))
    assert not maps[:3].any()
    assert (maps[3:] == 1).all()
