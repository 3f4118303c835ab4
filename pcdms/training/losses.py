"""The losses of the autoencoder and of the three stages, over tables of ready tensors.

Frozen parts (encoders, autoencoder) never run inside a training step: their outputs are computed
once and stand in tables, as half precision. Source: PCDMs section 3; tencent-ailab/PCDMs:
stage{1,2,3}_train_*.py. Deviations from it are options, named where they are set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional

from pcdms.sampling import known_mask, to_signed
from pcdms.schedulers import LatentSchedule, prior_training_scheduler, training_scheduler


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

    tokens: Tensor
    embedding: Tensor
    pose: Tensor
    pose_image: Tensor
    person: Tensor


def device_of(module: nn.Module) -> torch.device:
    """Return where the module's weights lie; tables stay in main memory, a batch goes there."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def draw_latents(moments: Tensor, generator: torch.Generator) -> Tensor:
    """Return posterior draws of moments (B, 2C, h, w): scaled mean and standard deviation."""
    mean, std = moments.float().chunk(2, dim=1)
    return mean + std * torch.randn(mean.shape, generator=generator).to(mean.device)


def _dropped(rows: int, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand(rows, generator=generator) < probability


def _noisy(
    clean: Tensor, scheduler: DDPMScheduler, noise_offset: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (noisy latents, time steps, regression target) of clean latents (B, C, h, w).

    `noise_offset` scales a draw per picture and channel that is added to the noise.
    """
    noise = torch.randn(clean.shape, generator=generator)
    if noise_offset:
        noise = noise + noise_offset * torch.randn((*clean.shape[:2], 1, 1), generator=generator)
    noise = noise.to(clean.device)
    time = torch.randint(
        0, scheduler.config["num_train_timesteps"], (len(clean),), generator=generator
    )
    time = time.to(clean.device)
    noisy: Any = scheduler.add_noise(clean, noise, time)
    kind = scheduler.config["prediction_type"]
    if kind == "sample":
        return noisy, time, clean
    if kind == "epsilon":
        return noisy, time, noise
    velocity: Any = scheduler.get_velocity(clean, noise, time)
    return noisy, time, velocity


class PriorLoss:
    """Mean squared error of the predicted normalised target embedding (paper equation 3).

    Each of source embedding, source pose and target pose is dropped (zeroed) with probability
    `drop`. `noise_offset` 0.1 as in the published script.
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        clip_mean: float,
        clip_std: float,
        drop: float = 0.1,
        noise_offset: float = 0.1,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.mean, self.std = clip_mean, clip_std
        self.drop, self.noise_offset = drop, noise_offset
        self.scheduler = prior_training_scheduler()

    def __call__(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of the pairs in `rows`."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        clean = (self.pictures.embedding[target].float() - self.mean) / self.std
        noise = torch.randn(clean.shape, generator=generator)
        noise = noise + self.noise_offset * torch.randn((len(rows), 1), generator=generator)
        time = torch.randint(0, 1000, (len(rows),), generator=generator)
        noisy: Any = self.scheduler.add_noise(clean, noise, time)
        conditions = [
            self.pictures.embedding[source].float(),
            self.pictures.pose[source],
            self.pictures.pose[target],
        ]
        conditions = [
            torch.where(_dropped(len(rows), self.drop, generator)[:, None], 0.0, value)
            for value in conditions
        ]
        device = device_of(module)
        out = module(*(value.to(device) for value in (noisy, time, *conditions)))
        return functional.mse_loss(out.float(), clean.to(device))


class InpaintLoss:
    """Weighted squared error on the canvas latents of the inpainting stage (paper equation 4).

    `canvas` and `masked` hold the posterior moments (P or N, 2C, h, 2w) of source|target (a row a
    pair) and source|black (a row a picture), encoded as wholes because the autoencoder sees the
    seam. `known_weight` weighs the known half (published: 1), `person_weight` adds weight on the
    person. With probability `drop` all conditions but the pose are null, and independently the
    target embedding alone; `predicted` (P, D) holds the prior's embeddings, which replace the true
    ones in half of the rows when given (published training uses true ones only).
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        canvas: Tensor,
        masked: Tensor,
        schedule: LatentSchedule,
        predicted: Tensor | None = None,
        known_weight: float = 1.0,
        person_weight: float = 0.0,
        drop: float = 0.1,
        noise_offset: float = 0.1,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.canvas, self.masked, self.predicted = canvas, masked, predicted
        self.known_weight, self.person_weight = known_weight, person_weight
        self.drop, self.noise_offset = drop, noise_offset
        self.scheduler = training_scheduler(schedule)

    def __call__(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of the pairs in `rows`."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        clean = draw_latents(self.canvas[rows], generator)
        masked = draw_latents(self.masked[source], generator)
        noisy, time, wanted = _noisy(clean, self.scheduler, self.noise_offset, generator)
        embedding = self.pictures.embedding[target].float()
        if self.predicted is not None:
            swap = _dropped(len(rows), 0.5, generator)[:, None]
            embedding = torch.where(swap, self.predicted[rows].float(), embedding)
        alone = _dropped(len(rows), self.drop, generator)[:, None]
        embedding = torch.where(alone, 0.0, embedding)
        drawn = torch.cat(
            [self.pictures.pose_image[source], self.pictures.pose_image[target]], dim=-1
        )
        known = known_mask(clean)
        inputs = (
            torch.cat([noisy, known, masked], dim=1),
            time,
            self.pictures.tokens[source].float(),
            embedding,
            to_signed(drawn, torch.float32),
            _dropped(len(rows), self.drop, generator),
        )
        device = device_of(module)
        out = module(*(value.to(device) for value in inputs)).float()
        person = self.pictures.person[target].float()
        person = torch.cat([torch.zeros_like(person), person], dim=-1)
        weight = known * self.known_weight + (1 - known) * (1 + self.person_weight * person)
        weight = weight.to(device)
        return ((out - wanted.to(device)) ** 2 * weight).mean() / weight.mean()


class RefineLoss:
    """Squared error on the target's latents given the coarse picture's (paper equation 5).

    `clean` (N, 2C, h, w) holds moments of the targets a row a picture, `coarse` (P, 2C, h, w) those
    of the stage-`inpaint` pictures a row a pair. With probability `drop` both the tokens and the
    coarse latent are null, which is what the published sampler feeds; the published training drops
    the coarse picture alone.
    """

    def __init__(
        self,
        pictures: PictureTable,
        pairs: PairTable,
        clean: Tensor,
        coarse: Tensor,
        schedule: LatentSchedule,
        person_weight: float = 0.0,
        drop: float = 0.1,
        noise_offset: float = 0.1,
    ) -> None:
        self.pictures, self.pairs = pictures, pairs
        self.clean, self.coarse = clean, coarse
        self.person_weight = person_weight
        self.drop, self.noise_offset = drop, noise_offset
        self.scheduler = training_scheduler(schedule)

    def __call__(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of the pairs in `rows`."""
        source, target = self.pairs.source[rows], self.pairs.target[rows]
        clean = draw_latents(self.clean[target], generator)
        coarse = draw_latents(self.coarse[rows], generator)
        noisy, time, wanted = _noisy(clean, self.scheduler, self.noise_offset, generator)
        null = _dropped(len(rows), self.drop, generator)
        coarse = torch.where(null[:, None, None, None], 0.0, coarse)
        tokens = self.pictures.tokens[source].float()
        device = device_of(module)
        inputs = (torch.cat([noisy, coarse], dim=1), time, tokens, null)
        out = module(*(value.to(device) for value in inputs)).float()
        weight = (1 + self.person_weight * self.pictures.person[target].float()).to(device)
        return ((out - wanted.to(device)) ** 2 * weight).mean() / weight.mean()


class AutoencoderLoss:
    """Reconstruction of pictures uint8 (N, 3, H, W): squared, L1, L1 of gradients, and a weak KL.

    The squared term brings colour early, the other two keep edges.

    A random draw of the posterior is decoded. Pictures are shown alone and as canvases
    (picture|picture, picture|black), the forms in which the stages use the autoencoder.
    """

    def __init__(
        self, pictures: Tensor, kl_weight: float = 1e-6, gradient_weight: float = 0.25
    ) -> None:
        self.pictures = pictures
        self.kl_weight, self.gradient_weight = kl_weight, gradient_weight

    def __call__(self, module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of the pictures in `rows`."""
        pixels = to_signed(self.pictures[rows], torch.float32).to(device_of(module))
        form = int(torch.randint(0, 4, (), generator=generator))
        half = len(pixels) // 2
        form = form if half else 2  # a single picture makes no canvas
        if form == 0:
            pixels = torch.cat([pixels[:half], pixels[half : 2 * half]], dim=-1)
        elif form == 1:
            left = pixels[:half]
            pixels = torch.cat([left, torch.full_like(left, -1.0)], dim=-1)
        vae: Any = getattr(module, "module", module)
        posterior = vae.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(pixels.device)
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        error = decoded - pixels
        gradient = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        gradient = gradient + (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
        return (
            4 * error.square().mean()
            + 0.5 * error.abs().mean()
            + self.gradient_weight * gradient
            + self.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        )
