"""Random values that stay the same across NumPy versions: everything is mapped from `random()`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draws:
    """Scalars from a generator; NumPy promises stable streams for the bit generator only."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    @classmethod
    def keyed(cls, *key: int) -> Draws:
        """Return the stream of a list of integers (PCG64 over its SeedSequence)."""
        return cls(np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))))

    def unit(self) -> float:
        """Return a float in [0, 1)."""
        return float(self._random.random())

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * self.unit()

    def normal(self, mean: float, deviation: float) -> float:
        """Return a normal draw (Box-Muller)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return mean + deviation * radius * math.cos(2.0 * math.pi * self.unit())

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def pick(self, values: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Return one of `values`, with the given weights (sum 1) or all alike."""
        at = self.unit()
        if weights is None:
            return values[min(int(at * len(values)), len(values) - 1)]
        for value, weight in zip(values, weights, strict=True):
            at -= weight
            if at < 0:
                return value
        return values[-1]

    def bits(self, count: int) -> int:
        """Return an integer in [0, 2**count), count at most 52."""
        return int(self.unit() * (1 << count))

    def sign(self) -> float:
        """Return -1.0 or 1.0."""
        return 1.0 if self.unit() < 0.5 else -1.0

    def grid(self, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return an array of the given shape of floats in [0, 1)."""
        return self._random.random(shape)
