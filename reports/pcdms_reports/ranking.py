"""Which numbers of a column are best and second best."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

_LOSSES: dict[str, Callable[[float], float]] = {
    "up": lambda value: -value,
    "down": lambda value: value,
    "one": lambda value: abs(value - 1),
}
"""Direction of a metric (`MetricWords.direction`) -> what is smallest for the best value."""


def ranks(direction: str, digits: int, values: Mapping[Key, float]) -> dict[Key, int]:
    """Return 1 for the best and 2 for the second best of `values`; a column of one has none.

    Numbers that print equal share a rank: a bold digit should never hide an unseen difference.
    Without a better side (`none`) nothing is ranked.
    """
    if direction not in _LOSSES or len(values) < 2:
        return {}
    losses = {key: round(_LOSSES[direction](value), digits) for key, value in values.items()}
    places = sorted(set(losses.values()))[:2]
    return {key: places.index(value) + 1 for key, value in losses.items() if value in places}
