"""The two operations of NTED: taking textures out of the source, and putting them on the target.

Source: RenYurui/Neural-Texture-Extraction-Distribution:generators/base_module.py; arXiv 2204.06160.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from pcdms_baselines.nted.layers import ScaledConv

TINY = 2.2e-16


class Extraction(nn.Module):
    """Features (B, C, h, w) -> textures (B, C, K): one vector per learned kind of cloth or skin."""

    def __init__(self, channels: int, labels: int, kernel: int) -> None:
        super().__init__()
        side = kernel // 2
        self.value_conv = ScaledConv(channels, channels, kernel, padding=side)
        self.semantic_extraction_filter = ScaledConv(
            channels, labels, kernel, padding=side, bias=False
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the textures, each a mean over the positions where its filter answers."""
        centred = features - features.mean(dim=1, keepdim=True)
        normed = centred / (centred.norm(dim=1, keepdim=True) + TINY)
        shares = self.semantic_extraction_filter(normed).flatten(2).softmax(dim=-1)
        textures: Tensor = self.value_conv(features).flatten(2) @ shares.transpose(1, 2)
        return textures


class Distribution(nn.Module):
    """Adds to every position of the target the mixture of textures that belongs there."""

    def __init__(self, channels: int, labels: int, kernel: int) -> None:
        super().__init__()
        self.semantic_distribution_filter = ScaledConv(
            channels, labels, kernel, padding=kernel // 2
        )

    def forward(self, features: Tensor, textures: Tensor) -> Tensor:
        """Return features of the same shape (B, C, h, w); `textures` is (B, C, K)."""
        shares = self.semantic_distribution_filter(features).softmax(dim=1)
        given = (textures @ shares.flatten(2)).view(features.shape)
        return (features + given) / math.sqrt(2)
