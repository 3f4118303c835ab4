"""The contract of `reid.csv`: re-identification after training with and without generated pictures.

One row is one trained network: a share of the real training pictures, alone or filled up with
pictures that a method generated, tested on the real queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pcdms_reports.atomic_files import write_text
from pcdms_reports.csv_records import Field, read_records, records_text
from pcdms_reports.records import STATUSES, RecordError

NAME = "reid.csv"
NONE = "none"
"""The `method` of a row that was trained on real pictures alone."""


@dataclass(frozen=True)
class ReidRow:
    """One trained network and its two scores.

    `fraction` is the percentage of real training pictures that was kept (1 to 100), `method` the
    one whose `generated_pictures` were added (`none` without any). `network` names architecture and
    start weights; networks are compared only where it is equal. `map` and `rank1` are percentages
    (0 to 100) over `n` queries against `gallery` pictures, with 95 % intervals over the queries
    where they were computed. A score that could not be computed is None and has a `reason`.
    """

    dataset: str
    method: str
    fraction: int
    with_generated: bool
    real_pictures: int
    generated_pictures: int
    network: str
    seed: int
    map: float | None
    map_low: float | None
    map_high: float | None
    rank1: float | None
    rank1_low: float | None
    rank1_high: float | None
    n: int
    gallery: int
    status: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse a row that says two things at once, or a missing score without a reason."""
        if self.with_generated == (self.method == NONE):
            raise RecordError(
                f"method {self.method!r} with with_generated {str(self.with_generated).lower()}, "
                f"expected {NONE!r} where no generated picture was used, and only there"
            )
        if not self.with_generated and self.generated_pictures:
            raise RecordError(
                f"generated_pictures {self.generated_pictures}, expected 0 without a method"
            )
        for name in ("map", "rank1"):
            value = getattr(self, name)
            if (value is None) == (self.status in ("ok", "indicative")):
                raise RecordError(f"{name} {value} with status {self.status}")
        if self.map is None and not self.reason:
            raise RecordError("reason '', expected why there is no score")


_PERCENT = ("map", "map_low", "map_high", "rank1", "rank1_low", "rank1_high")
_COUNTS = ("real_pictures", "generated_pictures", "n", "gallery")
COLUMNS = tuple(field.name for field in fields(ReidRow))


def _field(name: str) -> Field:
    if name in _PERCENT:
        return Field(name, "real", low=0, high=100, optional=True)
    if name == "fraction":
        return Field(name, "whole", low=1, high=100)
    if name in _COUNTS or name == "seed":
        return Field(name, "whole", low=0)
    if name == "with_generated":
        return Field(name, "flag")
    return Field(name, choices=STATUSES if name == "status" else (), optional=name == "reason")


FIELDS = tuple(_field(name) for name in COLUMNS)
_IDENTITY = ("dataset", "method", "fraction", "network", "seed")


def read_reid(path: Path) -> list[ReidRow]:
    """Return the rows of a `reid.csv`.

    Raises RecordError (one line: file, line, column, value) on other columns, a value that does not
    fit, a row that contradicts itself, and on a network that stands there twice.
    """
    rows: list[ReidRow] = []
    seen: dict[tuple[object, ...], int] = {}
    for line, values in read_records(path, FIELDS, f"the columns of {NAME}"):
        try:
            row = ReidRow(**values)  # type: ignore[arg-type]
        except RecordError as error:
            raise RecordError(f"{path}:{line}: {error}") from None
        key = tuple(getattr(row, name) for name in _IDENTITY)
        if seen.setdefault(key, line) != line:
            raise RecordError(
                f"{path}:{line}: method {row.method!r}, fraction {row.fraction}, seed {row.seed} "
                f"repeats line {seen[key]}"
            )
        rows.append(row)
    return rows


def write_reid(rows: Iterable[ReidRow], path: Path) -> None:
    """Write rows as `reid.csv`, whole or not at all; floats read back equal."""
    write_text(path, records_text(FIELDS, (asdict(row) for row in rows)))
