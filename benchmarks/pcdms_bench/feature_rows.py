"""Features of many pictures, one row each, in memory or, for large sets, in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

IN_MEMORY_BYTES = 50_000_000
"""Larger tables live in a file that disappears with the process."""
BLOCK_ROWS = 1024


class FeatureTable:
    """Room for `rows` feature rows of `width` columns, with the digest of each row's input."""

    def __init__(self, rows: int, width: int) -> None:
        self.width = width
        self.digests: list[bytes] = [b""] * rows
        if rows * width * 4 <= IN_MEMORY_BYTES:
            self.values: NDArray[np.float32] = np.zeros((rows, width), np.float32)
        else:
            # The mapping keeps the file alive; nobody else sees it.
            with tempfile.TemporaryFile() as file:
                self.values = np.memmap(file, np.float32, "w+", shape=(rows, width))

    def set(self, row: int, digest: bytes, values: NDArray[np.float32]) -> None:
        """Fill one row."""
        self.digests[row] = digest
        self.values[row] = values


class FeatureRows:
    """Some rows of a table, in a given order."""

    def __init__(self, table: FeatureTable, rows: Sequence[int]) -> None:
        self._table, self._rows = table, list(rows)
        self.width = table.width

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def picked(self, rows: Sequence[int]) -> FeatureRows:
        """Return some of these rows, in another order."""
        return FeatureRows(self._table, [self._rows[row] for row in rows])

    def digests(self) -> list[bytes]:
        """Return the digest of each row's input."""
        return [self._table.digests[row] for row in self._rows]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the rows in blocks (b, D), in order."""
        for start in range(0, len(self._rows), BLOCK_ROWS):
            yield self._table.values[self._rows[start : start + BLOCK_ROWS]]

    def all(self) -> NDArray[np.float32]:
        """Return all rows (N, D) at once."""
        return np.asarray(self._table.values[self._rows])
