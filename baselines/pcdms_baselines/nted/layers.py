"""Layers of StyleGAN2 in plain torch: scaled weights, blur, and the activation with its bias.

Source: RenYurui/Neural-Texture-Extraction-Distribution:op/*, generators/base_module.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
KERNEL = (1.0, 3.0, 3.0, 1.0)


class ScaledConv(nn.Module):
    """Convolution whose weights are scaled at use by 1 / sqrt(inputs of one output).

    `up` transposes it with stride 2; the weights then are still stored as (out, in, k, k).
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels_in, kernel, kernel))
        nn.init.uniform_(self.weight, -math.sqrt(3), math.sqrt(3))  # variance 1
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.stride, self.padding, self.up = stride, padding, up
        self.scale = 1 / math.sqrt(channels_in * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        weight = self.weight * self.scale
        if self.up:
            return F.conv_transpose2d(x, weight.transpose(0, 1), self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Blur(nn.Module):
    """Binomial blur of each channel, the kernel's sum being `gain`."""

    kernel: Tensor

    def __init__(self, padding: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        share = gain / sum(KERNEL) ** 2
        values = [[share * row * column for column in KERNEL] for row in KERNEL]
        self.register_buffer("kernel", torch.tensor(values))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H + p - 3, W + p - 3), p the padding of both sides together."""
        before, after = self.padding
        padded = F.pad(x, (before, after, before, after))
        kernel = self.kernel.flip(0, 1).expand(x.shape[1], 1, -1, -1)
        return F.conv2d(padded, kernel, groups=x.shape[1])


class Upsample(Blur):
    """Twice the size: zeros between the pixels, then the blur with four times the weight."""

    def __init__(self) -> None:
        super().__init__((2, 1), gain=4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, 2H, 2W)."""
        batch, channels, height, width = x.shape
        spread = x.new_zeros(batch, channels, height, 2, width, 2)
        spread[:, :, :, 0, :, 0] = x
        return super().forward(spread.view(batch, channels, 2 * height, 2 * width))


class BiasedActivation(nn.Module):
    """sqrt(2) * leaky ReLU of (x + bias of the channel)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return F.leaky_relu(x + self.bias[:, None, None], SLOPE) * math.sqrt(2)
