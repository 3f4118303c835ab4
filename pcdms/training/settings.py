"""What decides a training: steps, rates, precision; contradictory values are refused."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from pcdms_data.types import InputError

Schedule = Literal["cosine", "linear", "constant"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)
PRECISIONS = ("no", "bf16", "fp16")

_FREE = ("save_every", "log_every", "accumulation", "recompute")
"""Settings that may change between the parts of one training."""


@dataclass(frozen=True)
class TrainSettings:
    """What decides a training.

    `batch_size` counts the rows of one optimiser step over all processes and `accumulation`
    micro-batches. The learning rate warms up linearly for `warmup` steps, then follows `schedule`:
    `cosine` and `linear` fall to zero at the last step. `beta1` and `beta2` are AdamW's.
    `ema_decay` 0 keeps no average: the last weights are the result. `recompute` trades time for
    memory (gradient checkpointing).
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    warmup: int = 100
    ema_decay: float = 0.999
    max_grad_norm: float = 1.0
    seed: int = 0
    save_every: int = 200
    log_every: int = 10
    mixed_precision: str = "no"
    schedule: str = "cosine"
    accumulation: int = 1
    recompute: bool = False

    def check(self, processes: int = 1) -> None:
        """Raise InputError on a value that is out of range or that could not act."""
        self._check_ranges()
        if self.schedule not in SCHEDULES:
            raise InputError(
                f"unknown schedule {self.schedule!r}, expected one of {', '.join(SCHEDULES)}"
            )
        if self.mixed_precision not in PRECISIONS:
            raise InputError(
                f"unknown mixed precision {self.mixed_precision!r}, "
                f"expected one of {', '.join(PRECISIONS)}"
            )
        if self.warmup >= self.steps:
            raise InputError(
                f"warm-up of {self.warmup} in {self.steps} steps: the full rate would never be "
                "reached, expected a shorter one"
            )
        if self.batch_size < processes * self.accumulation:
            raise InputError(
                f"batch size {self.batch_size} is less than {processes} processes x "
                f"{self.accumulation} micro-batches: expected at least a row for each"
            )

    def _check_ranges(self) -> None:
        least = {
            "steps": 1, "batch_size": 1, "accumulation": 1, "save_every": 1, "log_every": 1,
            "weight_decay": 0, "warmup": 0, "seed": 0,
        }  # fmt: skip
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} {getattr(self, name)}: expected {bound} or more")
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} {getattr(self, name)}: expected a number above 0")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected 0 up to below 1")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay {self.ema_decay}: expected 0 (no average) up to below 1")

    def changed(self, stored: dict[str, Any]) -> list[str]:
        """Return the names in which the settings of a checkpoint differ, but for the free ones.

        A setting that the checkpoint does not know had its default.
        """
        defaults = {field.name: field.default for field in fields(self)}
        mine = asdict(self)
        return sorted(
            name
            for name, value in mine.items()
            if name not in _FREE and value != stored.get(name, defaults[name])
        )


def learning_rate_factor(step: int, settings: TrainSettings) -> float:
    """Return the factor on the learning rate at a step: linear warm-up, then the schedule."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    part = min(1.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup))
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * part))
    return 1 - part if settings.schedule == "linear" else 1.0
