"""Noise, time steps and loss weights of diffusion training, as pure functions.

Source: Ho et al. 2020, equation 14; minimum-SNR weights: arXiv 2303.09556, section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Noisy:
    """Noisy values, what is to be predicted and the noise, all (B, ...); time steps int64 (B,)."""

    values: Tensor
    time: Tensor
    wanted: Tensor
    noise: Tensor


def draw_latents(moments: Tensor, generator: torch.Generator) -> Tensor:
    """Return posterior draws of moments (B, 2C, h, w): scaled mean and standard deviation."""
    mean, std = moments.float().chunk(2, dim=1)
    return mean + std * torch.randn(mean.shape, generator=generator).to(mean.device)


def add_noise(
    clean: Tensor,
    scheduler: DDPMScheduler,
    noise_offset: float,
    generator: torch.Generator,
    shares: Mapping[int, float] | None = None,
) -> Noisy:
    """Return noisy values of `clean` (B, C, ...) at random time steps.

    `noise_offset` scales a draw per row and channel (per row where a row is a vector) that is
    added to the noise. `shares` gives time steps a share of the rows (a network that is sampled in
    two steps needs little else); the rest is uniform, as published.
    """
    noise = torch.randn(clean.shape, generator=generator)
    if noise_offset:
        per = (*clean.shape[:2], 1, 1) if clean.dim() == 4 else (len(clean), 1)
        noise = noise + noise_offset * torch.randn(per, generator=generator)
    noise = noise.to(clean.device)
    time = torch.randint(
        0, scheduler.config["num_train_timesteps"], (len(clean),), generator=generator
    )
    if shares:
        time = _preferred(time, shares, generator)
    time = time.to(clean.device)
    noisy: Any = scheduler.add_noise(clean, noise, time)
    kind = scheduler.config["prediction_type"]
    if kind == "sample":
        return Noisy(noisy, time, clean, noise)
    if kind == "epsilon":
        return Noisy(noisy, time, noise, noise)
    velocity: Any = scheduler.get_velocity(clean, noise, time)
    return Noisy(noisy, time, velocity, noise)


def _preferred(time: Tensor, shares: Mapping[int, float], generator: torch.Generator) -> Tensor:
    """Return `time` (B,) with each time step of `shares` in its expected share of the rows."""
    place = torch.rand(len(time), generator=generator)
    for value, share in shares.items():
        time = torch.where((place >= 0) & (place < share), value, time)
        place = place - share
    return time


def renoised(clean: Tensor, noise: Tensor, time: Tensor, scheduler: DDPMScheduler) -> Tensor:
    """Return `clean` (B, C, ...) with this noise at time steps (B,): a step of DDIM without noise.

    What a sampler meets after predicting `clean` from `noise` alone. Source: arXiv 2010.02502,
    equation 12 with sigma 0.
    """
    values: Any = scheduler.add_noise(clean, noise, time)
    result: Tensor = values
    return result


def snr_weights(scheduler: DDPMScheduler, time: Tensor, most: float) -> Tensor:
    """Return the loss weights (B,) that cap the signal-to-noise ratio of the clean value's loss.

    min(SNR, most) where the clean value is predicted, divided by SNR for noise, by SNR + 1 for
    velocity, so that all three weigh the same loss.
    """
    bars: Any = scheduler.alphas_cumprod
    ratio = (bars / (1 - bars)).to(time.device)[time]
    capped = ratio.clamp(max=most)
    kind = scheduler.config["prediction_type"]
    if kind == "sample":
        return capped
    return capped / (ratio if kind == "epsilon" else ratio + 1)
