"""The source warped part by part onto the target pose, without learning.

Source: AliaksandrSiarohin/pose-gan for the parts; their composition is this project's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.limb_geometry import (
    KNEES,
    TORSO,
    TORSO_JOINTS,
    Affine,
    common_joints,
    has_torso,
    joint_affine,
    part_masks,
    part_transforms,
    torso_affine,
)
from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import Keypoints, Pair

Pixels = NDArray[np.uint8]
Variant = Literal["paint", "max", "torso-only", "full"]

VARIANTS: dict[str, Variant] = {
    "limb-warp": "paint",
    "limb-warp-max": "max",
    "limb-warp-torso-only": "torso-only",
    "limb-warp-full": "full",
}
PAINT_ORDER = (0, 1, 4, 5, 2, 3, 8, 9, 6, 7)
"""Torso and head first, then each limb's outer part below its inner part."""
NO_TORSO = "hips or shoulders are missing: the source unchanged"
_RING = 4  # pixels of the source's border whose median is the background colour
_EDGE = 1e-6  # pixels; rounding of an identity map must not push border positions outside


def warp_source(
    source: Pixels, target_pose: Keypoints, source_pose: Keypoints, variant: Variant = "paint"
) -> Pixels:
    """Return `source` (H, W, 3) in the target pose; both poses are in the frame (H, W).

    `paint`: every part over the one before. `max`: nearest-neighbour samples, maximum over parts.
    `torso-only`: the torso's map alone. `full`: one map fitted on torso and common knees. The
    source itself where the torso cannot be mapped.
    """
    size = (source.shape[0], source.shape[1])
    if variant == "full":
        transforms = [_body_affine(target_pose, source_pose)]
    else:
        transforms = part_transforms(target_pose, source_pose)
    if transforms[TORSO] is None:
        return source
    if variant in ("torso-only", "full"):
        return paint(source, transforms[:1], np.ones((1, *size), dtype=bool), (TORSO,))
    masks = part_masks(target_pose, size)
    if variant == "max":
        return maximum(source, transforms, masks)
    return paint(source, transforms, masks, PAINT_ORDER)


def _body_affine(target: Keypoints, source: Keypoints) -> Affine | None:
    """One map for the whole person: torso joints plus the knees visible in both poses."""
    if not (has_torso(target) and has_torso(source)):
        return None
    knees = common_joints(target, source, KNEES)
    return joint_affine(target, source, TORSO_JOINTS + knees)


def background_colour(source: Pixels) -> NDArray[np.float64]:
    """Return the median of each channel (3,) over the outer ring of 4 pixels of `source`."""
    ring = np.ones(source.shape[:2], dtype=bool)
    ring[_RING:-_RING, _RING:-_RING] = False
    return np.median(source[ring], axis=0)


def paint(
    source: Pixels,
    transforms: Sequence[Affine | None],
    masks: NDArray[np.bool_],
    order: Sequence[int],
) -> Pixels:
    """Return the background colour overpainted by bilinear samples of the parts in `order`.

    A part paints where its mask (parts, H, W) is set and its position lies inside the source.
    """
    height, width = source.shape[:2]
    colour = np.floor(background_colour(source) + 0.5).astype(np.uint8)
    canvas = np.tile(colour, (height, width, 1))
    flat = canvas.reshape(-1, 3)
    for part in order:
        transform = transforms[part]
        if transform is None:
            continue
        cells, x, y = _positions(transform, masks[part])
        inside = (x >= -_EDGE) & (x <= width - 1 + _EDGE)
        inside &= (y >= -_EDGE) & (y <= height - 1 + _EDGE)
        flat[cells[inside]] = sample_bilinear(source, x[inside], y[inside])
    return canvas


def maximum(
    source: Pixels, transforms: Sequence[Affine | None], masks: NDArray[np.bool_]
) -> Pixels:
    """Return the maximum over parts of nearest-neighbour samples, zero outside source and mask."""
    height, width = source.shape[:2]
    canvas = np.zeros_like(source)
    flat, pixels = canvas.reshape(-1, 3), source.reshape(-1, 3)
    for transform, mask in zip(transforms, masks, strict=True):
        if transform is None:
            continue
        cells, x, y = _positions(transform, mask)
        column, row = np.floor(x + 0.5), np.floor(y + 0.5)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        taken = row[inside].astype(np.int64) * width + column[inside].astype(np.int64)
        cells = cells[inside]
        flat[cells] = np.maximum(flat[cells], pixels[taken])
    return canvas


def _positions(
    transform: Affine, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Flat indices of the set pixels of `mask` (H, W), and where each lies in the source."""
    cells = np.flatnonzero(mask)
    row, column = np.divmod(cells, mask.shape[1])
    x = transform[0, 0] * column + transform[0, 1] * row + transform[0, 2]
    y = transform[1, 0] * column + transform[1, 1] * row + transform[1, 2]
    return cells, x, y


def sample_bilinear(source: Pixels, x: NDArray[np.float64], y: NDArray[np.float64]) -> Pixels:
    """Return `bilinear` rounded, floor(v + 0.5), uint8 (n, 3)."""
    return np.floor(bilinear(source, x, y) + 0.5).astype(np.uint8)


def bilinear(source: Pixels, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return bilinear samples (n, C) of `source` (H, W, C) at positions x, y (n,).

    Positions are pixel centres at integers and are clipped to [0, W-1] x [0, H-1].
    """
    height, width = source.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left = np.minimum(x.astype(np.int64), max(width - 2, 0))
    top = np.minimum(y.astype(np.int64), max(height - 2, 0))
    across, down = (x - left)[:, None], (y - top)[:, None]
    pixels = source.reshape(height * width, -1)
    corner = top * width + left
    step, line = min(width - 1, 1), width * min(height - 1, 1)
    upper_left, upper_right = pixels[corner], pixels[corner + step]
    lower_left, lower_right = pixels[corner + line], pixels[corner + line + step]
    upper = upper_left * (1 - across) + upper_right * across
    lower = lower_left * (1 - across) + lower_right * across
    out: NDArray[np.float64] = upper * (1 - down) + lower * down
    return out


@dataclass(frozen=True)
class LimbWarp:
    """Each body part of the source moved onto the target pose by its own affine map."""

    resolution: tuple[int, int]
    variant: Variant = "paint"
    kernel: str = "pil-bicubic-u8"
    name: str = "limb-warp"
    stages: tuple[str, ...] = ("final",)

    def unavailable(self) -> str | None:
        """Return None: always available."""
        return None

    def fallback(self, pair: Pair) -> str:
        """Return what the picture of `pair` is where no part can be mapped, else nothing."""
        target, source = pair.target_pose, pair.source_pose
        poses = target.resized(self.resolution), source.resized(self.resolution)
        return NO_TORSO if torso_affine(*poses) is None else ""

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the warped source of every pair; returns {pair_id: reason} of failures."""

        def warped(pair: Pair) -> Pixels:
            source = load_picture(pair.source, self.resolution, self.kernel)
            target_pose = pair.target_pose.resized(self.resolution)
            return warp_source(
                source, target_pose, pair.source_pose.resized(self.resolution), self.variant
            )

        return write_pictures(pairs, out, samples, warped)
