"""The losses of stages `prior` and `inpaint`, over tables of what the frozen parts say of pictures.

Frozen parts (encoders, autoencoder) never run inside a training step: their outputs are computed
once and stand in tables, as half precision. A loss is its own row source: `fetch` looks rows up,
which the loop does a step ahead, and the call draws and compares. Source: PCDMs section 3;
tencent-ailab/PCDMs:stage{1,2,3}_train_*.py. Deviations from it are options, named where they are
set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional

from pcdms.sampling import known_mask, to_signed
from pcdms.schedulers import LatentSchedule, prior_training_scheduler, training_scheduler
from pcdms.training.conditions import Dropout, NullConditions, dropped
from pcdms.training.diffusion import add_noise, draw_latents, snr_weights


class Table(Protocol):
    """Rows by number: a tensor, or something that reads or makes rows when they are asked for."""

    def __len__(self) -> int:
        """Number of rows."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the rows (B, ...) of row numbers int64 (B,)."""


Rows = dict[str, Tensor]
"""What a loss fetched of one micro-batch, by name."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """Training pairs as row numbers of pictures: source and target int64 (P,)."""

    source: Tensor
    target: Tensor


@dataclass(frozen=True, eq=False)
class PictureTable:
    """What is known of each of N pictures.

    `tokens` (N, T, Dt), `embedding` (N, D), `pose` (N, 2K) in [0, 1], `pose_image` uint8
    (N, 3, H, W), `person` (N, 1, h, w): share of person pixels in each latent cell.
    """

    tokens: Table
    embedding: Tensor
    pose: Tensor
    pose_image: Table
    person: Table


def device_of(module: nn.Module) -> torch.device:
    """Return where the module's weights lie; tables stay in main memory, a batch goes there."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


class PriorLoss:
    """Mean squared error of the predicted normalised target embedding (paper equation 3).

    Each of source embedding, source pose and target pose is dropped with probability `drop`, see
    `Dropout` for what stands in. `noise_offset` 0.1 as in the published script. `min_snr` caps the
    weight of low noise (published: none).
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        clip_mean: float,
        clip_std: float,
        drop: float = 0.1,
        noise_offset: float = 0.1,
        null: NullConditions | None = None,
        min_snr: float | None = None,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.mean, self.std = clip_mean, clip_std
        self.dropout, self.noise_offset, self.min_snr = Dropout(drop, null), noise_offset, min_snr
        self.scheduler = prior_training_scheduler()

    def __len__(self) -> int:
        return len(self.pairs.source)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows of pairs (B,)."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        return {
            "wanted": self.pictures.embedding[target],
            "source": self.pictures.embedding[source],
            "source_pose": self.pictures.pose[source],
            "target_pose": self.pictures.pose[target],
        }

    def __call__(
        self, module: nn.Module, batch: Rows | Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of fetched rows, or of row numbers."""
        rows = self.fetch(batch) if isinstance(batch, Tensor) else batch
        clean = (rows["wanted"].float() - self.mean) / self.std
        noisy = add_noise(clean, self.scheduler, self.noise_offset, generator)
        conditions = self.dropout.prior(
            rows["source"].float(), rows["source_pose"], rows["target_pose"], generator
        )
        device = device_of(module)
        inputs = (noisy.values, noisy.time, *conditions)
        out = module(*(value.to(device) for value in inputs)).float()
        if self.min_snr is None:
            return functional.mse_loss(out, clean.to(device))
        weight = snr_weights(self.scheduler, noisy.time, self.min_snr).to(device)
        return ((out - clean.to(device)) ** 2 * weight[:, None]).mean()


class InpaintLoss:
    """Weighted squared error on the canvas latents of the inpainting stage (paper equation 4).

    `canvas` and `masked` hold the posterior moments (P or N, 2C, h, 2w) of source|target (a row a
    pair) and source|black (a row a picture), encoded as wholes because the autoencoder sees the
    seam. `known_weight` weighs the known half (published: 1), `person_weight` adds weight on the
    person. Source tokens and target embedding are dropped with probability `drop`, see `Dropout`;
    `predicted` (P, D) holds the prior's embeddings, which replace the true ones in half of the rows
    when given (published training uses true ones only). `min_snr` caps the weight of low noise.
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        canvas: Table,
        masked: Table,
        schedule: LatentSchedule,
        predicted: Tensor | None = None,
        known_weight: float = 1.0,
        person_weight: float = 0.0,
        drop: float = 0.1,
        noise_offset: float = 0.1,
        null: NullConditions | None = None,
        min_snr: float | None = None,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.canvas, self.masked, self.predicted = canvas, masked, predicted
        self.known_weight, self.person_weight = known_weight, person_weight
        self.dropout, self.noise_offset, self.min_snr = Dropout(drop, null), noise_offset, min_snr
        self.scheduler = training_scheduler(schedule)

    def __len__(self) -> int:
        return len(self.pairs.source)

    def fetch(self, rows: Tensor) -> Rows:
        """Return the rows of pairs (B,); `drawn` uint8 (B, 3, H, 2W) is source | target pose."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        pose = self.pictures.pose_image
        found = {
            "canvas": self.canvas[rows],
            "masked": self.masked[source],
            "tokens": self.pictures.tokens[source],
            "embedding": self.pictures.embedding[target],
            "drawn": torch.cat([pose[source], pose[target]], dim=-1),
            "person": self.pictures.person[target],
        }
        return found if self.predicted is None else found | {"predicted": self.predicted[rows]}

    def __call__(
        self, module: nn.Module, batch: Rows | Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of fetched rows, or of row numbers."""
        rows = self.fetch(batch) if isinstance(batch, Tensor) else batch
        clean = draw_latents(rows["canvas"], generator)
        masked = draw_latents(rows["masked"], generator)
        noisy = add_noise(clean, self.scheduler, self.noise_offset, generator)
        embedding = rows["embedding"].float()
        if "predicted" in rows:
            swap = dropped(len(clean), 0.5, generator)[:, None]
            embedding = torch.where(swap, rows["predicted"].float(), embedding)
        tokens, embedding, null = self.dropout.inpaint(rows["tokens"], embedding, generator)
        known, device = known_mask(clean), device_of(module)
        out = module(
            torch.cat([noisy.values, known, masked], dim=1).to(device),
            noisy.time.to(device),
            tokens.to(device).float(),
            embedding.to(device),
            to_signed(rows["drawn"].to(device), torch.float32),
            None if null is None else null.to(device),
        )
        person = rows["person"].float()
        person = torch.cat([torch.zeros_like(person), person], dim=-1)
        weight = known * self.known_weight + (1 - known) * (1 + self.person_weight * person)
        each = capped(self.scheduler, noisy.time, self.min_snr)
        return weighted(out, noisy.wanted, weight, each)


def capped(scheduler: DDPMScheduler, time: Tensor, most: float | None) -> Tensor | None:
    """Return the minimum-SNR weights (B,) of rows at time steps (B,), None without a cap."""
    return None if most is None else snr_weights(scheduler, time, most)


def weighted(out: Tensor, wanted: Tensor, weight: Tensor, each: Tensor | None) -> Tensor:
    """Return the mean squared error, weighted per cell (to mean 1) and, if given, per row."""
    device = out.device
    weight = weight.to(device)
    error = (out.float() - wanted.to(device)) ** 2 * weight
    if each is not None:
        error = error * each.to(device)[:, None, None, None]
    return error.mean() / weight.mean()
