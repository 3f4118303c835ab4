"""The public scoring function on arrays and folders, and the lazy package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

import pcdms_bench
from pcdms_bench.protocols import PROTOCOLS
from pcdms_data.images import save_picture
from pcdms_data.types import InputError, Keypoints
from pcdms_reports.records import COLUMNS

SIZE = (48, 32)


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PCDMS_WEIGHTS_FID", raising=False)
    monkeypatch.delenv("PCDMS_WEIGHTS_LPIPS", raising=False)


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    targets = gaussian_filter(rng.normal(size=(4, *SIZE, 3)), (0, 2, 2, 0)) * 400 + 128
    made = np.clip(targets + rng.normal(0, 12, targets.shape), 0, 255).astype(np.uint8)
    return made, np.clip(targets, 0, 255).astype(np.uint8)


def by_metric(frame):
    assert isinstance(frame, pd.DataFrame)
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["metric"]) == list(PROTOCOLS["standard"].metrics)
    return frame.set_index("metric")


def test_arrays_give_a_row_for_every_metric(sets):
    made, targets = sets
    masks = np.zeros((4, *SIZE), bool)
    masks[:, 5:40, 5:25] = True
    rows = by_metric(pcdms_bench.score_images(made, targets, reference=targets, masks=masks))
    expected = [
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
            channel_axis=2,
        )
        for a, b in zip(made, targets, strict=True)
    ]  # fmt: skip
    assert rows.loc["ssim", "value"] == pytest.approx(np.mean(expected), rel=1e-10)
    assert rows.loc["masked_l1", "reference"] == "pair;mask=exact"
    assert rows.loc["fd_efficientnet_lite0", "status"] == "indicative"
    assert rows.loc["fd_efficientnet_lite0", "reference"] == "train:4"
    assert rows.loc["lpips", "status"] == "unavailable"
    assert set(rows["protocol"]) == {"standard@48x32"}


def test_folders_are_paired_by_name_and_equal_the_arrays(sets, tmp_path):
    for folder, pictures in zip(("made", "true"), sets, strict=True):
        for i, picture in enumerate(pictures):
            save_picture(tmp_path / folder / f"{i}.png", picture)
    one = by_metric(pcdms_bench.score_images(tmp_path / "made", str(tmp_path / "true")))
    other = by_metric(pcdms_bench.score_images(*sets))
    pd.testing.assert_frame_equal(one, other)
    (tmp_path / "true" / "3.png").unlink()
    with pytest.raises(InputError, match="do not pair up: 3"):
        pcdms_bench.score_images(tmp_path / "made", tmp_path / "true")


def test_without_masks_masked_metrics_say_so_and_key_points_draw_one(sets):
    rows = by_metric(pcdms_bench.score_images(*sets))
    assert rows.loc["masked_ssim", "status"] == "unavailable"
    assert "masks" in rows.loc["masked_ssim", "reason"]
    rng = np.random.default_rng(1)
    poses = [
        Keypoints(rng.uniform(5, 25, (18, 2)).astype(np.float32), np.ones(18, bool), SIZE)
        for _ in range(4)
    ]
    rows = by_metric(pcdms_bench.score_images(*sets, target_keypoints=poses))
    assert rows.loc["masked_ssim", "reference"] == "pair;mask=keypoints"
    assert rows.loc["masked_ssim", "status"] == "ok"


def test_unusable_input_is_refused(sets, tmp_path):
    made, targets = sets
    for arguments in (
        (made[:3], targets),
        (made.astype(np.float32), targets),
        (made[0], targets),
        (tmp_path / "none", targets),
        (made[:0], targets[:0]),
    ):
        with pytest.raises(InputError):
            pcdms_bench.score_images(*arguments)
    with pytest.raises(InputError, match="masks"):
        pcdms_bench.score_images(made, targets, masks=np.ones((4, 10, 10), bool))
    with pytest.raises(InputError, match="key point sets"):
        pcdms_bench.score_images(made, targets, target_keypoints=[])


def test_importing_the_package_loads_nothing_heavy_and_knows_its_names():
    code = (
        "import sys, pcdms_bench; print(dir(pcdms_bench));"
        "assert not {'torch', 'numpy', 'pandas', 'cv2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("frechet_distance", "frechet_distance_features", "score_images", "ssim"):
        assert name in done.stdout
        assert callable(getattr(pcdms_bench, name))
    with pytest.raises(AttributeError):
        pcdms_bench.nothing  # noqa: B018
