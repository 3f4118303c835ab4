"""The contract of `audit.csv`: what one choice alone does to one number, a row each."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

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
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: not readable as a CSV file in UTF-8: {error}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise RecordError(f"{path}:1: expected the columns {', '.join(COLUMNS)}")
    rows = [_row(cells, f"{path}:{number}") for number, cells in enumerate(lines[1:], start=2)]
    if not rows:
        raise RecordError(f"{path}: holds no row, expected the result of an audit")
    return rows


def _row(cells: Sequence[str], where: str) -> AuditRow:
    if len(cells) != len(COLUMNS):
        raise RecordError(f"{where}: {len(cells)} fields, expected {len(COLUMNS)}")
    values: dict[str, object] = {}
    for name, text in zip(COLUMNS, cells, strict=True):
        if name in _REALS:
            values[name] = _real(text, f"{where}: {name}")
        elif name in _INTEGERS:
            if not (text.isascii() and text.isdigit()):
                raise RecordError(f"{where}: {name} {text!r}, expected a whole number")
            values[name] = int(text)
        else:
            values[name] = text
    try:
        return AuditRow(**values)  # type: ignore[arg-type]
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def _real(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecordError(f"{where} {text!r}, expected a finite number or nothing")
    return number
