"""Maps of joints: the published values, truncation, and joints that are missing or outside."""

import numpy as np
import pytest
from baseline_files import FOLDER, needs_golden

from pcdms_baselines.heat_maps import gaussian_maps, joints_on, one_hot_maps
from pcdms_data.types import Keypoints


def pose_of(rows_and_columns, size=(256, 176)):
    yx = np.asarray(rows_and_columns)
    return Keypoints(yx[:, ::-1].astype(np.float32), (yx >= 0).all(axis=1), size)


@needs_golden
@pytest.mark.parametrize("name", ["full", "side", "upper", "noarm"])
def test_gaussian_maps_equal_the_official_ones(name):
    with np.load(FOLDER / "pose" / "pose_tensors.npz", allow_pickle=False) as known:
        maps = gaussian_maps(pose_of(known[f"kp_{name}"]), (256, 256))
        few = maps[:, ::8, ::8].transpose(1, 2, 0)
        assert np.abs(few - known[f"cfld_map_sub8_{name}"]).max() < 1e-6
        sums = maps.astype(np.float64).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, known[f"cfld_map_sum_{name}"], rtol=1e-5)


def one_joint(x, y, size=(256, 176)):
    yx = np.full((18, 2), -1.0)
    yx[4] = y, x
    return pose_of(yx, size)


def test_whole_pixels_of_a_stretched_canvas_are_exact():
    for x in range(0, 176, 11):
        joints, present = joints_on(one_joint(x, 7), (256, 256))
        assert tuple(joints[4]) == (x // 11 * 16, 7)
        assert present.sum() == 1


def test_one_hot_map_has_one_pixel_and_none_outside():
    maps = one_hot_maps(one_joint(20.9, 100.2), (256, 176))
    assert np.argwhere(maps).tolist() == [[4, 100, 20]]
    assert not one_hot_maps(one_joint(176, 100), (256, 176)).any()
    assert not one_hot_maps(one_joint(20, 256), (256, 176)).any()


def test_gaussian_is_one_at_its_joint_and_empty_without_one():
    maps = gaussian_maps(one_joint(20, 100), (256, 176))
    assert maps[4].max() == maps[4, 100, 20] == 1
    assert maps[4, 106, 20] == pytest.approx(np.exp(-0.5), abs=1e-6)
    assert not np.delete(maps, 4, axis=0).any()
