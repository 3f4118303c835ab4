"""The discriminator of DPTN: residual down blocks with spectral norm, one score per patch.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/networks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pcdms_baselines.dptn.blocks import activation

PUBLISHED_WIDTHS = (32, 64, 128, 128)


def _conv(channels_in: int, channels: int, kernel: int, stride: int, padding: int) -> nn.Module:
    # Always with numbers: the first power iterations are slow to trace without (on "meta").
    with torch.device("cpu"):
        return spectral_norm(nn.Conv2d(channels_in, channels, kernel, stride, padding))


class DiscriminatorBlock(nn.Module):
    """Residual block to half the size; the first one begins with its convolution."""

    def __init__(self, channels_in: int, channels: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(() if first else (activation(),)), _conv(channels_in, hidden, 3, 1, 1),
            activation(), _conv(hidden, channels, 4, 2, 1),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), _conv(channels_in, channels, 1, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features at half the size."""
        features: Tensor = self.model(x) + self.shortcut(x)
        return features


class DptnDiscriminator(nn.Module):
    """Picture (B, 3, H, W) in [-1, 1] -> one score for each patch, (B, 1, h, w).

    `widths` are the channels after each halving. The defaults are the published network for
    fashion; that for Market has three layers.
    """

    def __init__(self, widths: Sequence[int] = PUBLISHED_WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.block0 = DiscriminatorBlock(3, widths[0], widths[0], first=True)
        self._stages = ["block0"]
        for index, (before, after) in enumerate(pairwise(widths)):
            self._stages.append(f"encoder{index}")
            self.add_module(f"encoder{index}", DiscriminatorBlock(before, after, before, False))
        self.nonlinearity = activation()
        self.conv = _conv(widths[-1], 1, 1, 1, 0)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the scores; real pictures are trained towards 1, made ones towards 0."""
        for name in self._stages:
            picture = self.get_submodule(name)(picture)
        scores: Tensor = self.conv(self.nonlinearity(picture))
        return scores
