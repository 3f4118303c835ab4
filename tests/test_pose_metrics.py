"""Pose and face as metrics of a run: right poses score, wrong ones do not, absent files say so."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdms_bench import pose_metrics, score_images
from pcdms_bench.metrics.faces import cosines, face_input, face_transform
from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.pose_estimation.agreement import agreement
from pcdms_data.types import Keypoints

WEIGHTS = Path(os.environ.get("PCDMS_WEIGHTS", "../shared/weights")).resolve()
with_posenet = pytest.mark.skipif(
    not (WEIGHTS / "posenet_graph.json").is_file(), reason="PoseNet absent (PCDMS_WEIGHTS)"
)
SIZE = (256, 176)
POSE_METRICS = ("pckh50", "oks")


@pytest.fixture(autouse=True)
def private_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def people():
    pairs = list(load_pairs("people", size="smoke", resolution=SIZE, limit=6))
    targets = np.stack([load_picture(pair.target, SIZE) for pair in pairs])
    return targets, [pair.target_pose for pair in pairs]


@with_posenet
def test_true_targets_beat_mirrored_ones_and_pckh_is_a_ratio_of_sums(people, monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS", str(WEIGHTS))
    targets, poses = people
    arguments = {"target_keypoints": poses, "metrics": POSE_METRICS}
    true = score_images(targets, targets, **arguments).set_index("metric")
    wrong = score_images(targets[:, ::-1].copy(), targets, **arguments).set_index("metric")
    for name in POSE_METRICS:
        assert true.loc[name, "status"] == "ok"
        assert true.loc[name, "extractor"] == "posenet@15e9a22e"
        assert 0 <= wrong.loc[name, "value"] < true.loc[name, "value"] <= 1
        assert true.loc[name, "ci_low"] <= true.loc[name, "value"] <= true.loc[name, "ci_high"]
    found = [pose_metrics.estimator().estimate(picture) for picture in targets]
    expected = agreement(zip(found, poses, strict=True)).pckh
    assert true.loc["pckh50", "value"] == pytest.approx(expected)


@with_posenet
def test_a_second_score_needs_no_estimate(people, monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS", str(WEIGHTS))
    targets, poses = people
    arguments = {"target_keypoints": poses[:2], "metrics": POSE_METRICS}
    first = score_images(targets[:2], targets[:2], **arguments)
    monkeypatch.setattr(pose_metrics.SeenPose, "found", lambda self: pytest.fail("estimated again"))
    assert first.equals(score_images(targets[:2], targets[:2], **arguments))


def test_without_files_or_poses_there_is_a_reason(people):
    targets, poses = people
    names = (*POSE_METRICS, "face_similarity")
    frame = score_images(targets, targets, target_keypoints=poses, metrics=names)
    assert set(frame["status"]) == {"unavailable"}
    assert "npm pack" in frame["reason"][0]
    assert "PCDMS_WEIGHTS_FACE" in frame["reason"][2]
    frame = score_images(targets, targets, metrics=names)
    assert set(frame["reason"]) == {"the key points of the targets are not given"}


class Thumbnail(torch.nn.Module):
    """A small face embedding anybody can check."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 48)."""
        return torch.nn.functional.avg_pool2d(x, 28).flatten(1)


def face_poses(count):
    xy, visible = np.zeros((18, 2), np.float32), np.zeros(18, bool)
    for joint, place in {0: (80, 50), 14: (72, 42), 15: (88, 42)}.items():
        xy[joint], visible[joint] = place, True
    hidden = Keypoints(np.zeros((18, 2), np.float32), np.zeros(18, bool), SIZE)
    return [Keypoints(xy, visible, SIZE)] * (count - 1) + [hidden]


def test_face_similarity_is_the_mean_cosine_where_a_face_can_be_seen(tmp_path, monkeypatch):
    path = tmp_path / "thumbnail.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Thumbnail(), torch.zeros(1, 3, 112, 112)).save(str(path))
    monkeypatch.setenv("PCDMS_WEIGHTS_FACE", str(path))
    rng = np.random.default_rng(0)
    made, true = rng.integers(0, 256, (2, 4, *SIZE, 3), np.uint8)
    poses = face_poses(4)
    arguments = {"target_keypoints": poses, "metrics": ["face_similarity"]}
    row = score_images(made, true, **arguments).iloc[0]
    values = []
    for one, two in zip(made[:3], true[:3], strict=True):
        inputs = np.stack([face_input(p, face_transform(poses[0])) for p in (one, two)])
        embedded = Thumbnail()(torch.from_numpy(inputs)).numpy()
        values.append(float(cosines(embedded[:1], embedded[1:])[0]))
    assert row["value"] == pytest.approx(np.mean(values), abs=1e-6)
    assert row["n"] == 3
    assert "1 without a face that can be seen" in row["reason"]
    assert row["extractor"].startswith("thumbnail@")
    assert score_images(true, true, **arguments)["value"][0] == pytest.approx(1, abs=1e-6)
