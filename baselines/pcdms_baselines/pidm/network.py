"""The denoiser of PIDM: a UNet on noise and pose that looks at the source by cross attention.

Source: ankanbhunia/PIDM:models/unet_autoenc.py, models/unet.py; arXiv 2211.12500. The names of the
parts are those of the published files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pcdms_baselines.pidm.blocks import Norm, Resampling, ResidualBlock, StyleAttention, silenced
from pcdms_baselines.pidm.diffusion import Process

BLOCKS = 2
"""Residual blocks of a level on the way down; on the way up there is one more."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; the defaults are the published ones.

    `widths` and `attention` have an entry per level, from the picture's own size to the smallest.
    `outputs` = channels of the result: those of the picture, and as many for the variance where it
    is learned. `spare`: the weights that published files hold and nothing uses are there as well.
    """

    widths: tuple[int, ...] = (128, 128, 256, 256, 512, 512)
    attention: tuple[bool, ...] = (False, False, False, True, True, True)
    picture: int = 3
    pose: int = 20
    outputs: int = 6
    time: int = 512
    spare: bool = True


class Step(nn.ModuleList):
    """Residual block, perhaps attention, perhaps a second block, one after the other."""

    def forward(self, x: Tensor, time: Tensor | None, source: Tensor | None) -> Tensor:
        """Return the features; `time` and `source` go to the parts that take them."""
        for part in self:
            if isinstance(part, ResidualBlock):
                x = part(x, time)
            elif isinstance(part, StyleAttention):
                x = part(x, source)
            else:
                x = part(x)
        return x


class TimeVector(nn.Module):
    """Times (B,) -> vectors (B, width)."""

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        self.waves = waves
        self.time_embed = _two_layers(waves, width)

    def forward(self, time: Tensor) -> Tensor:
        """Return the vectors: cosines first, wave lengths from 2 pi to 20,000 pi."""
        half = self.waves // 2
        places = torch.arange(half, device=time.device, dtype=torch.float32)
        angles = time[:, None].float() * torch.exp(places * (-math.log(10_000) / half))
        weight = next(self.time_embed.parameters())
        vectors: Tensor = self.time_embed(torch.cat([angles.cos(), angles.sin()], 1).to(weight))
        return vectors


class StyleEncoder(nn.Module):
    """Source (B, picture, h, w) -> the result of every step, 3 per level."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        time = shape.time if shape.spare else None
        if time is not None:
            self.time_embed = _two_layers(shape.widths[0], time)
        self.input_blocks = _downwards(shape, shape.picture, time, dropout, attending=False)

    def forward(self, source: Tensor) -> list[Tensor]:
        """Return the features, from the picture's own size to the smallest."""
        features = []
        for step in self.input_blocks:
            source = step(source, None, None)
            features.append(source)
        return features


class PidmDenoiser(nn.Module):
    """Noisy picture, time, target pose and source -> noise, and numbers for its variance.

    Sides must be multiples of 2^(levels - 1). The published network has 180,355,718 parameters,
    38,288,640 of them in its encoder. `dropout` acts in training, 0.1 as published. `process` says
    what the network was taught.
    """

    def __init__(
        self, shape: Shape | None = None, dropout: float = 0.1, process: Process | None = None
    ) -> None:
        super().__init__()
        shape = shape or Shape()
        self.shape, self.process = shape, process or Process()
        smallest = shape.widths[-1]
        self.time_embed = TimeVector(shape.widths[0], shape.time)
        self.input_blocks = _downwards(
            shape, shape.picture + shape.pose, shape.time, dropout, attending=True
        )
        self.middle_block = Step([
            ResidualBlock(smallest, smallest, shape.time, "none", dropout, shape.spare),
            StyleAttention(smallest, shape.spare),
            ResidualBlock(smallest, smallest, shape.time, "none", dropout, shape.spare),
        ])  # fmt: skip
        self.output_blocks = _upwards(shape, dropout)
        self.out = nn.Sequential(
            Norm(shape.widths[0]), nn.SiLU(),
            silenced(nn.Conv2d(shape.widths[0], shape.outputs, 3, padding=1)),
        )  # fmt: skip
        self.encoder = StyleEncoder(shape, dropout)

    def forward(self, x_t: Tensor, t: Tensor, target_pose: Tensor, source: Tensor) -> Tensor:
        """Return (B, outputs, h, w); `source` of zeros is the null condition.

        `x_t` and `source` (B, picture, h, w), the latter in [-1, 1]; `target_pose` (B, pose, h, w)
        in [0, 1]; `t` (B,) counts from 0.
        """
        return self.denoise(x_t, t, target_pose, self.encode(source))

    def encode(self, source: Tensor) -> list[Tensor]:
        """Return what the denoiser looks at: it depends on the source alone, not on the time."""
        features: list[Tensor] = self.encoder(source)
        return features

    def denoise(
        self, x_t: Tensor, t: Tensor, target_pose: Tensor, features: Sequence[Tensor]
    ) -> Tensor:
        """Return (B, outputs, h, w) with the source's features at hand."""
        time = self.time_embed(t)
        x = torch.cat([x_t, target_pose], dim=1)
        passed = []
        for step, feature in zip(self.input_blocks, features, strict=True):
            x = step(x, time, feature)
            passed.append(x)
        x = self.middle_block(x, time, features[-1])
        for step, feature in zip(self.output_blocks, reversed(features), strict=True):
            x = step(torch.cat([x, passed.pop()], dim=1), time, feature)
        result: Tensor = self.out(x)
        return result


def _two_layers(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels_in, channels), nn.SiLU(), nn.Linear(channels, channels))


def _downwards(
    shape: Shape, channels_in: int, time: int | None, dropout: float, attending: bool
) -> nn.ModuleList:
    """Return the steps down: a convolution, two blocks a level, and one to halve the size."""

    def block(before: int, after: int, resampling: Resampling = "none") -> ResidualBlock:
        return ResidualBlock(before, after, time, resampling, dropout, shape.spare)

    width = shape.widths[0]
    steps = [Step([nn.Conv2d(channels_in, width, 3, padding=1)])]
    for level, channels in enumerate(shape.widths):
        steps.append(Step([block(width, channels)]))
        steps.append(Step([block(channels, channels)]))
        if attending and shape.attention[level]:
            steps[-1].append(StyleAttention(channels, shape.spare))
        if level + 1 < len(shape.widths):
            steps.append(Step([block(channels, channels, "down")]))
        width = channels
    return nn.ModuleList(steps)


def _upwards(shape: Shape, dropout: float) -> nn.ModuleList:
    """Return the steps up: three blocks a level, each also given what came down beside it."""

    def block(before: int, after: int, resampling: Resampling = "none") -> ResidualBlock:
        return ResidualBlock(before, after, shape.time, resampling, dropout, shape.spare)

    passed = [shape.widths[0]]
    for level, channels in enumerate(shape.widths):
        passed += [channels] * (BLOCKS + (level + 1 < len(shape.widths)))
    steps, width = [], shape.widths[-1]
    for level, channels in reversed(list(enumerate(shape.widths))):
        for number in range(BLOCKS + 1):
            steps.append(Step([block(width + passed.pop(), channels)]))
            width = channels
            if number == 1 and shape.attention[level]:
                steps[-1].append(StyleAttention(channels, shape.spare))
        if level:
            steps[-1].append(block(channels, channels, "up"))
    return nn.ModuleList(steps)
