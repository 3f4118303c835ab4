"""Unusual and unusable pictures: an error in one line or a conversion that is written down."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import pcdms_bench
from pcdms_bench.metrics.catalog import METRICS
from pcdms_bench.metrics.frechet import FeatureStatistics, frechet_distance_features
from pcdms_bench.metrics.ssim import ssim_map
from pcdms_bench.protocols import PROTOCOLS
from pcdms_bench.ssim_variants import SSIM_G15, SSIM_G15_OWN
from pcdms_data.images import load_picture, save_picture
from pcdms_data.types import InputError, Keypoints, Picture, PictureError

SIZE = (64, 44)
OFFLINE = tuple(
    name
    for name, metric in METRICS.items()
    if metric.kind in ("pairwise", "set")
    and "poses" not in metric.needs
    and not any(need.startswith("weights") for need in metric.needs)
    and name not in ("ssim_win51", "masked_ssim_defgan", "mae")
)
"""Picture metrics of `standard` and on request that need no file of the user's."""


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))


def smooth(count, seed=0, size=SIZE):
    rough = gaussian_filter(
        np.random.default_rng(seed).normal(size=(count, *size, 3)), (0, 3, 3, 0)
    )
    return np.clip(rough * 400 + 128, 0, 255).astype(np.uint8)


def scores(*arguments, **options):
    return pcdms_bench.score_images(*arguments, **options).set_index("metric")


# Kinds of files


def written(path, array):
    cv2.imwrite(str(path), array)
    return load_picture(Picture(path.name, path))


def test_grey_becomes_three_equal_channels_and_is_scored_so(tmp_path):
    grey = smooth(2)[..., 0]
    for i, picture in enumerate(grey):
        read = written(tmp_path / f"{i}.png", picture)
        assert np.array_equal(read, np.repeat(picture[..., None], 3, axis=2))
    colour = np.repeat(grey[..., None], 3, axis=3)
    targets = tmp_path / "targets"
    for i, picture in enumerate(smooth(2, 1)):
        save_picture(targets / f"{i}.png", picture)
    found = scores(tmp_path, targets, metrics=("ssim", "l1"))
    expected = scores(colour, smooth(2, 1), metrics=("ssim", "l1"))
    assert found["value"].tolist() == expected["value"].tolist()


def test_alpha_is_left_out_and_the_colour_below_it_counts(tmp_path):
    picture = smooth(1)[0]
    alpha = np.random.default_rng(0).integers(0, 256, (*SIZE, 1), dtype=np.uint8)
    read = written(tmp_path / "a.png", np.concatenate([picture[..., ::-1], alpha], axis=2))
    assert np.array_equal(read, picture)


def test_sixteen_bits_lose_their_low_byte(tmp_path):
    wide = np.random.default_rng(0).integers(0, 65536, (*SIZE, 3), dtype=np.uint16)
    read = written(tmp_path / "a.png", wide[..., ::-1])
    assert np.array_equal(read, (wide >> 8).astype(np.uint8))


def test_float_pictures_are_refused(tmp_path):
    with pytest.raises(PictureError, match=r"a\.tiff cannot be decoded"):
        written(tmp_path / "a.tiff", np.full((*SIZE, 3), 0.5, np.float32))


# Arrays


@pytest.mark.parametrize(
    "wrong",
    [
        smooth(2).astype(np.float32),
        np.full((2, *SIZE, 3), np.nan),
        smooth(2)[..., 0],
        np.concatenate([smooth(2), smooth(2)[..., :1]], axis=3),
        smooth(2).astype(np.uint16),
        smooth(2)[0],
    ],
    ids=["float", "NaN", "grey", "RGBA", "16-bit", "one picture"],
)
def test_arrays_of_another_kind_are_refused(wrong):
    good = smooth(2)
    for arguments in ((wrong, good), (good, wrong)):
        with pytest.raises(InputError, match=r"expected uint8 \(N, H, W, 3\)"):
            pcdms_bench.score_images(*arguments)
    with pytest.raises(InputError, match=r"reference: .* expected uint8"):
        pcdms_bench.score_images(good, good, reference=wrong)
    with pytest.raises(InputError, match=r"expected uint8 \(B, 3, H, W\)"):
        pcdms_bench.ssim(wrong, wrong)


def test_no_pictures_are_refused():
    none = smooth(2)[:0]
    with pytest.raises(InputError, match="0 generated pictures for 0 targets"):
        pcdms_bench.score_images(none, none)
    with pytest.raises(InputError):
        pcdms_bench.score_images(smooth(2), smooth(3))


def test_pictures_of_two_sizes_are_refused_and_sides_of_two_sizes_resized_only_by_a_kernel(
    tmp_path,
):
    for i, size in enumerate(((64, 44), (32, 22))):
        save_picture(tmp_path / "mixed" / f"{i}.png", smooth(1, 0, size)[0])
        save_picture(tmp_path / "good" / f"{i}.png", smooth(1)[0])
    for arguments in (("mixed", "good"), ("good", "mixed")):
        with pytest.raises(InputError, match=r"of 2 sizes \(0\.png 64x44, 1\.png 32x22\)"):
            pcdms_bench.score_images(*(tmp_path / name for name in arguments))
    small, large = smooth(2, 0, (32, 22)), smooth(2)
    resized = scores(small, large, metrics=("l1",)).loc["l1"]
    assert (resized["status"], resized["reason"]) == ("ok", "pictures are 32x22")
    both = scores(small, large, protocol="pcdms@40x30", metrics=("l1",)).loc["l1", "reason"]
    assert both == "pictures are 32x22; targets are 64x44"
    with pytest.raises(InputError, match=r"32x22 for a target of 64x44.*does not resize"):
        scores(small, large, protocol="gfla", metrics=("ssim", "l1"))


