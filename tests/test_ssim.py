"""SSIM against scikit-image, and the public function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.metrics import structural_similarity

import pcdms_bench
from pcdms_bench.metrics.ssim import masked_mean, ssim_map, ssim_mean, ssim_of_map
from pcdms_bench.ssim_variants import SSIM_G15, SsimVariant
from pcdms_data.types import InputError


def pictures(size=(64, 48), seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    noise = rng.normal(0, 25, target.shape)
    return np.clip(target + noise, 0, 255).astype(np.uint8), target


def skimage_ssim(x, y, variant):
    span = variant.data_range if variant.data_range is not None else float(x.max()) - float(x.min())
    gaussian = variant.window == "gaussian"
    return structural_similarity(
        x.astype(np.float64), y.astype(np.float64), gaussian_weights=gaussian,
        sigma=variant.sigma or 1.5, win_size=None if gaussian else variant.taps,
        use_sample_covariance=variant.covariance == "sample", data_range=span, channel_axis=2,
        full=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "variant",
    [
        SSIM_G15,
        replace(SSIM_G15, data_range=None),
        replace(SSIM_G15, covariance="sample"),
        replace(SSIM_G15, sigma=1.2, taps=9),
        SsimVariant("uniform", 7, 0.0, "sample", 255.0, 255.0),
    ],
)
def test_every_variant_equals_scikit_image_to_1e_12(variant):
    x, y = pictures()
    values = ssim_map(x, y, variant)
    mean, full = skimage_ssim(x, y, variant)
    assert ssim_of_map(values, variant) == pytest.approx(mean, abs=1e-12)
    np.testing.assert_allclose(values, full, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_the_mean_without_a_map_is_the_mean_of_the_map(kind, channels, arithmetic):
    # Several strips, the last one shorter, and pictures that are views with planes apart.
    x, y = (p.transpose(2, 0, 1).copy().astype(kind)[:channels] for p in pictures((301, 203)))
    x, y = x.transpose(1, 2, 0), y.transpose(1, 2, 0)
    for variant in (SSIM_G15, replace(SSIM_G15, data_range=None, covariance="sample")):
        mean, full = skimage_ssim(x, y, variant)
        mine = replace(variant, arithmetic=arithmetic)
        close = 1e-12 if arithmetic == "float64" else 2e-6
        values = ssim_map(x, y, mine)
        assert values.dtype == arithmetic
        assert ssim_mean(x, y, mine) == pytest.approx(mean, abs=close)
        assert ssim_of_map(values, mine) == pytest.approx(mean, abs=close)
        np.testing.assert_allclose(values, full, atol=max(close, 1e-12) * 20, rtol=0)


def test_a_plain_prediction_without_a_range_has_no_mean():
    plain = np.full((32, 32, 3), 7, np.uint8)
    assert np.isnan(ssim_mean(plain, plain, replace(SSIM_G15, data_range=None)))


def test_window_51_on_zero_to_one_equals_scikit_image():
    x, y = pictures((80, 60))
    variant = SsimVariant("uniform", 51, 0.0, "sample", 1.0, 1.0)
    expected = structural_similarity(x / 255, y / 255, win_size=51, data_range=1, channel_axis=2)
    assert ssim_of_map(ssim_map(x, y, variant), variant) == pytest.approx(expected, abs=1e-12)


def test_flat_and_saturated_pictures_keep_their_digits():
    x = np.full((32, 32, 3), 255, np.uint8)
    y = np.full((32, 32, 3), 250, np.uint8)
    expected, _ = skimage_ssim(x, y, SSIM_G15)
    assert ssim_of_map(ssim_map(x, y, SSIM_G15), SSIM_G15) == pytest.approx(expected, abs=1e-12)


def test_equal_pictures_score_one():
    x, _ = pictures()
    assert ssim_of_map(ssim_map(x, x, SSIM_G15), SSIM_G15) == pytest.approx(1.0, abs=1e-12)


def test_masked_mean_takes_mask_pixels_of_the_full_map_only():
    x, y = pictures()
    mask = np.zeros(x.shape[:2], bool)
    mask[:5, 3:20] = True  # touches the border, which an uncropped map still covers
    values = ssim_map(x, y, SSIM_G15)
    _, full = skimage_ssim(x, y, SSIM_G15)
    assert masked_mean(values, mask) == pytest.approx(full[mask].mean(), abs=1e-12)
    assert np.isnan(masked_mean(values, np.zeros_like(mask)))


def test_public_function_gives_one_value_per_picture_of_a_batch():
    pairs = [pictures(seed=s) for s in range(3)]
    x, y = (np.stack([p[i] for p in pairs]).transpose(0, 3, 1, 2) for i in (0, 1))
    found = pcdms_bench.ssim(x, y, "standard")
    expected = [skimage_ssim(*pair, SSIM_G15)[0] for pair in pairs]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((1, 3, 32, 32), np.float32), np.zeros((1, 3, 32, 32), np.float32)),
        (np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.uint8)),
        (np.zeros((1, 3, 32, 32), np.uint8), np.zeros((1, 3, 32, 30), np.uint8)),
        (np.zeros((1, 3, 8, 32), np.uint8), np.zeros((1, 3, 8, 32), np.uint8)),
    ],
)
def test_other_types_layouts_and_sizes_are_refused(x, y):
    with pytest.raises(InputError):
        pcdms_bench.ssim(x, y, "standard")


def test_an_unknown_protocol_is_refused_with_the_nearest_name():
    x = np.zeros((1, 3, 32, 32), np.uint8)
    with pytest.raises(InputError, match="did you mean 'standard'"):
        pcdms_bench.ssim(x, x, "standart")
