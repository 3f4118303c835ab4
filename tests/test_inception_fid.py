"""The FID network: torch-fidelity's own, fed only with checked weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch_fidelity import feature_extractor_inceptionv3 as library
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from pcdms_bench import score_images, weights_store
from pcdms_bench.metrics.inception import load_inception
from pcdms_bench.metrics.networks import feature_network
from pcdms_data.types import InputError


class WithoutFile(library.FeatureExtractorInceptionV3):
    """The library's network with the random weights of its construction."""

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return None


@pytest.fixture(scope="module")
def random_file(tmp_path_factory):
    """A weights file in the library's layout, random, small enough numbers to stay finite."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    network = WithoutFile("random", ["2048"], feature_extractor_weights_path=folder / "empty.pth")
    torch.save(network.state_dict(), folder / "random.pth")
    return folder / "random.pth"


def test_features_equal_the_library_reading_the_same_file(random_file):
    pictures = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, 3, 96, 64), dtype=np.uint8)
    )
    reference = library.FeatureExtractorInceptionV3(
        "reference", ["2048"], feature_extractor_weights_path=random_file
    )
    own = load_inception(random_file)
    with torch.inference_mode():
        found, expected = own(pictures)[0], reference(pictures)[0]
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.slow
def test_the_distance_equals_the_librarys_for_the_same_pictures(random_file, monkeypatch, tmp_path):
    entry = weights_store.KNOWN["fid"]
    prefix = weights_store.file_digest(random_file)[:8]
    monkeypatch.setitem(weights_store.KNOWN, "fid", replace(entry, prefix=prefix))
    monkeypatch.setenv(entry.variable, str(random_file))
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    feature_network.cache_clear()
    rng = np.random.default_rng(0)
    made, true = (
        np.clip(gaussian_filter(rng.normal(m, 60, (n, 64, 44, 3)), (0, s, s, 0)), 0, 255)
        for m, n, s in ((110, 9, 1), (140, 12, 0.7))
    )
    made, true = made.astype(np.uint8), true.astype(np.uint8)
    row = score_images(made, made, reference=true, metrics=("fid",)).iloc[0]
    feature_network.cache_clear()
    reference = library.FeatureExtractorInceptionV3(
        "reference", ["2048"], feature_extractor_weights_path=random_file
    )
    with torch.inference_mode():
        sets = [
            fid_features_to_statistics(
                reference(torch.from_numpy(side).permute(0, 3, 1, 2))[0].double()
            )
            for side in (made, true)
        ]
    expected = fid_statistics_to_metric(*sets, verbose=False)["frechet_inception_distance"]
    assert row["value"] == pytest.approx(expected, rel=1e-4)
    assert row["extractor"] == f"inception-2015-12-05@{prefix}"
    assert row["status"] == "indicative"


def test_a_file_with_a_wrong_shape_or_key_is_refused(random_file, tmp_path):
    state = torch.load(random_file, weights_only=True)
    state["fc.weight"] = torch.zeros(10, 2048)
    torch.save(state, tmp_path / "shape.pth")
    with pytest.raises(InputError, match=r"fc\.weight"):
        load_inception(tmp_path / "shape.pth")
    del state["fc.weight"]
    torch.save(state, tmp_path / "key.pth")
    with pytest.raises(InputError, match=r"fc\.weight"):
        load_inception(tmp_path / "key.pth")


def test_a_file_with_code_in_it_is_refused(tmp_path):
    torch.save({"x": print}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="plain state dict"):
        load_inception(tmp_path / "code.pth")


def test_fid_accepts_no_other_network(random_file, monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS_FID", str(random_file))
    with pytest.raises(InputError, match="expected 6726825d"):
        feature_network("fid")
