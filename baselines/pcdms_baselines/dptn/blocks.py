"""Convolution blocks of DPTN: down, middle, up, and the last layer.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/base_function.py. The names of the
parts are those of the published files; some convolutions are registered under two names there.
"""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.1
"""Slope of every leaky ReLU."""


def norm(channels: int) -> nn.InstanceNorm2d:
    """Return the network's norm: per picture and channel, learned scale and shift."""
    return nn.InstanceNorm2d(channels, affine=True)


def activation() -> nn.LeakyReLU:
    """Return the network's activation."""
    return nn.LeakyReLU(SLOPE)


class FirstDown(nn.Module):
    """Picture-like (B, in, H, W) -> (B, out, H/2, W/2); the only block that begins unnormed."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(channels_in, channels, 4, 2, 1), norm(channels), activation(),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the features at half the size."""
        features: Tensor = self.model(x)
        return features


class Down(nn.Module):
    """Features (B, in, h, w) -> (B, out, h/2, w/2)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            norm(channels_in), activation(), nn.Conv2d(channels_in, channels, 4, 2, 1),
            norm(channels), activation(), nn.Conv2d(channels, channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the features at half the size."""
        features: Tensor = self.model(x)
        return features


class Middle(nn.Module):
    """Residual block at one size; both convolutions and the bypass have a second name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.bypass = nn.Conv2d(channels, channels, 1)
        self.model = nn.Sequential(
            norm(channels), activation(), self.conv1, norm(channels), activation(), self.conv2
        )
        self.shortcut = nn.Sequential(self.bypass)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        features: Tensor = self.model(x) + self.shortcut(x)
        return features


class Up(nn.Module):
    """Residual block, features (B, in, h, w) -> (B, out, 2h, 2w)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            norm(channels_in), activation(), nn.Conv2d(channels_in, channels, 3, 1, 1),
            norm(channels), activation(),
            nn.ConvTranspose2d(channels, channels, 3, 2, 1, output_padding=1),
        )  # fmt: skip
        self.shortcut = nn.Sequential(
            nn.ConvTranspose2d(channels_in, channels, 3, 2, 1, output_padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features at twice the size."""
        features: Tensor = self.model(x) + self.shortcut(x)
        return features


class ToPicture(nn.Module):
    """Features (B, C, H, W) -> picture (B, 3, H, W) in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 3, 3)
        self.model = nn.Sequential(activation(), nn.ReflectionPad2d(1), self.conv1, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Return the picture."""
        picture: Tensor = self.model(x)
        return picture
