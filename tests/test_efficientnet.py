"""EfficientNet-Lite0 from the installed package: it classifies, and bad files are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import nn
from torch.nn import functional as F

from pcdms_bench.metrics.efficientnet_files import weights_path
from pcdms_bench.metrics.efficientnet_lite0 import (
    STAGES,
    WIDTH,
    load_efficientnet_lite0,
)
from pcdms_bench.metrics.networks import feature_network
from pcdms_data.types import InputError


@pytest.fixture(scope="module")
def network():
    return load_efficientnet_lite0(weights_path())


def square(picture):
    picture = np.stack([picture] * 3, -1) if picture.ndim == 2 else picture
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side]


def planes(picture):
    resized = Image.fromarray(square(picture)).resize((224, 224), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() - 128) / 128


@pytest.mark.parametrize(
    ("name", "label", "least"),
    [("chelsea", 285, 0.3), ("coffee", 967, 0.93), ("camera", 872, 0.94)],
)
def test_known_pictures_get_their_imagenet_class(network, name, label, least):
    probabilities = network(planes(getattr(data, name)())).softmax(1)[0]
    assert int(probabilities.argmax()) == label
    assert float(probabilities.max()) > least


def plain_features(state, x):
    """The same network written plainly: padded copies and batch norms that are not folded."""

    def convolve(x, key, norm, stride=1, groups=1):
        kernel = state[key].shape[-1]
        total = max(kernel - stride, 0) if stride > 1 else kernel - 1
        x = F.pad(x, [total // 2, total - total // 2] * 2)
        x = F.conv2d(x, state[key], stride=stride, groups=groups)
        stats = [
            state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        ]
        return F.batch_norm(x, *stats, eps=1e-3)

    x = F.relu6(convolve(x, "_conv_stem.weight", "_bn0", 2))
    number = 0
    for _, stride, expand, _, repeats in STAGES:
        for repeat in range(repeats):
            name, h = f"_blocks.{number}", x
            if expand > 1:
                h = F.relu6(convolve(h, f"{name}._expand_conv.weight", f"{name}._bn0"))
            step = stride if repeat == 0 else 1
            key = f"{name}._depthwise_conv.weight"
            h = F.relu6(convolve(h, key, f"{name}._bn1", step, h.shape[1]))
            h = convolve(h, f"{name}._project_conv.weight", f"{name}._bn2")
            x = x + h if step == 1 and x.shape == h.shape else h
            number += 1
    return F.relu6(convolve(x, "_conv_head.weight", "_bn1")).mean((2, 3))


def test_folding_and_widened_kernels_leave_the_features_unchanged(network):
    state = torch.load(weights_path(), weights_only=True)
    x = planes(data.coffee())
    expected = plain_features(state, x)
    found = network.features(x)
    assert found.shape == (1, WIDTH)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_the_opened_network_stretches_whole_uint8_pictures():
    opened = feature_network("fd_efficientnet_lite0")
    assert opened.label == "efficientnet_lite0@57934424"
    pictures = data.astronaut()[None, :96, 100:164]
    found = opened.features(np.concatenate([pictures, pictures[:, ::-1]]))
    assert found.shape == (2, 1280)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    stretched = Image.fromarray(pictures[0]).resize((224, 224), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(
        opened.features(np.array(stretched)[None])[0], found[0], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("change", ["missing", "surplus", "shape"])
def test_a_file_that_does_not_fit_is_refused(tmp_path, change):
    state = torch.load(weights_path(), weights_only=True)
    if change == "missing":
        del state["_blocks.3._bn1.bias"]
    elif change == "surplus":
        state["extra"] = torch.zeros(1)
    else:
        state["_fc.weight"] = torch.zeros(10, 1280)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError):
        load_efficientnet_lite0(tmp_path / "w.pth")


def test_no_gradient_is_kept(network):
    assert isinstance(network, nn.Module)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
