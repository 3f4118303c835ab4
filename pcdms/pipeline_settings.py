"""What goes into one call of the pipeline besides pictures, what comes out, and its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdms.guidance import EVERYWHERE, Interval
from pcdms.sampling import NullMode
from pcdms.schedulers import FinalSigma
from pcdms_data.images import resize
from pcdms_data.seeds import pair_seed
from pcdms_data.types import Batch


@dataclass(frozen=True, eq=False)
class StageOutputs:
    """What each stage that ran leaves; None for a stage that did not run.

    `embedding` float32 (B, S, D), `inpaint` and `refine` uint8 (B, S, 3, H, W), S samples.
    """

    embedding: NDArray[np.float32] | None
    inpaint: NDArray[np.uint8] | None
    refine: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Sampling:
    """Settings of one call; None takes the default of the model directory."""

    seed: int = 0
    samples: int = 1
    steps: int | None = None
    guidance: float | None = None
    guidance_rescale: float = 0.0
    null: NullMode = "published"
    final_sigma: FinalSigma = "sigma_min"
    chunk: int = 8
    guidance_interval: Interval = EVERYWHERE
    prior_steps: int | None = None


def draw_noise(
    pair_ids: Sequence[str],
    index: NDArray[np.intp],
    stage: str,
    settings: Sampling,
    shapes: Sequence[tuple[int, ...]],
) -> list[Tensor]:
    """Return one standard normal tensor (rows, *shape) per shape, drawn row by row on the CPU.

    `index` numbers rows as pair * samples + sample. Each row has a generator of its own, and CPU
    draws make the noise independent of the device.
    """
    drawn: list[list[Tensor]] = [[] for _ in shapes]
    for row in index:
        pair, sample = divmod(int(row), settings.samples)
        generator = torch.Generator().manual_seed(
            pair_seed(settings.seed, pair_ids[pair], stage, sample)
        )
        for tensors, shape in zip(drawn, shapes, strict=True):
            tensors.append(torch.randn(shape, generator=generator))
    return [torch.stack(tensors) for tensors in drawn]


def in_frame(batch: Batch, size: tuple[int, int]) -> Batch:
    """Return `batch` with pictures stretched to `size` = (H, W), key points with them."""
    old = batch.source.shape[2:]
    if old == size:
        return batch

    scale = np.array([size[1] / old[1], size[0] / old[0]], dtype=np.float32)
    return Batch(
        batch.pair_ids,
        stretched(batch.source, size),
        stretched(batch.target, size),
        batch.source_xy * scale,
        batch.target_xy * scale,
        batch.source_visible,
        batch.target_visible,
    )


def stretched(pictures: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return pictures (B, 3, H, W) stretched to `size` = (H, W)."""
    if pictures.shape[2:] == size:
        return pictures
    rows = [resize(p.transpose(1, 2, 0), size, "pil-bicubic-u8") for p in pictures]
    return np.stack(rows).transpose(0, 3, 1, 2).astype(np.uint8)
