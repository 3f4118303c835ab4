"""What scoring keeps between methods of one command, within a fixed number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

LIMIT_BYTES = 400_000_000


class ScoreMemory:
    """Results by key, the least recently used dropped first."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        """Return what is kept under `key`, or None."""
        found = self._items.get(key)
        if found is None:
            return None
        self._items.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep `value` of `size` bytes; larger ones than the limit are not kept."""
        if size > self._limit or key in self._items:
            return
        self._items[key] = (value, size)
        self._held += size
        while self._held > self._limit:
            _, (_, dropped) = self._items.popitem(last=False)
            self._held -= dropped


@lru_cache(maxsize=1)
def shared_memory() -> ScoreMemory:
    """Return the memory of this process, made at the first use."""
    return ScoreMemory()
