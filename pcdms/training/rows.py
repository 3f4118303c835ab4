"""Which rows a step takes, how processes share them, and batches fetched ahead of their step.

Epochs are seeded permutations, joined: a batch may span two of them, so no batch is short and every
row comes exactly once per epoch. The order depends on the seed alone, not on the processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor


class RowSource(Protocol):
    """Rows that have to be fetched before the loss can use them."""

    def __len__(self) -> int:
        """Number of rows of an epoch."""

    def fetch(self, rows: Tensor) -> Any:
        """Return what the loss gets for row numbers (B,); called in another thread."""


@lru_cache(maxsize=2)
def _order(rows: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed * 7919 + epoch))


def batch_rows(rows: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Return the row numbers (batch_size,) of a step: epochs of seeded permutations, joined."""
    first = step * batch_size
    wanted = torch.arange(first, first + batch_size)
    epochs = torch.div(wanted, rows, rounding_mode="floor")
    out = torch.empty_like(wanted)
    for epoch in epochs.unique().tolist():
        mine = epochs == epoch
        out[mine] = _order(rows, seed, epoch)[wanted[mine] % rows]
    return out


def shares(batch: Tensor, process: int, processes: int, accumulation: int) -> list[Tensor]:
    """Return the row numbers of each micro-batch of one process; together each row comes once.

    Shares differ by one row at most where the numbers do not divide; the loop weighs each by its
    rows, so nothing is padded and every row counts the same. A batch has a row for each of them.
    """
    mine = batch[process::processes]
    return [mine[number::accumulation] for number in range(accumulation)]


def fetched(
    source: RowSource | None, plan: Iterator[Sequence[Tensor]]
) -> Iterator[list[tuple[Any, int]]]:
    """Yield, step by step, (batch, rows of it) of every share; the next step is fetched meanwhile.

    Without a source the batches are the row numbers themselves.
    """
    if source is None:
        for step in plan:
            yield [(share, len(share)) for share in step]
        return
    found = source

    def load(step: Sequence[Tensor]) -> list[tuple[Any, int]]:
        return [(found.fetch(share), len(share)) for share in step]

    with ThreadPoolExecutor(1) as pool:
        pending = None
        for step in plan:
            following = pool.submit(load, step)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
