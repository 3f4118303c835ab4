"""The noise process of PIDM: 1,000 steps with linear betas, and what follows from a prediction.

Source: ankanbhunia/PIDM:diffusion.py, config/diffusion.conf; learned variances after Nichol and
Dhariwal (arXiv 2102.09672, equation 15). Tables are float64, pictures keep their number type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Prediction = Literal["noise", "clean"]
Loop = Literal["ddim", "ddpm"]
PREDICTIONS: tuple[str, ...] = get_args(Prediction)
LOOPS: tuple[str, ...] = get_args(Loop)

TIMES = 1000
FIRST_BETA, LAST_BETA = 1e-4, 2e-2


@dataclass(frozen=True)
class Process:
    """What a network was taught, and how pictures are drawn with it; as published by default.

    `prediction` is what it says of a noisy picture: the noise in it, or the clean picture. `shift`
    divides signal by noise at every time, so that more times are spent where nothing but noise is
    seen (simple diffusion, arXiv 2301.11093, section 3.1, there for large pictures).
    """

    prediction: Prediction = "noise"
    shift: float = 1.0
    loop: Loop = "ddim"


def linear_betas(times: int = TIMES) -> Tensor:
    """Return the published betas, float64 (times,)."""
    return torch.linspace(FIRST_BETA, LAST_BETA, times, dtype=torch.float64)


class Diffusion:
    """Tables over the times 0 .. T - 1, and the distributions that they describe.

    Times are int64 (B,), pictures (B, C, h, w).
    """

    def __init__(self, process: Process | None = None, betas: Tensor | None = None) -> None:
        process = process or Process()
        self.prediction = process.prediction
        kept = (1 - (linear_betas() if betas is None else betas)).cumprod(0)
        self.kept = kept / (kept + (1 - kept) * process.shift**2)
        self.kept_before = torch.cat([torch.ones_like(kept[:1]), self.kept[:-1]])
        self.betas = 1 - self.kept / self.kept_before
        variance = self.betas * (1 - self.kept_before) / (1 - self.kept)
        # At time 0 the posterior has no width; its neighbour's stands in, as published.
        self.least_log = torch.cat([variance[1:2], variance[1:]]).log()
        self.most_log = self.betas.log()

    def noised(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return pictures at the times `t`."""
        kept = self.at(self.kept, t, clean)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def clean_and_noise(self, said: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean picture and the noise that follow from a prediction; nothing is clipped.

        `said` (B, C, h, w) is the network's output without the numbers for the variance.
        """
        kept = self.at(self.kept, t, x_t)
        if self.prediction == "noise":
            return (x_t - (1 - kept).sqrt() * said) / kept.sqrt(), said
        return said, (x_t - kept.sqrt() * said) / (1 - kept).sqrt()

    def posterior_mean(self, clean: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the mean of the picture one step earlier, the clean one being known."""
        of_clean = self.betas * self.kept_before.sqrt() / (1 - self.kept)
        of_noisy = (1 - self.kept_before) * (1 - self.betas).sqrt() / (1 - self.kept)
        return self.at(of_clean, t, x_t) * clean + self.at(of_noisy, t, x_t) * x_t

    def log_variance(self, numbers: Tensor | None, t: Tensor, like: Tensor) -> Tensor:
        """Return the log variance of a step back: -1 the least, 1 the most there can be.

        Without `numbers` (B, C, h, w) from the network it is the least, that of the posterior.
        """
        least = self.at(self.least_log, t, like)
        if numbers is None:
            return least
        share = (numbers + 1) / 2
        return share * self.at(self.most_log, t, like) + (1 - share) * least

    def at(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Return the entries of a table (T,) at the times, (B, 1, 1, 1) of the pictures' type."""
        return table.to(t.device)[t].to(like.dtype)[:, None, None, None]
