"""The training loss of PIDM: squared error of the prediction, and a bound that teaches variances.

Source: ankanbhunia/PIDM:diffusion.py, models/losses.py, train.py; the bound after arXiv 2102.09672,
section 3.1. Published: no factor before it, in bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pcdms_baselines.pidm.diffusion import Diffusion
from pcdms_baselines.pidm.network import PidmDenoiser

LEVEL = 1 / 255
"""Half the distance between two grey levels in [-1, 1]."""
SURE = 1e-12
"""Least probability whose logarithm is taken."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows: pictures (B, C, h, w) in [-1, 1], and the target's pose (B, P, h, w)."""

    source: Tensor
    target: Tensor
    pose: Tensor


class PidmLoss:
    """(module, rows, generator of randomness) -> the loss, the mean over the rows.

    `drop` is the share of rows whose source is zeroed; their pose stays. `mirror`: half of the rows
    are mirrored as a whole, channels of the pose unchanged, as published.
    """

    def __init__(self, diffusion: Diffusion, drop: float = 0.1, mirror: bool = False) -> None:
        self.diffusion, self.drop, self.mirror = diffusion, drop, mirror

    def __call__(self, module: nn.Module, rows: Any, generator: torch.Generator) -> Tensor:
        """Return the scalar loss; times, noise, drops and mirrors come from the generator."""
        assert isinstance(module, PidmDenoiser)
        device = next(module.parameters()).device
        count = len(rows.target)
        t = torch.randint(len(self.diffusion.betas), (count,), generator=generator).to(device)
        noise = torch.randn(rows.target.shape, generator=generator).to(device)
        seen = torch.rand(count, generator=generator).to(device) >= self.drop
        source, clean, pose = (maps.to(device) for maps in (rows.source, rows.target, rows.pose))
        if self.mirror:
            turned = torch.rand(count, generator=generator).to(device)[:, None, None, None] < 0.5
            source, clean, pose = (
                torch.where(turned, maps.flip(-1), maps) for maps in (source, clean, pose)
            )
        x_t = self.diffusion.noised(clean, t, noise)
        said = module(x_t, t, pose, source * seen[:, None, None, None]).float()
        channels = clean.shape[1]
        wanted = noise if self.diffusion.prediction == "noise" else clean
        loss = (said[:, :channels] - wanted).square().mean()
        if said.shape[1] > channels:
            loss = loss + variational_bits(self.diffusion, said, clean, x_t, t).mean()
        return loss


def variational_bits(
    diffusion: Diffusion, said: Tensor, clean: Tensor, x_t: Tensor, t: Tensor
) -> Tensor:
    """Return each row's term of the variational bound, bits per value (B,).

    It teaches the variance alone: the prediction in `said` (B, 2C, h, w) is held. At time 0 the
    term is the likelihood of the grey levels, later a divergence of two normal distributions.
    """
    prediction, numbers = said.chunk(2, dim=1)
    guess, _ = diffusion.clean_and_noise(prediction.detach(), x_t, t)
    mean = diffusion.posterior_mean(guess, x_t, t)
    log_variance = diffusion.log_variance(numbers, t, x_t)
    true_mean = diffusion.posterior_mean(clean, x_t, t)
    true_log = diffusion.log_variance(None, t, x_t)
    divergence = 0.5 * (
        log_variance - true_log - 1
        + (true_log - log_variance).exp()
        + (true_mean - mean).square() * (-log_variance).exp()
    )  # fmt: skip
    likelihood = level_log_likelihood(clean, mean, log_variance / 2)
    nats = torch.where(t[:, None, None, None] == 0, -likelihood, divergence)
    return nats.flatten(1).mean(1) / math.log(2)


def level_log_likelihood(values: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Return the log probability that a normal variable falls on the grey level of each value.

    Levels are 2 / 255 wide; black and white also take what lies beyond them. The normal's integral
    is the approximation of Page by a hyperbolic tangent, as published.
    """
    precision = (-log_deviation).exp()
    below_upper = _below((values - mean + LEVEL) * precision)
    below_lower = _below((values - mean - LEVEL) * precision)
    inside = torch.where(
        values < -0.999, below_upper,
        torch.where(values > 0.999, 1 - below_lower, below_upper - below_lower),
    )  # fmt: skip
    return inside.clamp(min=SURE).log()


def _below(x: Tensor) -> Tensor:
    return 0.5 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())
