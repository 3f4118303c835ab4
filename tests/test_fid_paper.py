"""The network of `fid_paper`: torchvision's, with the published input formula, checked weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import inception_v3

from pcdms_bench.metrics.inception import ImagenetInception, load_imagenet_inception
from pcdms_bench.metrics.networks import feature_network
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole():
    """torchvision's network with random weights and batch statistics that are no identity."""
    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False, transform_input=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def weights(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "imagenet.pth"
    torch.save(whole.state_dict(), path)
    return path


def published_features(whole, pictures):
    """Features as six scripts compute them, written from the protocol's words."""
    x = torch.nn.functional.interpolate(
        pictures, size=(299, 299), mode="bilinear", align_corners=False
    )
    planes = [
        x[:, c] * (s / 0.5) + (m - 0.5) / 0.5
        for c, (m, s) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)])
    ]
    pooled = []
    handle = whole.avgpool.register_forward_hook(lambda m, i, out: pooled.append(out.flatten(1)))
    with torch.inference_mode():
        whole(torch.stack(planes, 1))
    handle.remove()
    return pooled[0]


def test_features_equal_torchvisions_pooled_ones(whole, weights):
    pictures = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1
    network = load_imagenet_inception(weights)
    with torch.inference_mode():
        found = network(pictures)
    expected = published_features(whole, pictures)
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_black_and_white_enter_as_published():
    network = ImagenetInception()
    for value, expected in ((0.0, (-0.03, -0.088, -0.188)), (1.0, (0.428, 0.36, 0.262))):
        seen = network.network_input(torch.full((1, 3, 8, 8), value))
        assert seen.shape == (1, 3, 299, 299)
        assert seen[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
        assert float(seen.std(dim=(2, 3)).max()) < 1e-6


def test_uint8_and_float_pictures_of_equal_values_give_equal_features(
    weights, monkeypatch, tmp_path
):
    from pcdms_bench.metrics import networks
    from pcdms_bench.weights_store import WeightsFile

    monkeypatch.setattr(networks, "find_weights", lambda name: WeightsFile(weights, "0" * 64))
    network = networks._open_imagenet_inception("cpu")
    pictures = np.random.default_rng(0).integers(0, 256, (1, 40, 30, 3), dtype=np.uint8)
    found = network.features(pictures)
    np.testing.assert_array_equal(found, network.features(pictures.astype(np.float32)))
    assert (network.width, network.label) == (2048, "inception-imagenet@00000000")


@pytest.mark.parametrize("change", ["shape", "missing", "surplus", "list", "code"])
def test_other_files_are_refused_in_one_line(weights, change, tmp_path):
    state = torch.load(weights, weights_only=True)
    if change == "shape":
        state["fc.weight"] = torch.zeros(10, 2048)
    elif change == "missing":
        del state["Mixed_7c.branch_pool.conv.weight"]
    elif change == "surplus":
        state["head.weight"] = torch.zeros(1)
    torch.save({"list": [1, 2], "code": {"x": print}}.get(change, state), tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth") as caught:
        load_imagenet_inception(tmp_path / "other.pth")
    assert "\n" not in str(caught.value)


def test_only_torchvisions_own_file_is_accepted(weights, monkeypatch):
    monkeypatch.setenv("PCDMS_WEIGHTS_FID_PAPER", str(weights))
    with pytest.raises(InputError, match="expected 0cc3c7bd"):
        feature_network("fid_paper")
