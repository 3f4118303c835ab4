"""Sizes of DPTN to train: `tiny` for the embedded people, and the published ones.

Source of `paper` and of the first weights: PangzeCheung/Dual-task-Pose-Transformer-Network.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pcdms_baselines.dptn.discriminator import PUBLISHED_WIDTHS as DISCRIMINATOR_WIDTHS
from pcdms_baselines.dptn.discriminator import DptnDiscriminator
from pcdms_baselines.dptn.losses import FASHION, DptnTraining, Weights
from pcdms_baselines.dptn.network import PUBLISHED_WIDTHS, DptnGenerator


@dataclass(frozen=True)
class Preset:
    """Channels of both networks, and the loss; without a discriminator there is no adversary.

    `gain` scales the orthogonal weights that convolutions start with.
    """

    widths: tuple[int, ...]
    discriminator: tuple[int, ...] | None
    weights: Weights
    perceptual: bool
    gain: float = 0.02


PRESETS = {
    "tiny": Preset((32, 64, 128), None, Weights(content=0, style=0, adversary=0), False, gain=1.0),
    "paper": Preset(PUBLISHED_WIDTHS, DISCRIMINATOR_WIDTHS, FASHION, True),
}
"""`tiny` (a choice of this project) learns from pixels alone: nothing pretrained comes with it. Its
loss after 300 steps, with half the channels, is 1.03 from a gain of 1 and 1.14 from the published
0.02."""


def new_networks(preset: Preset) -> DptnTraining:
    """Return untrained networks with the published start: orthogonal, and Xavier for attention."""
    generator = DptnGenerator(preset.widths)
    judge = DptnDiscriminator(preset.discriminator) if preset.discriminator else None
    for part in (generator, judge):
        for module in part.modules() if part is not None else ():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _start(module, preset.gain)
    for name, parameter in generator.PTM.named_parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return DptnTraining(generator, judge)


def _start(convolution: nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
    """Set a convolution's weights; through a spectral norm only the scale-free directions count."""
    stored = dict(convolution.named_parameters())
    weight = stored.get("weight", stored.get("parametrizations.weight.original"))
    assert weight is not None
    nn.init.orthogonal_(weight, gain)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
