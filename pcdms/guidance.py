"""Classifier-free guidance: how two predictions become one, and in which steps it acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcdms_data.types import InputError

if TYPE_CHECKING:
    from torch import Tensor

Interval = tuple[float, float]
"""(from, to) as shares of the training time, 0 clean and 1 noise; guidance acts within."""
EVERYWHERE: Interval = (0.0, 1.0)


def guide(both: Tensor, guidance: float, rescale: float) -> Tensor:
    """Return the guided prediction (B, ...) of unconditional rows stacked on conditional ones.

    `rescale` > 0 pulls its spread back (arXiv 2305.08891, section 3.4). The published stage 3
    passes rescale = 2, an extrapolation outside the sensible 0..1.
    """
    unconditional, conditional = both.chunk(2)
    guided = unconditional + guidance * (conditional - unconditional)
    if rescale == 0.0:
        return guided
    axes = list(range(1, guided.dim()))
    ratio = conditional.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
    return rescale * guided * ratio + (1 - rescale) * guided


def guided_steps(times: list[int], train_steps: int, interval: Interval) -> list[bool]:
    """Return for each time step whether guidance acts in it (arXiv 2404.07724, section 3).

    A time step t of 0..train_steps-1 lies at the share t / (train_steps - 1). There the interval is
    one of noise levels, which grow with time; shares mean the same for every number of steps.
    """
    low, high = interval
    return [low <= time / (train_steps - 1) <= high for time in times]


def parse_interval(text: str) -> Interval:
    """Return the interval `FROM-TO` such as `0.2-0.8`.

    Raises:
        InputError: not two numbers, or not 0 <= FROM < TO <= 1.
    """
    try:
        low, high = (float(word) for word in text.split("-"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 1:
        raise InputError(
            f"guidance interval {text!r}: expected FROM-TO between 0 (clean) and 1 (noise), "
            "such as 0.2-0.8"
        )
    return low, high
