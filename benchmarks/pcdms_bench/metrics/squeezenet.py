"""SqueezeNet 1.1 without its classifier: seven maps for LPIPS, the last one for Frechet distances.

Architecture: Iandola et al. 2016, version 1.1 of the authors' release. The Caffe training and
torchvision's are two networks of this one shape; their files differ in names only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRES = (
    (64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192),
    (384, 64, 256), (512, 64, 256),
)  # fmt: skip
"""Input, squeezed and half of the output channels of fire2 to fire9."""
POOLED = (0, 2, 4)
"""Fires that come after a 3x3 max pooling of stride 2 (rounded up)."""
TAPS = (1, 3, 4, 5, 6, 7)
"""Fires whose output is a tap, after the one of the first convolution."""
CHANNELS = (64, 128, 256, 384, 384, 512, 512)
"""Channels of the seven taps."""


class Fire(nn.Module):
    """Squeeze 1x1, then expand 1x1 and 3x3 side by side; ReLU after each."""

    def __init__(self, inputs: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, half, 1)
        self.expand3x3 = nn.Conv2d(squeezed, half, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 * half, H, W), the 1x1 part first."""
        h = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(h), self.expand3x3(h)], 1))


class SqueezeNet(nn.Module):
    """The convolutions of SqueezeNet 1.1; input (B, 3, H, W), at least 17 pixels a side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 3, 2)
        self.fires = nn.ModuleList(Fire(*sizes) for sizes in FIRES)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the seven taps (B, C, h, w) with `CHANNELS` channels, none negative."""
        h = F.relu(self.conv1(x))
        found = [h]
        for i, fire in enumerate(self.fires):
            if i in POOLED:
                h = F.max_pool2d(h, 3, 2, ceil_mode=True)
            h = fire(h)
            if i in TAPS:
                found.append(h)
        return found


def names(first: str, fires: Sequence[str], squeeze: str, prefix: str = "") -> dict[str, str]:
    """Return {key of `SqueezeNet`: key of a published file} of every parameter.

    `first` and `fires` are the names of the first convolution and of the eight fires there,
    `squeeze` that of a fire's first part (`squeeze` or `squeeze1x1`); `prefix` is put before the
    own keys.
    """
    found: dict[str, str] = {}
    for part in ("weight", "bias"):
        found[f"{prefix}conv1.{part}"] = f"{first}.{part}"
        for i, name in enumerate(fires):
            found[f"{prefix}fires.{i}.squeeze.{part}"] = f"{name}.{squeeze}.{part}"
            for expand in ("expand1x1", "expand3x3"):
                found[f"{prefix}fires.{i}.{expand}.{part}"] = f"{name}.{expand}.{part}"
    return found
