"""Noise schedules of training and sampling, with the traps of the published setting named.

Source: tencent-ailab/PCDMs:src/pipelines/*; public scheduler configurations of kandinsky-2-2-prior
(stage `prior`) and stable-diffusion-2-1-base (stages `inpaint`, `refine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UniPCMultistepScheduler
from torch import Tensor

from pcdms_data.types import InputError

FinalSigma = Literal["sigma_min", "zero"]
PredictionType = Literal["epsilon", "sample", "v_prediction"]
Sampler = Literal["unipc", "ddim"]
FINAL_SIGMAS: tuple[FinalSigma, ...] = ("sigma_min", "zero")


@dataclass(frozen=True)
class LatentSchedule:
    """Diffusion schedule of the stages `inpaint` and `refine`; defaults are the published ones."""

    prediction_type: PredictionType = "epsilon"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    num_train_timesteps: int = 1000
    sampler: Sampler = "unipc"
    """Solver of sampling; the authors' simplified demo alone uses `ddim`."""


PUBLISHED_SCHEDULE = LatentSchedule()


def _levels(schedule: LatentSchedule) -> dict[str, Any]:
    """Return the arguments that every scheduler class of the library takes alike."""
    return {
        "num_train_timesteps": schedule.num_train_timesteps,
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.beta_schedule,
        "prediction_type": schedule.prediction_type,
    }


def training_scheduler(schedule: LatentSchedule) -> DDPMScheduler:
    """Return the DDPM scheduler that adds training noise."""
    return DDPMScheduler(
        **_levels(schedule),
        clip_sample=False,
    )


def prior_training_scheduler() -> DDPMScheduler:
    """Return the DDPM scheduler of the prior: cosine betas, the network predicts the embedding."""
    return DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False
    )


def sampling_scheduler(
    schedule: LatentSchedule, steps: int, final_sigma: FinalSigma
) -> UniPCMultistepScheduler | DDIMScheduler:
    """Return the schedule's sampler with its `steps` time steps set (offset 1).

    UniPC, order 2, linspace: `final_sigma="sigma_min"` ends at sigma 0.0292, as diffusers 0.24 did
    when the authors sampled; "zero" is today's default of the library and gives other pictures.
    DDIM, leading, without noise, ends at the first training level and knows no final sigma.
    Source of the last: tencent-ailab/PCDMs:pcdms_kaggle_demo.ipynb.
    """
    if schedule.sampler == "ddim":
        ddim = DDIMScheduler(
            **_levels(schedule),
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        )
        ddim.set_timesteps(steps)
        return ddim
    if schedule.sampler != "unipc":
        raise InputError(f"unknown sampler {schedule.sampler!r}, expected unipc or ddim")
    scheduler = UniPCMultistepScheduler(
        **_levels(schedule),
        steps_offset=1,
        final_sigmas_type=final_sigma,
    )
    scheduler.set_timesteps(steps)
    return scheduler


@dataclass(frozen=True)
class UnCLIPStep:
    """Coefficients of one ancestral step: x <- x0_scale * x0 + x_scale * x + noise_scale * z."""

    timestep: int
    x0_scale: Tensor
    x_scale: Tensor
    noise_scale: Tensor


def unclip_steps(steps: int) -> list[UnCLIPStep]:
    """Return the ancestral sampling steps of the prior, first to last; the last draws no noise.

    The stock UnCLIPScheduler draws its noise inside `step`; here it is an input, so the step is
    ours. The schedule stays in float32 as published: at t = 0 the factor loses digits there, and
    the published embeddings carry that. Source: Ho et al. 2020, equation 7; Ramesh et al. 2022.
    """
    alphas_cumprod = cast(Tensor, prior_training_scheduler().alphas_cumprod)
    one = torch.ones((), dtype=alphas_cumprod.dtype)
    ratio = 999 / (steps - 1) if steps > 1 else 0.0
    times = [round(i * ratio) for i in range(steps)][::-1] if steps > 1 else [999]
    table = []
    for index, time in enumerate(times):
        last = index + 1 == steps
        bar = alphas_cumprod[time]
        bar_prev = one if last else alphas_cumprod[times[index + 1]]
        # For the last step the published loop passes no previous time step: the library then takes
        # t - 1, whose schedule entry is used directly instead of a ratio.
        beta = prior_training_scheduler().betas[time] if last else 1 - bar / bar_prev
        noise = torch.exp(0.5 * torch.log(((1 - bar_prev) / (1 - bar) * beta).clamp(min=1e-20)))
        table.append(
            UnCLIPStep(
                timestep=time,
                x0_scale=bar_prev.sqrt() * beta / (1 - bar),
                x_scale=(1 - beta).sqrt() * (1 - bar_prev) / (1 - bar),
                noise_scale=torch.zeros(()) if last else noise,
            )
        )
    return table
