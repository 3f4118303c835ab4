"""The sampling loop of CFLD: ancestral DDPM steps, guided first by the pose, then by the source.

Source: YanzuoLu/CFLD:pose_transfer_test.py, models/*.py. Every random draw is an argument, which
the stock scheduler does not allow; its schedule and its arithmetic are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from pcdms_data.types import InputError

TIMES = 1000
PUBLISHED_STEPS = 50
PUBLISHED_GUIDANCE = 2.0

Prediction = Literal["epsilon", "sample", "v_prediction"]
Spacing = Literal["leading", "trailing"]

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(latents (B, C, h, w), time int64 (B,)) -> what the network predicts."""


@dataclass(frozen=True)
class Schedule:
    """What the network predicts, and where among the 1,000 time steps the steps lie."""

    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"

    def scheduler(self) -> DDPMScheduler:
        """Return the published noise schedule: Stable Diffusion's, without clipping."""
        return DDPMScheduler(
            num_train_timesteps=TIMES,
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type=self.prediction,
            timestep_spacing=self.spacing,
            steps_offset=1,
            clip_sample=False,
        )


PUBLISHED_SCHEDULE = Schedule()


def schedule_of(options: Mapping[str, Any]) -> Schedule:
    """Return the schedule that a configuration's `prediction` and `spacing` name."""
    for name, allowed in (("prediction", get_args(Prediction)), ("spacing", get_args(Spacing))):
        if options.get(name, allowed[0]) not in allowed:
            raise InputError(
                f"unknown {name} {options[name]!r}, expected one of {', '.join(allowed)}"
            )
    return Schedule(options.get("prediction", "epsilon"), options.get("spacing", "leading"))


def sample_latents(
    denoise: Denoiser, noise: Tensor, schedule: Schedule = PUBLISHED_SCHEDULE
) -> Tensor:
    """Return the last latents (B, C, h, w), still scaled.

    `noise` (steps + 1, B, C, h, w): first the start, then the draw of every step; that of the last
    one counts for 1e-10.
    """
    scheduler = schedule.scheduler()
    scheduler.set_timesteps(len(noise) - 1)
    bars: Any = scheduler.alphas_cumprod
    times = scheduler.timesteps.tolist()
    one = torch.ones(())
    latents = noise[0]
    for index, time in enumerate(times):
        bar, before = bars[time], bars[times[index + 1]] if index + 1 < len(times) else one
        rows = torch.full((len(latents),), time, device=latents.device)
        clean = _clean(denoise(latents, rows), latents, bar, schedule.prediction)
        beta = 1 - bar / before
        # Ho et al. 2020, equation 7, with the smaller of its two variances.
        mean = _mixed(before**0.5 * beta / (1 - bar), clean)
        mean = mean + _mixed((bar / before) ** 0.5 * (1 - before) / (1 - bar), latents)
        spread = ((1 - before) / (1 - bar) * beta).clamp(min=1e-20) ** 0.5
        latents = mean + _mixed(spread, noise[index + 1])
    return latents


def guide(predictions: Tensor, scale: float) -> Tensor:
    """Return the guided prediction (B, ...) of three branches (3B, ...), `uc_down_full`.

    They follow each other: unconditional, with the pose, with pose and source. Both steps of
    guidance have the same scale.
    """
    free, posed, full = predictions.chunk(3)
    return free + scale * (posed - free) + scale * (full - posed)


def _clean(output: Tensor, latents: Tensor, bar: Tensor, prediction: Prediction) -> Tensor:
    """Return the clean latents that a network's output stands for."""
    if prediction == "sample":
        return output
    signal, sigma = bar**0.5, (1 - bar) ** 0.5
    if prediction == "epsilon":
        return (latents - _mixed(sigma, output)) / signal.to(latents.device)
    return _mixed(signal, latents) - _mixed(sigma, output)


def _mixed(share: Tensor, values: Tensor) -> Tensor:
    return share.to(values.device, values.dtype) * values
