"""The contract of `audit.csv`: what one choice alone does to one number, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pcdms_reports.csv_records import Field, read_records
from pcdms_reports.records import RecordError

STATUSES = ("ok", "indicative", "unavailable")
BASE, PROTOCOL = "base", "protocol"
"""Groups that are no single choice: the base itself, and a whole other protocol in its place."""
_INTEGERS = ("n", "n_base", "pairs")
_REALS = ("base_value", "value", "change", "ci_low", "ci_high")


@dataclass(frozen=True)
class AuditRow:
    """`value` is the number under the choice, `change` how far it lies from `base_value`.

    `ci_low` and `ci_high` are the 95 % interval of the change, over pairs, where the metric has a
    value per pair. `n` pairs stand behind `value`, `n_base` behind `base_value`, of `pairs`. A
    number that could not be computed is None and has a `reason`.
    """

    run: str
    method: str
    stage: str
    dataset: str
    split: str
    frame: str
    base: str
    group: str
    choice: str
    used_by: str
    metric: str
    base_value: float | None
    value: float | None
    change: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_base: int
    pairs: int
    status: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse a row that could be read as a number where there is none."""
        if self.status not in STATUSES:
            raise RecordError(f"status {self.status!r}, expected one of {', '.join(STATUSES)}")
        if (self.value is None) != (self.status == "unavailable"):
            raise RecordError(f"{self.choice}: status {self.status} with value {self.value}")
        if self.value is None and not self.reason:
            raise RecordError(f"{self.choice}: a missing value needs a reason")


COLUMNS = tuple(field.name for field in fields(AuditRow))


def _field(name: str) -> Field:
    if name in _INTEGERS:
        return Field(name, "whole", low=0)
    if name in _REALS:
        return Field(name, "real", optional=True)
    return Field(name, choices=STATUSES if name == "status" else (), optional=name != "status")


FIELDS = tuple(_field(name) for name in COLUMNS)


def audit_rows_text(rows: Sequence[AuditRow]) -> list[list[str]]:
    """Return header and cells of `audit.csv`; floats read back equal, None is an empty cell."""
    cells = [
        ["" if getattr(row, name) is None else str(getattr(row, name)) for name in COLUMNS]
        for row in rows
    ]
    return [list(COLUMNS), *cells]


def read_audit(path: Path) -> list[AuditRow]:
    """Return the rows of an `audit.csv`.

    Raises RecordError (one line: file, line, value) on other columns and on wrong numbers.
    """
    rows = []
    for line, values in read_records(path, FIELDS, "the result of an audit"):
        try:
            rows.append(AuditRow(**values))  # type: ignore[arg-type]
        except RecordError as error:
            raise RecordError(f"{path}:{line}: {error}") from None
    if not rows:
        raise RecordError(f"{path}: holds no row, expected the result of an audit")
    return rows
