"""The contract of `user_study.csv`: what raters said of generated pictures, as percentages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pcdms_reports.atomic_files import write_text
from pcdms_reports.csv_records import Field, read_records, records_text
from pcdms_reports.records import RecordError

NAME = "user_study.csv"
METRICS = {
    "R2G": "share of real pictures that raters took for generated ones",
    "G2R": "share of generated pictures that raters took for real ones; higher is better",
    "Jab": "share of comparisons in which raters chose this method as the best; higher is better",
}
"""Metric -> what its percentage means."""
ALL = "all"
"""The `rater` of a row that stands for all raters together."""


@dataclass(frozen=True)
class StudyRow:
    """One percentage: of one rater, or of `all` of them, for the pictures of one method.

    `study` names the study (answers of two studies are never pooled), `selection` which sample of
    each pair was shown. `value` is a percentage (0 to 100) of `n` answers, None where `n` is 0;
    `ci_low` and `ci_high` are its 95 % interval. Every study has a row of `all` for each method and
    metric asked.
    """

    study: str
    dataset: str
    method: str
    selection: str
    rater: str
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int

    def __post_init__(self) -> None:
        """Refuse a number without answers, and answers without a number."""
        if (self.value is None) != (self.n == 0):
            raise RecordError(f"value {self.value} with n {self.n}")
        if self.ci_low is not None and self.ci_high is not None and self.ci_low > self.ci_high:
            raise RecordError(f"ci_low {self.ci_low}, expected at most ci_high {self.ci_high}")


COLUMNS = tuple(field.name for field in fields(StudyRow))
_CHOICES = {"metric": tuple(METRICS), "selection": ("first", "oracle-ssim")}


def _field(name: str) -> Field:
    if name in ("value", "ci_low", "ci_high"):
        return Field(name, "real", low=0, high=100, optional=True)
    if name == "n":
        return Field(name, "whole", low=0)
    return Field(name, choices=_CHOICES.get(name, ()))


FIELDS = tuple(_field(name) for name in COLUMNS)
_IDENTITY = ("study", "method", "selection", "rater", "metric")


def read_study(path: Path) -> list[StudyRow]:
    """Return the rows of a `user_study.csv`.

    Raises RecordError (one line: file, line, column, value) on other columns, a value that does not
    fit, a row that stands there twice, and on raters without a row of `all`.
    """
    rows: list[StudyRow] = []
    seen: dict[tuple[object, ...], int] = {}
    for line, values in read_records(path, FIELDS, f"the columns of {NAME}"):
        try:
            row = StudyRow(**values)  # type: ignore[arg-type]
        except RecordError as error:
            raise RecordError(f"{path}:{line}: {error}") from None
        key = tuple(getattr(row, name) for name in _IDENTITY)
        if seen.setdefault(key, line) != line:
            raise RecordError(
                f"{path}:{line}: {row.metric} of method {row.method!r} by rater {row.rater!r} "
                f"repeats line {seen[key]}"
            )
        rows.append(row)
    pooled = {_asked(row) for row in rows if row.rater == ALL}
    for row in rows:
        if _asked(row) not in pooled:
            raise RecordError(
                f"{path}: rater {row.rater!r}: {row.metric} of method {row.method!r} has no row of "
                f"rater {ALL!r}, expected one"
            )
    return rows


def write_study(rows: Iterable[StudyRow], path: Path) -> None:
    """Write rows as `user_study.csv`, whole or not at all; floats read back equal."""
    write_text(path, records_text(FIELDS, (asdict(row) for row in rows)))


def _asked(row: StudyRow) -> tuple[str, ...]:
    return row.study, row.method, row.selection, row.metric
