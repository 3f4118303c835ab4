"""Networks in padded chunks of equal size, and what happens when a chunk does not fit in memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcdms_data.types import InputError

Compute = Callable[[NDArray[np.intp]], Tensor]
"""Row numbers (chunk,) -> their results (chunk, ...)."""


def print_notice(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class Chunks:
    """Runs rows through networks in chunks; the first out-of-memory error halves them for good.

    A chunk's size decides the last bits of a result (kernels differ), so the halving is told to
    `notify` and kept in `halved`. A second one is an error.
    """

    def __init__(self, notify: Callable[[str], None] = print_notice) -> None:
        self.halved = False
        self.notify = notify

    def size(self, chunk: int) -> int:
        """Return how many rows a pass takes where `chunk` were asked for."""
        return chunk // 2 if self.halved and chunk > 1 else chunk

    def run(self, rows: int, chunk: int, compute: Compute) -> Tensor:
        """Return `compute` over row numbers 0..rows-1 in padded chunks of equal size, joined.

        The last chunk repeats its last row: networks always see as many rows, so the result of a
        row does not depend on how many rows there are.

        Raises:
            InputError: memory is exhausted with halved chunks too, or with a chunk of one row.
        """
        parts: list[Tensor] = []
        start = 0
        while start < rows:
            size = self.size(chunk)
            index = np.minimum(np.arange(start, start + size), rows - 1)
            found = self._attempt(compute, index)
            if found is None:
                self._halve(size)
                continue
            parts.append(found[: min(size, rows - start)])
            start += size
        return torch.cat(parts)

    @staticmethod
    def _attempt(compute: Compute, index: NDArray[np.intp]) -> Tensor | None:
        """Return the results of a chunk, None where memory does not suffice.

        The error is gone when this returns: it would keep the tensors of the failed pass alive.
        """
        try:
            return compute(index)
        except torch.OutOfMemoryError:
            return None

    def _halve(self, size: int) -> None:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.halved or size == 1:
            again = " again, after they were halved once" if self.halved else ""
            raise InputError(
                f"out of memory with {size} rows a pass{again}: expected less, see --chunk"
            )
        self.halved = True
        self.notify(
            f"out of memory with {size} rows a pass: going on with {size // 2}, whose pictures "
            f"may differ in single levels (--chunk {size // 2} makes them a run of their own)"
        )
