"""The running average of the weights (EMA) that ships instead of the last ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of parameters, in their order.

    The decay rises as (1 + n) / (10 + n) with the number n of steps, up to `decay`, so that the
    first weights do not stay in the average. Source: the same ramp as in diffusers.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.values: list[Tensor] = [value.detach().clone() for value in parameters]

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Move the average towards the parameters."""
        rate = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 1.0
        self.steps += 1
        for average, value in zip(self.values, parameters, strict=True):
            average.lerp_(value.detach(), rate)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the average into the parameters."""
        for average, value in zip(self.values, parameters, strict=True):
            value.copy_(average)

    @torch.no_grad()
    def swap(self, parameters: Iterable[nn.Parameter]) -> None:
        """Exchange the average with the parameters; twice is nothing."""
        for average, value in zip(self.values, parameters, strict=True):
            own = value.detach().clone()
            value.copy_(average)
            average.copy_(own)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"steps": self.steps, "values": self.values}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a stored state."""
        self.steps = int(state["steps"])
        for average, stored in zip(self.values, state["values"], strict=True):
            average.copy_(stored)
