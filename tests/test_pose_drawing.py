"""The pose picture: colours at the joints, sizes, and joints where no picture is."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pcdms_data.pose_drawing import COLOURS, LIMBS, draw_pose
from pcdms_data.types import InputError

FRAME = (256, 176)


@pytest.fixture
def xy():
    grid = np.stack(np.meshgrid(np.arange(3), np.arange(6)), axis=-1).reshape(18, 2)
    return (grid * (60, 42) + (28, 20)).astype(np.float32)


EVERY = np.ones(18, dtype=bool)


@pytest.mark.parametrize("canvas", [(64, 32), (96, 64), (256, 176), (512, 352), (512, 1024)])
def test_each_joint_has_its_colour_at_every_size(xy, canvas):
    drawing = draw_pose(xy, EVERY, FRAME, canvas)
    assert drawing.shape == (*canvas, 3)
    assert drawing.dtype == np.uint8
    for joint, (x, y) in enumerate(xy):
        row, column = round(y * canvas[0] / 256), round(x * canvas[1] / 176)
        near = drawing[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).astype(int)
        assert np.abs(near - COLOURS[joint]).sum(axis=1).min() <= 90


def test_limbs_are_dimmed_and_as_wide_as_the_height_asks(xy):
    only = np.zeros(18, dtype=bool)
    only[[1, 8]] = True
    xy[1], xy[8] = (88, 40), (88, 216)
    drawing = draw_pose(xy, only, FRAME, (512, 352))
    assert tuple(drawing[256, 176]) == tuple(round(c * 0.6) for c in COLOURS[LIMBS.index((1, 8))])
    assert 8 <= (drawing[256] > 0).any(axis=-1).sum() <= 11
    assert tuple(drawing[80, 176]) == COLOURS[1]
    small = draw_pose(xy, only, FRAME, (96, 64))
    assert 2 <= (small[48] > 0).any(axis=-1).sum() <= 5


def test_a_missing_joint_takes_its_limbs_along(xy):
    assert not draw_pose(xy, ~EVERY, FRAME, FRAME).any()
    without = EVERY.copy()
    without[4] = False
    drawing = draw_pose(xy, without, FRAME, FRAME)
    column, row = xy[4].astype(int)
    assert not drawing[row - 3 : row + 4, column - 3 : column + 4].any()


def test_joints_outside_are_clipped_and_impossible_ones_skipped(xy):
    xy[4] = (-31, 100)
    inside = draw_pose(xy, EVERY, FRAME, FRAME)
    assert inside[:, 0].any()  # the forearm runs out of the picture
    skipped = EVERY.copy()
    skipped[4] = False
    for place in ((np.nan, 5), (np.inf, 5), (1e30, 5), (-1e6, 1e6)):
        xy[4] = place
        assert np.array_equal(
            draw_pose(xy, EVERY, FRAME, FRAME), draw_pose(xy, skipped, FRAME, FRAME)
        )


def test_equal_joints_leave_a_dot(xy):
    xy[:] = 60
    assert draw_pose(xy, EVERY, FRAME, FRAME)[60, 60].any()


def test_a_wrong_shape_is_refused(xy):
    with pytest.raises(InputError, match=r"\(17, 2\)"):
        draw_pose(xy[:17], EVERY[:17], FRAME, FRAME)
    with pytest.raises(InputError, match="canvas"):
        draw_pose(xy, EVERY, FRAME, (0, 10))


def test_all_real_poses_can_be_drawn():
    root = Path(os.environ.get("PCDMS_REALDATA", "../shared/realdata"))
    path = root / "deepfashion" / "fasion-resize-annotation-test.csv"
    if not path.exists():
        pytest.skip("PCDMS_REALDATA has no DeepFashion annotation")
    drawn = 0
    for line in path.read_text().splitlines()[1:2000]:
        _, ys, xs = line.split(":")
        points = np.stack([json.loads(xs), json.loads(ys)], axis=1).astype(np.float32)
        visible = points[:, 1] != -1
        drawn += bool(draw_pose(points, visible, FRAME, (96, 64)).any()) == bool(visible.any())
    assert drawn == 1999
