"""PSNR, L1, the sharpness ratio and the key-point mask."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.metrics.pixels import gradient_energy, gradient_ratio, l1, masked_l1, psnr


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40, 30, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture
def mask():
    mask = np.zeros((40, 30), bool)
    mask[:25, 5:22] = True
    return mask


def test_psnr_equals_scikit_image_for_either_type(pair):
    a, b = pair
    expected = peak_signal_noise_ratio(a, b, data_range=255)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-12)
    assert psnr(a.astype(np.float32), b) == pytest.approx(expected, abs=1e-12)


def test_psnr_of_equal_pictures_is_infinite(pair):
    assert math.isinf(psnr(pair[0], pair[0]))


def test_l1_is_the_mean_difference_on_zero_to_one_or_twice_it(pair):
    a, b = pair
    expected = np.abs(a.astype(float) - b).mean() / 255
    assert l1(a, b) == pytest.approx(expected, rel=1e-12)
    assert l1(a, b, 2.0) == pytest.approx(2 * expected, rel=1e-12)
    assert l1(a, a) == 0


def test_masked_l1_ignores_what_lies_outside(pair, mask):
    a, b = pair
    changed = a.copy()
    changed[~mask] = 7
    expected = np.abs(a.astype(float) - b)[mask].mean() / 255
    assert masked_l1(a, b, mask) == pytest.approx(expected, rel=1e-12)
    assert masked_l1(changed, b, mask) == masked_l1(a, b, mask)
    assert math.isnan(masked_l1(a, b, np.zeros_like(mask)))


def test_gradient_energy_is_the_written_sum_over_the_eroded_mask(pair, mask):
    picture = pair[0]
    luma = (picture / 255) @ np.array([0.299, 0.587, 0.114])
    inside = binary_erosion(mask, np.ones((3, 3)), border_value=0)
    expected = 0.0
    for y, x in zip(*np.nonzero(inside), strict=True):
        expected += (luma[y, x + 1] - luma[y, x]) ** 2 + (luma[y + 1, x] - luma[y, x]) ** 2
    assert gradient_energy(picture, mask) == pytest.approx(expected, rel=1e-12)


def test_gradient_ratio_is_below_one_for_blur_one_for_equal_above_for_noise(mask):
    rng = np.random.default_rng(1)
    target = gaussian_filter(rng.normal(size=(40, 30, 3)), (1, 1, 0)) * 200 + 128
    blurred = gaussian_filter(target, (2, 2, 0))
    noisy = target + rng.normal(0, 20, target.shape)
    t, b, n = (np.clip(p, 0, 255).astype(np.uint8) for p in (target, blurred, noisy))
    assert gradient_ratio([t], [t], [mask]) == 1
    assert gradient_ratio([b], [t], [mask]) < 0.8
    assert gradient_ratio([n], [t], [mask]) > 1.2
    assert math.isnan(gradient_ratio([t], [np.zeros_like(t)], [mask]))


def test_the_keypoint_mask_covers_joints_and_limbs_and_nothing_without_joints():
    xy = np.full((18, 2), -1, np.float32)
    visible = np.zeros(18, bool)
    assert not keypoint_mask(xy, visible, (128, 64)).any()
    xy[2], xy[3] = (20, 30), (20, 60)  # right shoulder and elbow, a link
    visible[[2, 3]] = True
    mask = keypoint_mask(xy, visible, (128, 64))
    rows, columns = np.nonzero(mask)
    assert mask[30:61, 16:25].all()
    assert rows.min() == 26
    assert rows.max() == 64
    assert columns.min() == 16
    assert columns.max() == 24


def test_the_keypoint_mask_skips_a_link_of_length_zero():
    xy = np.full((18, 2), 20, np.float32)
    mask = keypoint_mask(xy, np.ones(18, bool), (64, 48))
    assert 40 < mask.sum() < 70  # one disc of radius 4
