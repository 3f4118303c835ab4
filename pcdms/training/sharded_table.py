"""Tables on disk that outgrow memory: safetensors shards keyed by content, rows read by number.

A shard holds a fixed number of rows and the digest of what they were made from. The digest is also
in its name: tables of other pictures lie beside each other. Shards are written whole or not at all,
so building resumes, and several processes build one table together. Reading maps the files: what is
in memory is the system's page cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pcdms_data.images import write_atomically
from pcdms_data.types import InputError

SHARD_BYTES = 256 * 2**20
SHARD_ROWS = 1024
"""A shard holds this many rows, or fewer where they are large. Changing it makes tables anew."""

_NAME = "rows"


@dataclass(frozen=True, eq=False)
class TablePlan:
    """One table to build: float16 rows of `shape`, made from `made_from` (a text per row).

    `key` says how rows are made (networks, preprocessing); it names the table's folder together
    with `kind`. `rows_per_shard` is for rows that take long to make.
    """

    root: Path
    kind: str
    key: str
    shape: tuple[int, ...]
    made_from: Sequence[str]
    rows_per_shard: int = SHARD_ROWS

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self.root / f"{self.kind}-{sha256(self.key.encode()).hexdigest()[:12]}"

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return 2 * prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.row_bytes * len(self.made_from)

    @property
    def shard_rows(self) -> int:
        """Rows of each shard but the last."""
        return max(1, min(self.rows_per_shard, SHARD_BYTES // self.row_bytes))

    def shards(self) -> Iterator[tuple[Path, range, str]]:
        """Yield file, row numbers and digest of each shard."""
        for start in range(0, len(self.made_from), self.shard_rows):
            rows = range(start, min(start + self.shard_rows, len(self.made_from)))
            text = "\n".join([self.key, *(self.made_from[row] for row in rows)])
            digest = sha256(text.encode()).hexdigest()
            name = f"{start // self.shard_rows:05d}-{digest[:8]}.safetensors"
            yield self.folder / name, rows, digest

    def missing(self) -> list[tuple[Path, range, str]]:
        """Return the shards that are absent, damaged or made from something else."""
        return [shard for shard in self.shards() if _digest(shard[0]) != shard[2]]


def build_table(
    plan: TablePlan,
    compute: Callable[[range], Tensor],
    process: int = 0,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the shards that are missing; process k of n takes every n-th of them.

    `compute(rows)` returns (len(rows), *shape). `progress(done, total)` counts this process's rows.
    """
    # Numbered over all shards, not the missing ones: processes see others' shards appear.
    mine = [
        shard
        for number, shard in enumerate(plan.shards())
        if number % processes == process and _digest(shard[0]) != shard[2]
    ]
    total, done = sum(len(rows) for _, rows, _ in mine), 0
    for path, rows, digest in mine:
        values = compute(rows).to("cpu", torch.float16).contiguous()
        if values.shape != (len(rows), *plan.shape):
            raise ValueError(f"{path}: computed {tuple(values.shape)}, planned {plan.shape}")
        write_atomically(path, save({_NAME: values}, metadata={"digest": digest}))
        done += len(rows)
        if progress is not None:
            progress(done, total)


class ShardedTable:
    """Rows (N, *shape) of float16 by number, mapped from the shards of a finished plan."""

    def __init__(self, plan: TablePlan) -> None:
        missing = plan.missing()
        if missing:
            raise InputError(
                f"{plan.folder}: {len(missing)} of its shards are missing or of other content, "
                f"the first {missing[0][0].name}; build the cache first"
            )
        self.shape = (len(plan.made_from), *plan.shape)
        self._rows_each = plan.shard_rows
        self._shards = [_open(path) for path, _, _ in plan.shards()]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the rows (B, *shape) of row numbers int64 (B,)."""
        out = torch.empty((len(rows), *self.shape[1:]), dtype=torch.float16)
        for place, row in enumerate(rows.tolist()):
            if not 0 <= row < self.shape[0]:
                raise IndexError(f"row {row} of a table of {self.shape[0]}")
            out[place] = self._shards[row // self._rows_each][row % self._rows_each]
        return out

    def whole(self) -> Tensor:
        """Return all rows as one tensor in memory."""
        return torch.cat(self._shards) if self._shards else torch.empty(self.shape)


def _digest(path: Path) -> str | None:
    """Return the digest in a shard's header; None without a readable file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as handle:
            return str((handle.metadata() or {}).get("digest"))
    except (SafetensorError, OSError):
        return None


def _open(path: Path) -> Tensor:
    with safe_open(path, framework="pt") as handle:
        values: Tensor = handle.get_tensor(_NAME)
        return values
