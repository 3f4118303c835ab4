"""The generator of NTED: textures from the source, a skeleton, and a decoder that joins them.

Source: RenYurui/Neural-Texture-Extraction-Distribution:generators/*; arXiv 2204.06160. The names of
the parts are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from pcdms_baselines.nted.layers import BiasedActivation, Blur, ScaledConv, Upsample
from pcdms_baselines.nted.textures import Distribution, Extraction

OPERATIONS = 2
"""Extractions of a level, and as many distributions."""


@dataclass(frozen=True)
class Level:
    """One size: channels, and the number of textures (0: none) with the side of their filter."""

    channels: int
    labels: int = 0
    kernel: int = 3


_SMALL = (Level(512, 32), Level(512, 16, 1))
PUBLISHED = {
    256: (Level(128), Level(256, 64), Level(512, 64), *_SMALL),
    512: (Level(64), Level(128, 64), Level(256, 64), Level(512, 32), *_SMALL),
}
"""Height of the pictures -> levels from the largest to the one of 16 rows."""


class EncoderLayer(nn.Module):
    """Features at half the size, or with `first` only other channels; a level's extractions."""

    def __init__(
        self, channels_in: int, level: Level, first: bool = False, textured: bool = False
    ) -> None:
        super().__init__()
        self.blur = None if first else Blur((2, 2))
        self.conv = (
            ScaledConv(channels_in, level.channels, 1, bias=False)
            if first
            else ScaledConv(channels_in, level.channels, 3, stride=2, bias=False)
        )
        self.activate = BiasedActivation(level.channels)
        operations = OPERATIONS if textured and level.labels else 0
        self.extraction_operations = nn.ModuleList(
            Extraction(level.channels, level.labels, level.kernel) for _ in range(operations)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the level's features."""
        x = x if self.blur is None else self.blur(x)
        features: Tensor = self.activate(self.conv(x))
        return features

    def textures(self, features: Tensor) -> list[Tensor]:
        """Return the level's textures, each (B, C, K); none where it has no kinds."""
        return [operation(features) for operation in self.extraction_operations]


class Encoder(nn.Module):
    """Picture-like (B, in, H, W) -> features of the smallest level, and all textures."""

    def __init__(self, channels_in: int, levels: Sequence[Level], textured: bool) -> None:
        super().__init__()
        self.first = EncoderLayer(channels_in, levels[0], first=True)
        self.convs = nn.ModuleList(
            EncoderLayer(before.channels, after, textured=textured)
            for before, after in pairwise(levels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return (features, textures); the latter in the decoder's order.

        That begins with the smallest level, and inside a level with the last extraction.
        """
        x = self.first(x)
        textures: list[Tensor] = []
        for layer in self.convs:
            assert isinstance(layer, EncoderLayer)
            x = layer(x)
            textures += layer.textures(x)
        return x, textures[::-1]


class DecoderLayer(nn.Module):
    """A convolution, textures where the level has kinds, activation; `up` doubles the size."""

    def __init__(self, channels_in: int, level: Level, up: bool) -> None:
        super().__init__()
        self.blur = Blur((1, 1), gain=4.0) if up else None
        padding = 0 if up else 1
        self.conv = ScaledConv(channels_in, level.channels, 3, padding=padding, bias=False, up=up)
        self.distribution_operation = (
            Distribution(level.channels, level.labels, level.kernel) if level.labels else None
        )
        self.activate = BiasedActivation(level.channels)

    def forward(self, x: Tensor, textures: list[Tensor]) -> Tensor:
        """Return the features; takes what it needs from the front of `textures`."""
        x = self.conv(x)
        x = x if self.blur is None else self.blur(x)
        if self.distribution_operation is not None:
            x = self.distribution_operation(x, textures.pop(0))
        features: Tensor = self.activate(x)
        return features


class ToRgb(nn.Module):
    """Adds a level's picture to the one of the level before."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        self.upsample = Upsample() if up else None
        self.conv = ScaledConv(channels, 3, 3, padding=1)

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Return the picture (B, 3, h, w) so far."""
        picture: Tensor = self.conv(x)
        if before is None or self.upsample is None:
            return picture
        return picture + self.upsample(before)


class DecoderLevel(nn.Module):
    """Two layers at one size, and the picture they add."""

    def __init__(self, channels_in: int, level: Level, up: bool) -> None:
        super().__init__()
        self.conv0 = DecoderLayer(channels_in, level, up)
        self.conv1 = DecoderLayer(level.channels, level, up=False)
        self.to_rgb = ToRgb(level.channels, up)


class Decoder(nn.Module):
    """Features of the skeleton's smallest level and textures -> picture."""

    def __init__(self, levels: Sequence[Level]) -> None:
        super().__init__()
        upwards = (levels[-1], *reversed(levels))
        self.convs = nn.ModuleList(
            DecoderLevel(before.channels, level, up=index > 0)
            for index, (before, level) in enumerate(pairwise(upwards))
        )

    def forward(self, x: Tensor, textures: Sequence[Tensor]) -> Tensor:
        """Return the picture (B, 3, H, W), not clamped."""
        left, picture = list(textures), None
        for level in self.convs:
            assert isinstance(level, DecoderLevel)
            x = level.conv1(level.conv0(x, left), left)
            picture = level.to_rgb(x, picture)
        assert picture is not None
        result: Tensor = picture
        return result


class NtedGenerator(nn.Module):
    """Source picture and target skeleton -> the picture in the target pose.

    `levels` from the picture's own size to the smallest; sides must be multiples of
    2^(len(levels) - 1). The defaults are the published network for 256 x 176: 42,353,519
    parameters; `PUBLISHED[512]` is that for 512 x 352.
    """

    def __init__(
        self, levels: Sequence[Level] = PUBLISHED[256], skeleton_channels: int = 20
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.reference_encoder = Encoder(3, levels, textured=True)
        self.skeleton_encoder = Encoder(skeleton_channels, levels, textured=False)
        self.target_image_renderer = Decoder(levels)

    def forward(self, source: Tensor, skeleton: Tensor) -> Tensor:
        """Return the target picture (B, 3, H, W), about [-1, 1] but not clamped.

        `source` (B, 3, H, W) in [-1, 1]; `skeleton` (B, S, H, W) in [0, 1].
        """
        _, textures = self.reference_encoder(source)
        features, _ = self.skeleton_encoder(skeleton)
        picture: Tensor = self.target_image_renderer(features, textures)
        return picture
