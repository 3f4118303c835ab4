"""VGG-19 as a judge of pictures: the activations that the published losses compare.

Sources: PangzeCheung/Dual-task-Pose-Transformer-Network:models/external_function.py (which feeds it
pictures in [-1, 1] without the normalisation of ImageNet); arXiv 1409.1556 for the network.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from pcdms_baselines.checkpoint_file import read_state
from pcdms_baselines.published import report
from pcdms_data.types import InputError

CONTENT = ("1_1", "2_1", "3_1", "4_1", "5_1")
STYLE = ("2_2", "3_4", "4_4", "5_2")

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of each stage; a halving comes between two."""


class Vgg19(nn.Module):
    """Convolutions of VGG-19 up to the last layer asked for; the names are torchvision's."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.places: dict[int, str] = {}
        channels = 3
        for stage, (width, convolutions) in enumerate(_STAGES, start=1):
            for number in range(1, convolutions + 1):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
                if f"{stage}_{number}" in CONTENT + STYLE:
                    self.places[len(layers) - 1] = f"{stage}_{number}"
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return {"1_1": activations, ...} of pictures (B, 3, H, W)."""
        found: dict[str, Tensor] = {}
        for place, layer in enumerate(self.features):
            pictures = layer(pictures)
            if place in self.places:
                found[self.places[place]] = pictures
            if len(found) == len(self.places):
                break
        return found


def load_vgg19(path: Path) -> Vgg19:
    """Return VGG-19 with torchvision's weights (`vgg19-dcbb9e9d.pth`), frozen, in eval mode.

    Raises InputError where weights are missing or misshapen; those of the classifier are ignored.
    """
    with torch.device("meta"):
        network = Vgg19()
    stored = {key: value for key, value in read_state(path).items() if key.startswith("features.")}
    problems = report(network.state_dict(), stored)
    if problems:
        raise InputError(f"{path} is no VGG-19 of torchvision: {problems}")
    network.load_state_dict(stored, strict=True, assign=True)
    return network.eval().requires_grad_(False)
