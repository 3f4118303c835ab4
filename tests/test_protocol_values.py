"""What each protocol computes, against scikit-image and plain NumPy on the same pictures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

import pcdms_bench
from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.picture_views import apply_view, view_for
from pcdms_bench.protocols import PROTOCOLS, protocol_for, reading_files
from pcdms_bench.reference_features import used_of
from pcdms_data.images import resize
from pcdms_data.types import InputError, Keypoints

SIZE = (72, 60)


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    for name in ("FID", "FID_PAPER", "LPIPS"):
        monkeypatch.delenv(f"PCDMS_WEIGHTS_{name}", raising=False)


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    targets = gaussian_filter(rng.normal(size=(3, *SIZE, 3)), (0, 2, 2, 0)) * 300 + 128
    made = targets + rng.normal(0, 12, targets.shape)
    return [np.clip(x, 0, 255).astype(np.uint8) for x in (made, targets)]


def skimage_ssim(x, y, variant):
    span = float(x.max()) - float(x.min()) if variant.data_range is None else variant.data_range
    x, y = (v.astype(np.float64) * variant.scale / 255 for v in (x, y))
    if variant.data_range is None:
        span *= variant.scale / 255
    if variant.window == "gaussian":
        options = {"gaussian_weights": True, "sigma": variant.sigma}
    else:
        options = {"win_size": variant.taps}
    return structural_similarity(
        x, y, data_range=span, channel_axis=2,
        use_sample_covariance=variant.covariance == "sample", **options,
    )  # fmt: skip


def padded(picture, columns):
    return np.pad(picture, ((0, 0), (columns, columns), (0, 0)), constant_values=255)


EXPECTED_WINDOWS = {
    "standard": (1.5, 255.0), "pcdms": (1.2, None), "pidm": (1.2, None), "gfla": (1.5, None),
    "dptn": (1.5, None), "pocold": (1.5, None), "cfld": (1.5, None), "patn": (1.5, None),
    "market-masked": (1.5, None),
}  # fmt: skip


@pytest.mark.parametrize("name", PROTOCOLS)
def test_ssim_of_every_protocol_equals_scikit_image(name, sets):
    made, true = sets
    variant = PROTOCOLS[name].ssim
    assert (variant.sigma, variant.data_range) == EXPECTED_WINDOWS[name]
    columns = round(SIZE[1] * 40 / 176) if name in ("dptn", "patn") else 0
    expected = [
        skimage_ssim(padded(a, columns), padded(b, columns), variant)
        for a, b in zip(made, true, strict=True)
    ]
    planes = [x.transpose(0, 3, 1, 2) for x in sets]
    np.testing.assert_allclose(pcdms_bench.ssim(*planes, name), expected, atol=1e-12)
    if name != "market-masked":
        frame = pcdms_bench.score_images(made, true, name)
        value = frame.set_index("metric").loc["ssim", "value"]
        assert value == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_metric_of_every_protocol_has_a_value_or_a_reason(name, sets):
    poses = [
        Keypoints(
            np.random.default_rng(i).uniform(8, 50, (18, 2)).astype(np.float32),
            np.ones(18, bool), SIZE,
        )
        for i in range(3)
    ]  # fmt: skip
    frame = pcdms_bench.score_images(*sets, name, reference=sets[1], target_keypoints=poses)
    assert list(frame["metric"]) == list(PROTOCOLS[name].metrics)
    assert set(frame["protocol"]) == {f"{name}@72x60"}
    for row in frame.itertuples():
        assert np.isnan(row.value) == (row.status in ("unavailable", "failed"))
        assert row.reason or row.status == "ok"
    weightless = {"lpips", "lpips_pcdms", "masked_lpips", "fid", "fid_paper", "is", "masked_is"}
    lacking = set(frame[frame["status"] == "unavailable"]["metric"])
    assert lacking == weightless & set(PROTOCOLS[name].metrics)


def test_psnr_l1_and_mae_of_the_published_kind(sets):
    made, true = (x.astype(np.float64) / 255 for x in sets)
    rows = pcdms_bench.score_images(*sets, "gfla").set_index("metric")["value"]
    gaps = np.abs(made - true)
    assert rows["l1"] == pytest.approx(gaps.mean(), rel=1e-12)
    ratios = gaps.sum((1, 2, 3)) / (made + true).sum((1, 2, 3))
    assert rows["mae"] == pytest.approx(ratios.mean(), rel=1e-12)
    decibels = 10 * np.log10(1 / (gaps**2).mean((1, 2, 3)))
    assert rows["psnr"] == pytest.approx(decibels.mean(), rel=1e-12)
    second = [skimage_ssim(a, b, PROTOCOLS["gfla"].second_ssim) for a, b in zip(*sets, strict=True)]
    assert rows["ssim_win51"] == pytest.approx(np.mean(second), abs=1e-12)
    gap = np.pad(gaps, ((0, 0), (0, 0), (14, 14), (0, 0))).mean()
    other = pcdms_bench.score_images(*sets, "patn").set_index("metric")["value"]
    assert other["l1"] == pytest.approx(2 * gap, rel=1e-12)


def test_overshoot_of_the_cubic_kernel_reaches_every_metric(sets):
    made, true = (np.kron(x, np.ones((1, 2, 2, 1), np.uint8)) for x in sets)
    kernel = {"interpolation": cv2.INTER_CUBIC}
    small = [
        [cv2.resize(p.astype(np.float32), SIZE[::-1], **kernel) for p in x] for x in (made, true)
    ]
    rows = pcdms_bench.score_images(made, true, "pcdms@72x60").set_index("metric")
    expected = [skimage_ssim(a, b, PROTOCOLS["pcdms"].ssim) for a, b in zip(*small, strict=True)]
    assert rows.loc["ssim", "value"] == pytest.approx(np.mean(expected), abs=1e-12)
    gaps = np.abs(np.array(small[0], np.float64) - np.array(small[1], np.float64)) / 255
    assert rows.loc["l1", "value"] == pytest.approx(gaps.mean(), rel=1e-12)
    assert set(rows["protocol"]) == {"pcdms@72x60"}


def test_masked_ssim_of_def_gan_multiplies_both_pictures(sets):
    rng = np.random.default_rng(5)
    poses = [
        Keypoints(rng.uniform(10, 45, (18, 2)).astype(np.float32), rng.random(18) < 0.8, SIZE)
        for _ in range(3)
    ]
    rows = pcdms_bench.score_images(*sets, "market-masked", target_keypoints=poses)
    expected = []
    for a, b, pose in zip(*sets, poses, strict=True):
        mask = keypoint_mask(pose.xy, pose.visible, SIZE)[:, :, None]
        expected.append(skimage_ssim(a * mask, b * mask, PROTOCOLS["market-masked"].ssim))
    row = rows.set_index("metric").loc["masked_ssim_defgan"]
    assert row["value"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert row["reference"] == "pair;mask=keypoints"


def test_masked_lpips_shows_the_network_mid_grey_outside_the_mask(sets):
    protocol = protocol_for("market-masked", "folder", SIZE)
    mask = np.zeros(SIZE, bool)
    mask[10:40, 5:30] = True
    seen = apply_view(view_for(protocol, "generated", "metric", 127.5), sets[0][0], mask)
    entered = seen / 127.5 - 1
    assert (entered[~mask] == 0).all()
    np.testing.assert_array_equal(seen[mask], sets[0][0][mask])


def test_market_is_neither_stretched_nor_padded():
    for name in ("gfla", "dptn", "patn", "market-masked"):
        protocol = protocol_for(name, "market1501", (128, 64))
        picture = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
        for frame in (protocol.pixel_frame, protocol.fid_frame, protocol.lpips_frame):
            seen = apply_view(view_for(protocol, "generated", frame), picture)
            np.testing.assert_array_equal(seen, picture)
        assert protocol.label == name


@pytest.mark.parametrize(
    ("name", "frame", "shape"),
    [
        ("gfla", "file", (256, 256)), ("pidm", "file", (256, 256)), ("pidm", "metric", (256, 176)),
        ("dptn", "padded", (256, 256)), ("dptn", "file", (256, 176)),
        ("pocold", "file", (256, 176)), ("patn", "padded", (256, 256)),
        ("cfld", "metric", (256, 176)), ("pcdms", "metric", (256, 176)),
    ],
)  # fmt: skip
def test_a_run_of_deepfashion_makes_the_files_a_script_reads(name, frame, shape):
    protocol = protocol_for(name, "deepfashion", (256, 176))
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    seen = apply_view(view_for(protocol, "generated", frame), picture)
    assert seen.shape == (*shape, 3)
    if frame == "padded":
        assert (seen[:, :40] == 255).all()
        assert (seen[:, 216:] == 255).all()
        np.testing.assert_array_equal(
            seen[:, 40:216],
            resize(picture, (256, 176), protocol.generated_file_kernel),
        )


def test_stretched_and_padded_frames_scale_with_the_runs_own():
    protocol = protocol_for("dptn", "people", (96, 64))
    assert (protocol.square(), protocol.padding()) == ((96, 93), 15)
    protocol = protocol_for("dptn", "deepfashion", (512, 352))
    assert protocol.frame == (256, 176)
    assert replace(protocol, frame=(512, 352)).padding() == 80
    assert replace(protocol, frame=(512, 352)).square() == (512, 512)


def test_sizes_that_differ_are_an_error_where_a_protocol_does_not_resize(sets):
    for name in ("pocold", "gfla", "pidm", "patn", "dptn"):
        with pytest.raises(InputError, match="does not resize"):
            pcdms_bench.score_images(sets[0][:, :60], sets[1], name)
    assert reading_files(PROTOCOLS["gfla"]).file_frame == "own"


def test_dropped_batches_have_the_published_counts():
    assert used_of(8570, PROTOCOLS["pcdms"].fid_batch) == 8448
    assert used_of(48674, PROTOCOLS["pcdms"].fid_batch) == 48640
    assert used_of(8570, PROTOCOLS["pcdms"].lpips_batch) == 8512
    for name in ("pidm", "gfla", "pocold"):
        assert used_of(8570, PROTOCOLS[name].fid_batch) == 8512
        assert used_of(48674, PROTOCOLS[name].fid_batch) == 48640
        assert PROTOCOLS[name].fid_drop_last
        assert PROTOCOLS[name].lpips_drop_last
    assert used_of(100, 128) == 100
    assert not PROTOCOLS["dptn"].lpips_drop_last
    assert not PROTOCOLS["cfld"].fid_drop_last