@pytest.mark.parametrize(
    "masks", [np.full((2, *SIZE), np.nan), np.ones((2, *SIZE), np.float32), np.ones(SIZE, bool)]
)
def test_masks_that_are_not_labels_are_refused(masks):
    with pytest.raises(InputError, match="expected bool or integers"):
        pcdms_bench.score_images(smooth(2), smooth(2), masks=masks)


def test_an_empty_mask_costs_its_picture_and_is_counted():
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 5:40, 5:30] = True
    row = scores(smooth(2), smooth(2, 1), masks=masks, metrics=("masked_l1",)).loc["masked_l1"]
    assert row["n"] == 1
    assert "1 with no pixel in the mask" in row["reason"]


def test_visible_key_points_without_a_place_are_refused():
    xy = np.full((18, 2), 20, np.float32)
    xy[3] = np.nan
    seen = np.ones(18, bool)
    hidden = seen.copy()
    hidden[3] = False
    pictures = smooth(1)
    with pytest.raises(InputError, match="key points of target 0"):
        pcdms_bench.score_images(pictures, pictures, target_keypoints=[Keypoints(xy, seen, SIZE)])
    rows = scores(
        pictures, pictures, target_keypoints=[Keypoints(xy, hidden, SIZE)], metrics=("masked_l1",)
    )
    assert rows.loc["masked_l1", "value"] == 0


# SSIM


def test_ssim_of_what_is_no_number_is_refused():
    picture = smooth(1)[0].astype(np.float32)
    broken = picture.copy()
    broken[3, 4, 1] = np.nan
    for arguments in ((broken, picture), (picture, broken)):
        with pytest.raises(InputError, match="NaN"):
            ssim_map(*arguments, SSIM_G15)
    with pytest.raises(InputError, match="expected two equal"):
        ssim_map(picture, picture[1:], SSIM_G15)
    with pytest.raises(InputError, match="does not fit"):
        ssim_map(picture[:8], picture[:8], SSIM_G15)


def test_a_plain_prediction_has_no_range_of_its_own_and_is_counted():
    """Published scripts divide nought by nought there."""
    made, targets = smooth(3), smooth(3, 1)
    made[1] = 0
    assert np.isnan(ssim_map(made[1], targets[1], SSIM_G15_OWN)).all()
    assert np.isfinite(ssim_map(made[1], targets[1], SSIM_G15)).all()
    row = scores(made, targets, protocol="gfla", metrics=("ssim",)).loc["ssim"]
    assert (row["n"], row["n_expected"]) == (2, 3)
    assert "1 of one grey level" in row["reason"]
    assert math.isfinite(row["value"])


# Few pictures


@pytest.mark.parametrize("count", [1, 2])
def test_few_pictures_give_a_number_or_a_reason_never_nonsense(count):
    made, targets = smooth(count), smooth(count, 1)
    masks = np.ones((count, *SIZE), bool)
    frame = pcdms_bench.score_images(
        made, targets, reference=smooth(2, 2), masks=masks, metrics=OFFLINE
    )
    assert set(frame["metric"]) == set(OFFLINE)
    for row in frame.itertuples():
        if row.status in ("ok", "indicative"):
            assert math.isfinite(row.value), row.metric
            assert METRICS[row.metric].kind != "set" or row.status == "indicative"
        else:
            assert row.status == "unavailable"
            assert row.value is None or math.isnan(row.value)
            assert row.reason
    if count == 1:
        status = frame.set_index("metric")["status"]
        assert status["fd_efficientnet_lite0"] == "unavailable"


def test_one_reference_picture_has_no_covariance():
    made = smooth(3)
    wanted = ("fd_efficientnet_lite0",)
    row = scores(made, made, reference=made[:1], metrics=wanted).loc[wanted[0]]
    assert row["status"] == "unavailable"
    assert "at least 2" in row["reason"]


def test_features_that_are_no_numbers_and_single_rows_are_refused():
    rows = np.random.default_rng(0).normal(size=(5, 3))
    broken = rows.copy()
    broken[2, 1] = np.inf
    with pytest.raises(InputError, match="NaN or infinite"):
        frechet_distance_features(rows, broken)
    with pytest.raises(InputError, match="two rows or more"):
        frechet_distance_features(rows[:1], rows)
    statistics = FeatureStatistics()
    with pytest.raises(InputError, match="finite"):
        statistics.update(broken)
    statistics.update(rows[:1])
    with pytest.raises(InputError, match="at least 2"):
        statistics.result()


def test_every_protocol_refuses_a_picture_that_its_window_does_not_fit():
    tiny = smooth(2, 0, (8, 8))
    for name in PROTOCOLS:
        frame = pcdms_bench.score_images(tiny, tiny, name)
        for row in frame.itertuples():
            if row.metric.startswith(("ssim", "masked_ssim")):
                assert row.status == "unavailable"
                assert row.reason
            if row.metric == "st_lpips":
                assert "at least 32 pixels" in row.reason
