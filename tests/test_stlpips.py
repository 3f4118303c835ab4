"""ST-LPIPS: measured values of the published weights on a known crop, and what a distance is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.ndimage import gaussian_filter
from skimage import data

from pcdms_bench.metrics.networks import STLPIPS_FILE, distance_network
from pcdms_bench.metrics.perceptual import load_st_lpips
from pcdms_data.types import InputError

WEIGHTS = Path(os.environ.get("PCDMS_WEIGHTS", "../shared/weights"))


@pytest.fixture(scope="module")
def network():
    return load_st_lpips(STLPIPS_FILE)


@pytest.fixture(scope="module")
def astronaut():
    return planes(data.astronaut()[0:256, 128:384])


def planes(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1


def blurred(picture, sigma):
    return torch.from_numpy(gaussian_filter(picture.numpy(), (0, 0, sigma, sigma)))


def test_measured_values_of_blur_shift_and_another_picture(network, astronaut):
    found = [float(network(astronaut, blurred(astronaut, s))) for s in (0.5, 1, 2, 4)]
    assert found == pytest.approx([0.0174, 0.1523, 0.4307, 0.6105], abs=1e-3)
    assert float(network(astronaut, torch.roll(astronaut, 1, 3))) == pytest.approx(0.0040, abs=1e-4)
    chelsea = planes(data.chelsea()[:256, :256])
    assert float(network(astronaut, chelsea)) == pytest.approx(0.7464, abs=1e-3)


def test_grows_with_noise(network, astronaut):
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=astronaut.shape)).float()
    found = [float(network(astronaut, astronaut + s * noise)) for s in (0, 0.05, 0.1, 0.2, 0.4)]
    assert found[0] == 0
    assert found == sorted(set(found))


def test_is_symmetric_and_works_in_batches_of_small_pictures(network, astronaut):
    a, b = astronaut[:, :, :96, :64], astronaut[:, :, 100:196, 50:114]
    one = network(a, b)
    torch.testing.assert_close(network(b, a), one)
    both = network(torch.cat([a, a]), torch.cat([b, a]))
    torch.testing.assert_close(both, torch.stack([one[0], torch.tensor(0.0)]), atol=1e-6, rtol=0)


def test_the_opened_network_takes_uint8_and_names_itself(network, astronaut):
    opened = distance_network("st_lpips")
    crops = data.astronaut()[None, 0:96, 128:192], data.astronaut()[None, 200:296, 128:192]
    value = opened.compare(opened.features(crops[0]), opened.features(crops[1]))
    assert value[0] == pytest.approx(float(network(*(planes(c[0]) for c in crops))), abs=1e-6)
    assert opened.label == "stlpips_alex@e60762d1"
    with pytest.raises(InputError, match="uint8"):
        opened.features(crops[0].astype(np.float64))


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="source weights absent (PCDMS_WEIGHTS)")
def test_the_shipped_file_is_the_published_one_in_fewer_bytes():
    published = torch.load(
        WEIGHTS / "stlpips_alex_shift_tolerant.pth", map_location="cpu", weights_only=True
    )
    with safe_open(STLPIPS_FILE, framework="pt") as shipped:
        for key in shipped.keys():  # noqa: SIM118 - not a dict
            own = shipped.get_tensor(key)
            expected = published[key] if own.dtype == torch.float32 else published[key].half()
            assert torch.equal(own, expected), key
        left = set(published) - set(shipped.keys())
    network = load_st_lpips(STLPIPS_FILE)
    for key in left:  # constants of the code
        own = {
            "scaling_layer.shift": network.shift[None],
            "scaling_layer.scale": network.scale[None],
        }.get(key)
        if own is None:
            own = next(b.filter for b in network.blurs if len(b.filter) == len(published[key]))
        torch.testing.assert_close(own, published[key], atol=0, rtol=0)


def test_a_file_with_other_keys_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="missing"):
        load_st_lpips(tmp_path / "x.safetensors")
