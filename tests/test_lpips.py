"""LPIPS: equal to the lpips package on the same backbone, with the package's own heads."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdms_bench.metrics.lpips_backbones import load_lpips
from pcdms_bench.metrics.networks import distance_network, lpips_heads_path
from pcdms_bench.metrics.perceptual import PerceptualAlexNet
from pcdms_data.images import load_picture, resize
from pcdms_data.types import InputError, Picture

GOLDEN = Path(os.environ.get("PCDMS_GOLDEN", "../shared/golden")) / "metrics"
LAYERS = (0, 3, 6, 8, 10)
HEADS = {
    "alex": [2.3495, 16.1430, 39.2684, 27.1972, 20.3172],
    "vgg": [6.9260, 8.8583, 17.5150, 51.5213, 47.0349],
    "squeeze": [5.6901, 1.1853, 16.3266, 71.0126, 37.3707, 24.2629, 17.5906],
}


@pytest.fixture(scope="module", params=HEADS)
def net(request):
    return request.param


@pytest.fixture(scope="module")
def package(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's old argument names inside the package
        import lpips

        torch.manual_seed(0)
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


@pytest.fixture(scope="module")
def network(net, package, tmp_path_factory):
    """Ours, from a file of the package's random backbone in torchvision's names."""
    state = {}
    for key, value in package.net.state_dict().items():
        _, number, rest = key.split(".", 2)
        state[f"features.{number}.{rest}"] = value.clone()
    state["classifier.1.weight"] = torch.zeros(2, 2)  # torchvision's files have one
    path = tmp_path_factory.mktemp("lpips") / f"{net}.pth"
    torch.save(state, path)
    return load_lpips(path, lpips_heads_path(net), net)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.uniform(-1, 1, (2, 3, 70, 50))).float() for _ in range(2)]


def test_equals_the_package_on_the_same_backbone(package, network, pictures):
    with torch.inference_mode():
        torch.testing.assert_close(
            network(*pictures), package(*pictures).flatten(), atol=1e-6, rtol=1e-5
        )


def test_is_zero_for_equal_positive_for_different_and_symmetric(network, pictures):
    a, b = pictures
    assert torch.equal(network(a, a), torch.zeros(2))
    assert (network(a, b) > 0).all()
    torch.testing.assert_close(network(b, a), network(a, b))


def test_the_heads_are_version_0_1_of_the_package(net, network):
    sums = [float(head.sum()) for head in network.heads]
    assert sums == pytest.approx(HEADS[net], abs=1e-3)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="parity data absent (PCDMS_GOLDEN)")
def test_equals_stored_values_of_the_published_script_on_real_files(tmp_path):
    with np.load(GOLDEN / "lpips_alex_random_backbone.npz", allow_pickle=False) as stored:
        backbone = golden_backbone(stored)
    torch.save(backbone, tmp_path / "alexnet.pth")
    network = load_lpips(tmp_path / "alexnet.pth", lpips_heads_path())
    files = {f.name[:3]: f for f in sorted((GOLDEN / "generated").iterdir())}
    expected = {
        "p00": 0.010783292353153229,
        "p06": 0.007958085276186466,
        "p09": 0.011573770083487034,
    }
    for name, value in expected.items():
        pair = [files[name], GOLDEN / "target" / f"{name}_b.png"]
        planes = [
            torch.from_numpy(
                resize(load_picture(Picture(f.name, f)), (256, 176), "cv2-cubic-f32") / 127.5 - 1
            ).permute(2, 0, 1)[None]
            for f in pair
        ]
        assert float(network(*planes)) == pytest.approx(value, rel=1e-4)


def golden_backbone(stored):
    """Weights are int8 levels times a scale in these files."""
    state = {}
    for layer in LAYERS:
        keys = [key for key in stored.files if key.startswith(f"features.{layer}.")]
        levels = next(key for key in keys if stored[key].dtype == np.int8)
        scale = next(key for key in keys if "scale" in key)
        bias = next(key for key in keys if "bias" in key)
        weight = stored[levels].astype(np.float32) * stored[scale]
        state[f"features.{layer}.weight"] = torch.from_numpy(weight)
        state[f"features.{layer}.bias"] = torch.from_numpy(stored[bias].astype(np.float32))
    return state


def test_a_backbone_of_another_shape_is_refused(tmp_path):
    state = {}
    for layer in LAYERS:
        state[f"features.{layer}.weight"] = torch.zeros(1, 1, 1, 1)
        state[f"features.{layer}.bias"] = torch.zeros(1)
    torch.save(state, tmp_path / "alexnet.pth")
    with pytest.raises(InputError, match="size mismatch"):
        load_lpips(tmp_path / "alexnet.pth", lpips_heads_path())


def test_a_backbone_of_another_network_is_refused(tmp_path):
    torch.save(dict.fromkeys(("features.0.weight", "features.2.weight"), 0), tmp_path / "vgg.pth")
    with pytest.raises(InputError, match=r"missing features\.0\.bias"):
        load_lpips(tmp_path / "vgg.pth", lpips_heads_path("squeeze"), "squeeze")
    with pytest.raises(InputError, match="LPIPS backbone"):
        load_lpips(tmp_path / "vgg.pth", lpips_heads_path("vgg"), "resnet")


@pytest.mark.parametrize(
    ("metric", "prefix"),
    [("lpips", "7be5be79"), ("lpips_vgg", "397923af"), ("lpips_squeeze", "b8a52dc0")],
)
def test_lpips_accepts_no_other_backbone(tmp_path, monkeypatch, metric, prefix):
    torch.save({}, tmp_path / "other.pth")
    monkeypatch.setenv(f"PCDMS_WEIGHTS_{metric.upper()}", str(tmp_path / "other.pth"))
    with pytest.raises(InputError, match=f"expected {prefix}"):
        distance_network(metric)


def test_the_two_networks_differ_in_structure():
    assert not hasattr(PerceptualAlexNet(shift_tolerant=False), "blurs")
    assert len(PerceptualAlexNet(shift_tolerant=True).blurs) == 3
