"""Inception score: equal to torch-fidelity's, from the features that FID uses anyway."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as library
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from pcdms_bench import score_images, weights_store
from pcdms_bench.metrics.inception import load_inception
from pcdms_bench.metrics.inception_score import inception_logits, inception_score
from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.metrics.networks import feature_network
from pcdms_data.types import InputError, Keypoints


def random_logits(count, classes=30):
    return np.random.default_rng(0).normal(0, 2, (count, classes)).astype(np.float32)


@pytest.mark.parametrize("count", [10, 57, 200])
def test_equals_torch_fidelity_in_file_order(count):
    logits = random_logits(count)
    expected = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    found = inception_score(logits)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert found.deviation == pytest.approx(expected["inception_score_std"], rel=1e-9, abs=1e-12)


def test_is_one_for_equal_pictures_and_the_number_of_classes_at_best():
    assert inception_score(np.tile(random_logits(1), (20, 1))).value == pytest.approx(1)
    confident = np.tile(1000 * np.eye(5), (10, 1))
    assert inception_score(confident).value == pytest.approx(5)


def test_the_order_of_the_files_matters_to_the_splits():
    logits = np.repeat(8 * np.eye(10), 4, axis=0)  # each split sees one class alone
    assert inception_score(logits).value == pytest.approx(1)
    shuffled = logits[np.random.default_rng(0).permutation(len(logits))]
    assert inception_score(shuffled).value > 2


def test_too_few_pictures_and_odd_values_are_refused():
    with pytest.raises(InputError, match="9 pictures in 10 splits"):
        inception_score(random_logits(9))
    with pytest.raises(InputError, match="finite"):
        inception_score(np.full((20, 3), np.nan))


class WithoutFile(library.FeatureExtractorInceptionV3):
    """The library's network with the random weights of its construction."""

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return None


@pytest.fixture(scope="module")
def random_file(tmp_path_factory):
    """A weights file in the library's layout with random weights."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    blank = WithoutFile("random", ["2048"], feature_extractor_weights_path=folder / "empty.pth")
    torch.save(blank.state_dict(), folder / "random.pth")
    return folder / "random.pth"


def library_features(path, layer, pictures):
    """The library's own output for uint8 (N, H, W, 3)."""
    network = library.FeatureExtractorInceptionV3(
        "reference", [layer], feature_extractor_weights_path=path
    )
    with torch.inference_mode():
        return network(torch.from_numpy(pictures).permute(0, 3, 1, 2))[0]


def test_scores_follow_from_the_features_of_fid(random_file, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 24, 3), dtype=np.uint8)
    expected = library_features(random_file, "logits_unbiased", pictures)
    with torch.inference_mode():
        planes = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        features = load_inception(random_file)(planes)[0].numpy()
    found = inception_logits(features, random_file)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, atol=1e-6)
    torch.save({"fc.bias": torch.zeros(1008)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"holds no fc\.weight"):
        inception_logits(features, tmp_path / "other.pth")


@pytest.fixture
def as_known_weights(random_file, tmp_path, monkeypatch):
    """The random file in the place of the published one."""
    digest = weights_store.file_digest(random_file)
    entry = replace(weights_store.KNOWN["fid"], prefix=digest[:8])
    monkeypatch.setitem(weights_store.KNOWN, "fid", entry)
    monkeypatch.setenv("PCDMS_WEIGHTS_FID", str(random_file))
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    feature_network.cache_clear()
    yield random_file
    feature_network.cache_clear()


def test_protocols_score_what_they_say_with_the_value_of_the_library(as_known_weights):
    rng = np.random.default_rng(1)
    size = (48, 32)
    made, true = rng.integers(0, 256, (2, 10, *size, 3), np.uint8)
    train = made[::-1].copy()  # known inputs, which pass no network again
    poses = [
        Keypoints(rng.uniform(4, 28, (18, 2)).astype(np.float32), np.ones(18, bool), size)
        for _ in made
    ]
    frame = score_images(
        made, true, ("patn", "market-masked", "standard"), train, target_keypoints=poses,
        metrics=["is", "masked_is", "kid"],
    ).set_index("metric")  # fmt: skip
    padded = np.pad(made, ((0, 0), (0, 0), (7, 7), (0, 0)), constant_values=255)
    masks = np.stack([keypoint_mask(pose.xy, pose.visible, size) for pose in poses])
    for name, seen in (("is", padded), ("masked_is", made * masks[:, :, :, None])):
        logits = library_features(as_known_weights, "logits_unbiased", seen)
        expected = isc_features_to_metric(logits, splits=10, shuffle=False)["inception_score_mean"]
        assert frame.loc[name, "value"] == pytest.approx(expected, rel=1e-6), name
        assert frame.loc[name, "status"] == "indicative"
        assert "10 pictures in 10 splits" in frame.loc[name, "reason"]
    features = library_features(as_known_weights, "2048", made)
    kid = kid_features_to_metric(features, features.flip(0), kid_subset_size=10, verbose=False)
    found = frame.loc[frame.index == "kid", "value"]
    assert list(found) == pytest.approx([kid["kernel_inception_distance_mean"]] * 3, rel=1e-3)
