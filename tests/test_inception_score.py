"""Inception score: equal to torch-fidelity's, from the features that FID uses anyway."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as library
from torch_fidelity.metric_isc import isc_features_to_metric

from pcdms_bench.metrics.inception import load_inception
from pcdms_bench.metrics.inception_score import inception_logits, inception_score
from pcdms_data.types import InputError


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


def test_scores_follow_from_the_features_of_fid(tmp_path):
    torch.save({}, tmp_path / "empty.pth")
    torch.manual_seed(0)
    blank = WithoutFile("random", ["2048"], feature_extractor_weights_path=tmp_path / "empty.pth")
    path = tmp_path / "random.pth"
    torch.save(blank.state_dict(), path)
    reference = library.FeatureExtractorInceptionV3(
        "reference", ["logits_unbiased"], feature_extractor_weights_path=path
    )
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.integers(0, 256, (10, 3, 32, 24), dtype=np.uint8))
    with torch.inference_mode():
        expected = reference(pictures)[0]
        features = load_inception(path)(pictures)[0].numpy()
    found = inception_logits(features, path)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6, atol=1e-6)
    library_score = isc_features_to_metric(expected, splits=10, shuffle=False)
    assert inception_score(found).value == pytest.approx(library_score["inception_score_mean"])
    del blank.fc.weight
    torch.save(blank.state_dict(), path)
    with pytest.raises(InputError, match=r"holds no fc\.weight"):
        inception_logits(features, path)
