"""The discriminators of PATN, person with pose and person with person: residual networks.

Source: tengteng95/Pose-Transfer:models/networks.py (`ResnetDiscriminator`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pcdms_baselines.patn.network import Norm, conv_block, down_stream


class _Residual(nn.Module):
    def __init__(self, channels: int, kind: Norm) -> None:
        super().__init__()
        self.conv_block = conv_block(channels, channels, kind)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.conv_block(x)
        return changed


class PatnDiscriminator(nn.Module):
    """Picture (B, 3, H, W) and what it must go with (B, C, H, W) -> (B, D, h, w) scores.

    `channels_in` = 3 + C: 21 with a pose, 6 with the source picture. The network for Market-1501
    (batch norm) ends with a sigmoid, that for DeepFashion does not.
    """

    def __init__(
        self,
        channels_in: int = 21,
        width: int = 64,
        blocks: int = 3,
        halvings: int = 2,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        inner = width * 2**halvings
        self.model = nn.Sequential(
            *down_stream(channels_in, width, halvings, norm),
            *(_Residual(inner, norm) for _ in range(blocks)),
            *((nn.Sigmoid(),) if norm == "batch" else ()),
        )

    def forward(self, picture: Tensor, beside: Tensor) -> Tensor:
        """Return the scores, high for pictures that are real and go together."""
        scores: Tensor = self.model(torch.cat((picture, beside), dim=1))
        return scores
