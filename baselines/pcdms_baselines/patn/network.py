"""The generator of PATN: a picture stream and a pose stream, joined nine times by attention.

Source: tengteng95/Pose-Transfer:models/PATN.py, models/model_variants.py; arXiv 1904.03349. The
names of the parts are those of the published files.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["instance", "batch"]
"""`instance` was trained on DeepFashion, `batch` on Market-1501."""

DROPOUT = 0.5


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """Return a norm layer: without weights (instance), or with weights and statistics (batch)."""
    return nn.InstanceNorm2d(channels) if kind == "instance" else nn.BatchNorm2d(channels)


def down_stream(channels_in: int, width: int, halvings: int, kind: Norm) -> list[nn.Module]:
    """Return layers (B, in, H, W) -> (B, width * 2^halvings, H / 2^halvings, W / 2^halvings)."""
    biased = kind == "instance"
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3), nn.Conv2d(channels_in, width, 7, bias=biased), norm_of(kind, width),
        nn.ReLU(),
    ]  # fmt: skip
    for level in range(halvings):
        before, after = width * 2**level, width * 2 ** (level + 1)
        layers += [
            nn.Conv2d(before, after, 3, 2, 1, bias=biased), norm_of(kind, after), nn.ReLU(),
        ]  # fmt: skip
    return layers


def conv_block(
    channels_in: int, channels: int, kind: Norm, last_norm: bool = True
) -> nn.Sequential:
    """Return two convolutions at one size, the first one keeping its channels, with drop-out."""
    biased = kind == "instance"
    return nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(channels_in, channels_in, 3, bias=biased),
        norm_of(kind, channels_in), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.ReflectionPad2d(1), nn.Conv2d(channels_in, channels, 3, bias=biased),
        *((norm_of(kind, channels),) if last_norm else ()),
    )  # fmt: skip


class AttentionBlock(nn.Module):
    """Pose-attentional transfer block: the pose stream says where the picture stream may change."""

    def __init__(self, channels: int, pose_channels: int, kind: Norm) -> None:
        super().__init__()
        self.conv_block_stream1 = conv_block(channels, channels, kind)
        self.conv_block_stream2 = conv_block(pose_channels, channels, kind, last_norm=False)

    def forward(self, picture: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Return both streams, (B, C, h, w) and (B, 2C, h, w)."""
        code = self.conv_block_stream2(pose)
        picture = picture + self.conv_block_stream1(picture) * torch.sigmoid(code)
        return picture, torch.cat((code, picture), dim=1)


class _Streams(nn.Module):
    def __init__(
        self, width: int, blocks: int, halvings: int, pose_channels: int, kind: Norm
    ) -> None:
        super().__init__()
        self.stream1_down = nn.Sequential(*down_stream(3, width, halvings, kind))
        self.stream2_down = nn.Sequential(*down_stream(2 * pose_channels, width, halvings, kind))
        inner = width * 2**halvings
        self.att = nn.ModuleList(
            AttentionBlock(inner, inner if index == 0 else 2 * inner, kind)
            for index in range(blocks)
        )
        layers: list[nn.Module] = []
        for level in reversed(range(halvings)):
            before, after = width * 2 ** (level + 1), width * 2**level
            layers += [
                nn.ConvTranspose2d(
                    before, after, 3, 2, 1, output_padding=1, bias=kind == "instance"
                ),
                norm_of(kind, after), nn.ReLU(),
            ]  # fmt: skip
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.stream1_up = nn.Sequential(*layers)

    def forward(self, source: Tensor, poses: Tensor) -> Tensor:
        picture, pose = self.stream1_down(source), self.stream2_down(poses)
        for block in self.att:
            picture, pose = block(picture, pose)
        result: Tensor = self.stream1_up(picture)
        return result


class PatnGenerator(nn.Module):
    """Source picture, its pose and a target pose -> the picture in the target pose.

    Sides must be multiples of 2^halvings. The defaults are the published network for DeepFashion,
    41,358,019 parameters; with batch norm that for Market-1501, 41,365,763.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        halvings: int = 2,
        pose_channels: int = 18,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.norm = norm
        self.model = _Streams(width, blocks, halvings, pose_channels, norm)

    def forward(self, source: Tensor, pose_source: Tensor, pose_target: Tensor) -> Tensor:
        """Return the target picture (B, 3, H, W) in [-1, 1].

        `source` (B, 3, H, W) in [-1, 1]; the poses (B, P, H, W) hold one map per joint.
        """
        picture: Tensor = self.model(source, torch.cat((pose_source, pose_target), dim=1))
        return picture
