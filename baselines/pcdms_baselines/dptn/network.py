"""The generator of DPTN: one encoder for two tasks, and a transformer that joins them.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/networks.py; arXiv 2203.07910.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pcdms_baselines.dptn.blocks import Down, FirstDown, Middle, ToPicture, Up
from pcdms_baselines.dptn.transformer import PoseTransformer

PUBLISHED_WIDTHS = (64, 128, 256)


class SourceEncoder(nn.Module):
    """The source picture (B, 3, H, W) -> features; the names count the stages."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.block0 = FirstDown(3, widths[0])
        for index, (before, after) in enumerate(pairwise(widths)):
            self.add_module(f"encoder{index}", Down(before, after))

    def forward(self, picture: Tensor) -> Tensor:
        """Return features at 1 / 2^stages of the size."""
        for stage in self.children():
            picture = stage(picture)
        return picture


class DptnGenerator(nn.Module):
    """Source picture, its pose and a target pose -> the picture in the target pose.

    `widths` are the channels after each halving; sides must be multiples of 2 ^ len(widths). The
    defaults are the published network: 9,794,371 parameters.
    """

    def __init__(
        self,
        widths: Sequence[int] = PUBLISHED_WIDTHS,
        pose_channels: int = 18,
        middle_blocks: int = 3,
        heads: int = 2,
        contexts: int = 2,
        transfers: int = 2,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.widths, self.heads, self.pose_channels = widths, heads, pose_channels
        self._encoders = [f"encoder{index}" for index in range(len(widths) - 1)]
        self._middles = [f"mblock{index}" for index in range(middle_blocks)]
        self._decoders = [f"decoder{index}" for index in range(len(widths))]
        last = widths[-1]
        self.block0 = FirstDown(3 + 2 * pose_channels, widths[0])
        for name, (before, after) in zip(self._encoders, pairwise(widths), strict=True):
            self.add_module(name, Down(before, after))
        for name in self._middles:
            self.add_module(name, Middle(last))
        self.PTM = PoseTransformer(last, heads, contexts, transfers, hidden or last)
        self.source_encoder = SourceEncoder(widths)
        up = (*reversed(widths), widths[0])
        for name, (before, after) in zip(self._decoders, pairwise(up), strict=True):
            self.add_module(name, Up(before, after))
        self.outconv = ToPicture(widths[0])

    def forward(self, source: Tensor, pose_source: Tensor, pose_target: Tensor) -> Tensor:
        """Return the target picture (B, 3, H, W) in [-1, 1].

        `source` (B, 3, H, W) in [-1, 1]; the poses (B, P, H, W) are heat maps of the joints.
        """
        reconstruction = self._encode(source, pose_source, pose_source)
        return self._transferred(source, pose_source, pose_target, reconstruction)

    def both_tasks(
        self, source: Tensor, pose_source: Tensor, pose_target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the target picture and the reconstructed source, both (B, 3, H, W), to train."""
        reconstruction = self._encode(source, pose_source, pose_source)
        target = self._transferred(source, pose_source, pose_target, reconstruction)
        return target, self._decode(reconstruction)

    def _transferred(
        self, source: Tensor, pose_source: Tensor, pose_target: Tensor, reconstruction: Tensor
    ) -> Tensor:
        features = self._encode(source, pose_source, pose_target)
        return self._decode(self.PTM(reconstruction, features, self.source_encoder(source)))

    def _encode(self, source: Tensor, pose_source: Tensor, pose: Tensor) -> Tensor:
        """Return the features of one task: the source in its own pose, to be put in `pose`."""
        x: Tensor = self.block0(torch.cat((source, pose_source, pose), dim=1))
        for name in (*self._encoders, *self._middles):
            x = self.get_submodule(name)(x)
        return x

    def _decode(self, x: Tensor) -> Tensor:
        for name in self._decoders:
            x = self.get_submodule(name)(x)
        picture: Tensor = self.outconv(x)
        return picture
