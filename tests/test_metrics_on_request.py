"""Metrics that no protocol has by itself: there when asked for, or a reason why they are not."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchvision.models import squeezenet1_1

from pcdms_bench import score_images, weights_store
from pcdms_bench.metrics.catalog import METRICS, usual_metrics
from pcdms_bench.metrics.frechet import frechet_distance_features
from pcdms_bench.metrics.kernel_distance import kernel_distance
from pcdms_bench.metrics.neighbours import manifold_scores
from pcdms_bench.metrics.networks import distance_network, feature_network, metric_problem
from pcdms_bench.protocols import PROTOCOLS, protocol_for
from pcdms_bench.scoring import chosen_metrics
from pcdms_bench.suggestions import split_names
from pcdms_data.images import resize
from pcdms_data.types import Keypoints
from pcdms_reports.metric_words import words_of

ON_REQUEST = [name for name, metric in METRICS.items() if metric.on_request]
OFFLINE = ("precision", "recall", "density", "coverage")


@pytest.fixture(autouse=True)
def nothing_of_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PCDMS_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(21, 48, 32, 3)), (0, 3, 3, 0))
    return np.clip(smooth * 600 + 128, 0, 255).astype(np.uint8)


def test_all_means_the_usual_metrics_and_a_name_adds_one():
    everything = split_names("metric", "all", METRICS, usual_metrics())
    assert set(ON_REQUEST).isdisjoint(everything)
    assert set(everything) | set(ON_REQUEST) == set(METRICS)
    standard = protocol_for("standard", "people", (96, 64))
    assert chosen_metrics(standard, everything) == standard.metrics
    more = split_names("metric", "all,kid", METRICS, usual_metrics())
    assert chosen_metrics(standard, more) == (*standard.metrics, "kid")
    assert chosen_metrics(standard, ["kid"]) == ("kid",)
    for protocol in PROTOCOLS.values():
        assert set(ON_REQUEST).isdisjoint(protocol.metrics)


def test_offline_set_metrics_have_the_values_of_their_definitions(pictures):
    made, true, train = pictures[:6], pictures[6:12], pictures[12:]
    names = [f"{name}_efficientnet_lite0" for name in (*OFFLINE, "kd")]
    frame = score_images(made, true, reference=train, metrics=names).set_index("metric")
    network = feature_network("fd_efficientnet_lite0")
    features, real = network.features(made), network.features(train)
    expected = manifold_scores(features, real)
    for name in OFFLINE:
        row = frame.loc[f"{name}_efficientnet_lite0"]
        assert row["value"] == pytest.approx(getattr(expected, name), abs=1e-9)
        assert row["status"] == "indicative"
        assert "6 against 9 pictures" in row["reason"]
        assert row["extractor"].startswith("efficientnet_lite0@")
        assert row["reference"] == "train:9"
    row = frame.loc["kd_efficientnet_lite0"]
    assert row["value"] == pytest.approx(kernel_distance(features, real).value, rel=1e-5)
    assert "subsets of 6 pictures instead of 1000" in row["reason"]


def test_what_the_user_must_supply_is_unavailable_with_the_next_step(pictures):
    names = [name for name in ON_REQUEST if metric_problem(name)]
    names = [name for name in names if not name.startswith("garment")]  # need sources as well
    assert {"kid", "precision", "fd_clip", "fd_dinov2", "lpips_vgg"} <= set(names)
    assert "precision_efficientnet_lite0" not in names
    pose = Keypoints(np.full((18, 2), 9, np.float32), np.ones(18, bool), pictures.shape[1:3])
    frame = score_images(
        pictures[:2], pictures[2:4], reference=pictures[4:], metrics=names,
        target_keypoints=[pose, pose],
    )  # fmt: skip
    assert list(frame["metric"]) == names
    assert set(frame["status"]) == {"unavailable"}
    assert frame["value"].isna().all()
    for reason in frame["reason"]:
        assert "PCDMS_WEIGHTS" in reason or "weights fetch" in reason


def test_lpips_of_another_backbone_says_what_the_protocol_feeds_it(pictures, monkeypatch, tmp_path):
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "random.pth")
    known = weights_store.KNOWN["lpips_squeeze"]
    prefix = weights_store.file_digest(tmp_path / "random.pth")[:8]
    monkeypatch.setitem(weights_store.KNOWN, "lpips_squeeze", replace(known, prefix=prefix))
    monkeypatch.setenv(known.variable, str(tmp_path / "random.pth"))
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    distance_network.cache_clear()
    wide = np.repeat(np.repeat(pictures[:4], 2, axis=1), 2, axis=2)
    frame = score_images(
        wide[:2], wide[2:], ["standard", "pcdms"], metrics=("lpips_squeeze",)
    ).set_index("protocol")  # fmt: skip
    distance_network.cache_clear()
    usual, published = (row for _, row in frame.iterrows())
    assert usual["reason"] == ""
    assert published["reason"] == "fed with [0, 1] as this protocol feeds LPIPS"
    assert usual["value"] != published["value"]


def test_any_network_in_a_file_gives_a_frechet_distance_under_its_name(
    pictures, monkeypatch, tmp_path
):
    class Colours(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(x, 112).flatten(1)

    path = tmp_path / "colours.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Colours(), torch.zeros(1, 3, 224, 224)).save(str(path))
    monkeypatch.setenv("PCDMS_WEIGHTS_EXTRACTOR", str(path))
    feature_network.cache_clear()
    rows = score_images(
        pictures[:4], pictures[:4], reference=pictures[4:], metrics=("fd_given",)
    )  # fmt: skip
    feature_network.cache_clear()
    row = rows.iloc[0]
    assert row["extractor"].startswith("colours@")
    stretched = [resize(p, (224, 224), "pil-bicubic-u8") for p in pictures]
    rows = np.stack(stretched).astype(np.float64) / 127.5 - 1
    means = rows.reshape(len(rows), 2, 112, 2, 112, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    means = means.reshape(len(rows), 12)
    expected = frechet_distance_features(means[:4], means[4:])
    assert row["value"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ON_REQUEST)
def test_reports_know_each_of_them_and_which_way_is_better(name):
    words = words_of(name)
    assert words.meaning != "No description is recorded."
    sides = {"higher": "up", "lower": "down", "one": "one"}
    assert words.direction == sides[METRICS[name].better]
