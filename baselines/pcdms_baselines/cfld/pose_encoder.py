"""Features of the target pose, to be added inside the UNet's way down (a T2I-Adapter).

Source: YanzuoLu/CFLD:models/*.py; arXiv 2302.08453. The names are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

FOLD = 4
"""Pixels of a side of the pose picture that become one cell."""
GROUPS = 32
PUBLISHED_WIDTHS = (320, 640, 1280)


class PoseEncoder(nn.Module):
    """Pose picture (B, P, H, W) -> one map per width: H/4 x W/4, then half of the one before.

    The defaults are the published ones: 30,636,480 parameters.
    """

    def __init__(self, channels: int = 21, widths: Sequence[int] = PUBLISHED_WIDTHS) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels * FOLD**2, widths[0], 1)
        self.resnets = nn.ModuleList(
            ResnetBlock2D(in_channels=before, out_channels=after, temb_channels=None, groups=GROUPS)
            for before, after in pairwise((widths[0], *widths))
        )

    def forward(self, pose: Tensor) -> list[Tensor]:
        """Return the maps (B, width, h, w), the finest first; `pose` is in [0, 1]."""
        x = self.conv_in(F.pixel_unshuffle(pose, FOLD))
        maps: list[Tensor] = []
        for resnet in self.resnets:
            x = resnet(F.avg_pool2d(x, 2) if maps else x, None)
            maps.append(x)
        return maps
