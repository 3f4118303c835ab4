"""LPIPS on its three published backbones: AlexNet, VGG16 and SqueezeNet 1.1 of torchvision.

The heads come with the lpips package (version 0.1); they belong to the channels of torchvision's
trainings and mean nothing on another training of the same architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_bench.metrics import squeezenet
from pcdms_bench.metrics.perceptual import (
    PerceptualAlexNet,
    PerceptualNetwork,
    expect_keys,
    fill,
)
from pcdms_bench.suggestions import check_choice
from pcdms_data.types import InputError

Net = Literal["alex", "vgg", "squeeze"]
VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of VGG16's 3x3 convolutions between its poolings; each stage is a map."""
ALEX_LAYERS = (0, 3, 6, 8, 10)
VGG_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
SQUEEZE_LAYERS = (3, 4, 6, 7, 9, 10, 11, 12)
"""Numbers of the convolutions (of SqueezeNet: the fires) among torchvision's `features`."""


class PerceptualVGG16(PerceptualNetwork):
    """The 13 convolutions of VGG16 (Simonyan and Zisserman 2015); maps before each pooling."""

    def __init__(self) -> None:
        super().__init__([channels for channels, _ in VGG_STAGES])
        inputs, layers = 3, []
        for channels, count in VGG_STAGES:
            for _ in range(count):
                layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
                inputs = channels
        self.convolutions = nn.ModuleList(layers)

    def maps(self, h: Tensor) -> list[Tensor]:
        """Return the maps of relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3."""
        found: list[Tensor] = []
        layers = iter(self.convolutions)
        for _, count in VGG_STAGES:
            if found:
                h = F.max_pool2d(h, 2, 2)
            for _ in range(count):
                h = F.relu(next(layers)(h))
            found.append(h)
        return found


class PerceptualSqueezeNet(PerceptualNetwork):
    """SqueezeNet 1.1 and its seven maps."""

    def __init__(self) -> None:
        super().__init__(squeezenet.CHANNELS)
        self.trunk = squeezenet.SqueezeNet()

    def maps(self, h: Tensor) -> list[Tensor]:
        """Return the maps of conv1, fire3, fire5, fire6, fire7, fire8 and fire9."""
        found: list[Tensor] = self.trunk(h)
        return found


@dataclass(frozen=True)
class Backbone:
    """How a backbone is called in rows and in the store of weights, and where its heads lie."""

    label: str
    weights: str
    heads: str


BACKBONES: dict[str, Backbone] = {
    "alex": Backbone("alexnet", "lpips", "weights/v0.1/alex.pth"),
    "vgg": Backbone("vgg16", "lpips_vgg", "weights/v0.1/vgg.pth"),
    "squeeze": Backbone("squeezenet1_1", "lpips_squeeze", "weights/v0.1/squeeze.pth"),
}
"""The lpips package's name of a backbone -> its entry."""


def load_lpips(backbone: Path, heads: Path, net: str = "alex") -> PerceptualNetwork:
    """Return LPIPS 0.1 on the backbone `net`, one of `BACKBONES`.

    `backbone` is torchvision's state dict of that network (its classifier is not used), `heads` the
    file `weights/v0.1/<net>.pth` of the lpips package. Raises InputError on another file, other
    keys or shapes.
    """
    check_choice("LPIPS backbone", net, BACKBONES)
    network: PerceptualNetwork
    if net == "squeeze":
        network = PerceptualSqueezeNet()
    else:
        network = PerceptualVGG16() if net == "vgg" else PerceptualAlexNet(shift_tolerant=False)
    source = _state(backbone)
    source = {key: value for key, value in source.items() if not key.startswith("classifier.")}
    names = _torchvision_names(net)
    expect_keys(source, set(names.values()), backbone)
    weights = _state(heads)
    expect_keys(weights, {f"lin{i}.model.1.weight" for i in range(len(network.heads))}, heads)
    state = {"shift": network.shift, "scale": network.scale}
    state |= {own: source[theirs] for own, theirs in names.items()}
    for i in range(len(network.heads)):
        state[f"heads.{i}"] = weights[f"lin{i}.model.1.weight"].flatten()
    return fill(network, state, f"{backbone} with {heads}")


def _state(path: Path) -> dict[str, Tensor]:
    """Return a plain state dict."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a plain state dict: {type(error).__name__}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds a {type(found).__name__}, expected a state dict")
    return found


def _torchvision_names(net: str) -> dict[str, str]:
    """Return {own key: torchvision's key} of every backbone parameter."""
    if net == "squeeze":
        fires = [f"features.{i}" for i in SQUEEZE_LAYERS]
        return squeezenet.names("features.0", fires, "squeeze", prefix="trunk.")
    layers = ALEX_LAYERS if net == "alex" else VGG_LAYERS
    return {
        f"convolutions.{i}.{part}": f"features.{layer}.{part}"
        for i, layer in enumerate(layers)
        for part in ("weight", "bias")
    }
