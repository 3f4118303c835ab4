"""Training rows of CFLD from pairs: pictures when they are asked for, or latents kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcdms_baselines.cfld.losses import Rows
from pcdms_baselines.cfld.pose_tensor import pose_tensor
from pcdms_baselines.learned import to_planes
from pcdms_data.images import load_picture
from pcdms_data.types import Pair, Picture

Size = tuple[int, int]

AT_ONCE = 64
"""Pictures that are encoded together."""


class PictureRows:
    """Row i is pair i: the source and the poses on `canvas`, both targets at `latent_frame`."""

    def __init__(self, pairs: Sequence[Pair], canvas: Size, latent_frame: Size) -> None:
        self.pairs, self.canvas, self.latent_frame = pairs, canvas, latent_frame

    def __len__(self) -> int:
        return len(self.pairs)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows with these numbers (B,), float32."""
        chosen = [self.pairs[row] for row in rows.tolist()]
        pictures = [pair.source for pair in chosen] + [pair.target for pair in chosen]
        return Rows(
            source=planes([load_picture(pair.source, self.canvas) for pair in chosen]),
            poses=poses(chosen, self.canvas),
            targets=planes([load_picture(picture, self.latent_frame) for picture in pictures]),
        )


class LatentRows:
    """The same for pictures of one small size, each encoded once and kept.

    Latents are the posterior's mean, scaled.
    """

    def __init__(self, pairs: Sequence[Pair], frame: Size, vae: Any) -> None:
        self.pairs, self.frame = pairs, frame
        pictures: dict[Picture, int] = {}
        for pair in pairs:
            for picture in (pair.source, pair.target):
                pictures.setdefault(picture, len(pictures))
        self.numbers = pictures
        self.pixels = np.empty((len(pictures), *frame, 3), dtype=np.uint8)
        for picture, number in pictures.items():
            self.pixels[number] = load_picture(picture, frame)
        self.latents = encoded(self.pixels, vae)

    def __len__(self) -> int:
        return len(self.pairs)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows with these numbers (B,), float32."""
        chosen = [self.pairs[row] for row in rows.tolist()]
        sources = [self.numbers[pair.source] for pair in chosen]
        targets = [self.numbers[pair.target] for pair in chosen]
        return Rows(
            source=planes([self.pixels[number] for number in sources]),
            poses=poses(chosen, self.frame),
            targets=self.latents[torch.tensor(sources + targets)],
        )


def planes(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return uint8 pictures (H, W, 3) as one float32 tensor (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack([to_planes(pixels) for pixels in pictures]))


def poses(pairs: Sequence[Pair], canvas: Size) -> Tensor:
    """Return the pose tensors (2B, 21, h, w) of all sources, then of all targets."""
    both = [pair.source_pose for pair in pairs] + [pair.target_pose for pair in pairs]
    return torch.from_numpy(np.stack([pose_tensor(pose, canvas) for pose in both]))


@torch.no_grad()
def encoded(pixels: np.ndarray, vae: Any) -> Tensor:
    """Return the scaled latents (N, C, h, w) of pictures uint8 (N, H, W, 3), on the CPU."""
    device = next(vae.parameters()).device
    parts = []
    for start in range(0, len(pixels), AT_ONCE):
        pictures = planes(list(pixels[start : start + AT_ONCE])).to(device)
        mean = vae.encode(pictures).latent_dist.mean * vae.config["scaling_factor"]
        parts.append(mean.cpu())
    return torch.cat(parts)
