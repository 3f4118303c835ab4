"""Blocks of PIDM: residual, and attention from the picture being made to the source.

Source: ankanbhunia/PIDM:models/blocks.py, models/nn.py. The names of the parts are those of the
published files, which also hold weights that nothing uses (`spare`).
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
"""Groups of every norm, fewer where they do not divide the channels."""

Resampling = Literal["none", "up", "down"]

Layer = TypeVar("Layer", bound=nn.Module)


class Norm(nn.GroupNorm):
    """Group norm, computed in float32 whatever comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(GROUPS, channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape and number type."""
        return super().forward(x.float()).to(x.dtype)


class ResidualBlock(nn.Module):
    """Features (B, in, h, w) -> (B, out, h', w'), modulated by the time where it is given.

    `time` is the width of the time vector, None for a block that never gets one.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        time: int | None,
        resampling: Resampling = "none",
        dropout: float = 0.0,
        spare: bool = False,
    ) -> None:
        super().__init__()
        self.resampling = resampling
        self.in_layers = nn.Sequential(
            Norm(channels_in), nn.SiLU(), nn.Conv2d(channels_in, channels, 3, padding=1)
        )
        if time is not None:
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * channels))
        if spare:
            self.cond_emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(channels, channels))
        self.out_layers = nn.Sequential(
            Norm(channels), nn.SiLU(), nn.Dropout(dropout),
            silenced(nn.Conv2d(channels, channels, 3, padding=1)),
        )  # fmt: skip
        self.skip_connection = (
            nn.Identity() if channels_in == channels else nn.Conv2d(channels_in, channels, 1)
        )

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Return the features; `time` (B, width)."""
        norm, activation, convolution = self.in_layers
        hidden = convolution(self._resampled(activation(norm(x))))
        norm, activation, dropout, convolution = self.out_layers
        hidden = norm(hidden)
        if time is not None:
            scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        result: Tensor = self.skip_connection(self._resampled(x))
        return result + convolution(dropout(activation(hidden)))

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resampling == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.avg_pool2d(x, 2) if self.resampling == "down" else x


class StyleAttention(nn.Module):
    """Every position looks for what it needs in the source's features at the same level."""

    def __init__(self, channels: int, spare: bool = False) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.to_kv = nn.Conv1d(channels, 2 * channels, 1)
        self.to_q = nn.Conv1d(channels, channels, 1)
        self.proj_out2 = silenced(nn.Conv1d(channels, channels, 1))
        if spare:
            self.qkv = nn.Conv1d(channels, 3 * channels, 1)
            self.proj_out1 = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Return features (B, C, h, w); `source` (B, C, h, w) are the encoder's."""
        query = self.to_q(self.norm(x).flatten(2))
        key, value = self.to_kv(source.flatten(2)).chunk(2, dim=1)
        found = F.scaled_dot_product_attention(
            *(part.transpose(1, 2).unsqueeze(1) for part in (query, key, value))
        )
        result: Tensor = self.proj_out2(found.squeeze(1).transpose(1, 2))
        return x + result.view(x.shape)


def silenced(convolution: Layer) -> Layer:
    """Return a convolution that starts with zeros, so that its block starts as the identity."""
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.zero_()
    return convolution
