"""The training loss of CFLD: noise of two targets under one condition picture.

Source: YanzuoLu/CFLD:pose_transfer_train.py, models/*.py; arXiv 2402.18078, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_baselines.cfld.ancestral import TIMES
from pcdms_baselines.cfld.network import Cfld, Conditions


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows: `source` (B, 3, h, w) in [-1, 1], and both targets, the source's own first.

    `poses` (2B, 21, h, w); `targets` (2B, ...) pictures in [-1, 1], or their scaled latents where
    those are known.
    """

    source: Tensor
    poses: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Drops:
    """Shares of the rows.

    `tokens` lose the source's tokens to the learnable vector (residuals stay, as published);
    `appearance` and `pose` lose the appearance's residuals, or all of them, as well, so that the
    branches of guidance are learned too; `flips` see the condition picture mirrored, not its pose.
    """

    tokens: float = 0.2
    appearance: float = 0.0
    pose: float = 0.0
    flips: float = 0.5


PUBLISHED_DROPS = Drops()

Encode = Callable[[Tensor, torch.Generator], Tensor]
"""(pictures (B, 3, H, W) in [-1, 1], generator) -> scaled latents (B, C, h, w)."""


class CfldLoss:
    """(module, rows, generator of randomness) -> the loss.

    All draws are from the generator, but for the backbone's own, which are of torch's.
    """

    def __init__(self, drops: Drops = PUBLISHED_DROPS, encode: Encode | None = None) -> None:
        self.drops, self.encode = drops, encode

    def __call__(self, module: nn.Module, rows: Any, generator: torch.Generator) -> Tensor:
        """Return the mean squared error of what the UNet predicts, over rows and targets."""
        assert isinstance(module, Cfld)
        device = next(module.parameters()).device
        source, poses, targets = (
            part.to(device) for part in (rows.source, rows.poses, rows.targets)
        )
        clean = targets if self.encode is None else self.encode(targets, generator)
        mirrored = _share(len(source), self.drops.flips, generator).to(device)
        source = torch.where(mirrored[:, None, None, None], source.flip(-1), source)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        time = cubic_times(len(clean), generator).to(device)
        given = self._dropped(module, module(source, poses), generator)
        scheduler: Any = module.schedule.scheduler()
        wanted = {"epsilon": noise, "sample": clean}.get(module.schedule.prediction)
        if wanted is None:
            wanted = scheduler.get_velocity(clean, noise, time)
        made = module.predict(scheduler.add_noise(clean, noise, time), time, given)
        return F.mse_loss(made.float(), wanted.float())

    def _dropped(self, module: Cfld, given: Conditions, generator: torch.Generator) -> Conditions:
        """Return the conditions without what some rows lose."""
        place = torch.rand(len(given.tokens), generator=generator).to(given.tokens.device)
        drops = self.drops
        bare, half = place < drops.pose, place < drops.pose + drops.appearance
        free = place < max(drops.tokens, drops.pose + drops.appearance)
        empty = module.learnable_vector.to(given.tokens.dtype)
        return Conditions(
            tokens=torch.where(free[:, None, None], empty, given.tokens),
            pose=_without(given.pose, bare) if drops.pose else given.pose,
            appearance=_without(given.appearance, half)
            if drops.pose or drops.appearance
            else given.appearance,
        )


def cubic_times(rows: int, generator: torch.Generator) -> Tensor:
    """Return time steps int64 (rows,), floor((1 - u^3) * 1000): noisy ones come more often."""
    uniform = torch.rand(rows, generator=generator)
    return ((1 - uniform**3) * TIMES).long().clamp(max=TIMES - 1)


def _share(rows: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(rows, generator=generator) < share


def _without(parts: Any, rows: Tensor) -> list[Tensor]:
    """Return the residuals with zeros in these rows (B,)."""
    return [part * (~rows).view(-1, *(1,) * (part.dim() - 1)) for part in parts]
