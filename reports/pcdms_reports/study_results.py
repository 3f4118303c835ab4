"""The contract of `user_study.csv`: R2G, G2R and Jab of each method, from a user study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pcdms_reports.csv_records import Field, read_records, records_text
from pcdms_reports.records import RecordError

NAME = "user_study.csv"
MEASURES = ("R2G", "G2R", "Jab")
MEANINGS = {
    "R2G": "share of real pictures judged generated, in the round of the method",
    "G2R": "share of the method's pictures judged real",
    "Jab": "share of cases in which the method's picture was preferred",
}
"""Measure -> what its share means; all three are better when higher."""
WILSON = "wilson"
BOOTSTRAP = "bootstrap over raters and pictures"
"""The two kinds of interval; both are 95 %."""


@dataclass(frozen=True)
class StudyRow:
    """One row of `user_study.csv`: a share from 0 to 1 and its interval.

    Without an answer `value` and the interval are None. `interval` is `WILSON` or `BOOTSTRAP`.
    """

    dataset: str
    method: str
    measure: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_answers: int
    n_raters: int
    interval: str


COLUMNS = tuple(field.name for field in fields(StudyRow))
_CHOICES = {"measure": MEASURES, "interval": (WILSON, BOOTSTRAP)}


def _field(name: str) -> Field:
    if name in ("value", "ci_low", "ci_high"):
        return Field(name, "real", low=0, high=1, optional=True)
    if name in ("n_answers", "n_raters"):
        return Field(name, "whole", low=0)
    return Field(name, choices=_CHOICES.get(name, ()), optional=name == "interval")


FIELDS = tuple(_field(name) for name in COLUMNS)


def read_study_results(path: Path) -> list[StudyRow]:
    """Return the rows of a `user_study.csv`.

    Raises RecordError (one line: file, line, column, value) on other columns, a value that does not
    fit, a share without answers or answers without a share, an interval whose ends are swapped, and
    on a measure of a method that stands there twice.
    """
    rows: list[StudyRow] = []
    seen: dict[tuple[str, str], int] = {}
    for line, values in read_records(path, FIELDS, f"the columns of {NAME}"):
        row, where = StudyRow(**values), f"{path}:{line}"  # type: ignore[arg-type]
        if (row.value is None) != (row.n_answers == 0):
            raise RecordError(f"{where}: value {row.value} with n_answers {row.n_answers}")
        if row.ci_low is not None and row.ci_high is not None and row.ci_low > row.ci_high:
            raise RecordError(
                f"{where}: ci_low {row.ci_low}, expected at most ci_high {row.ci_high}"
            )
        first = seen.setdefault((row.method, row.measure), line)
        if first != line:
            raise RecordError(f"{where}: {row.measure} of {row.method!r} repeats line {first}")
        rows.append(row)
    return rows


def study_csv(rows: Iterable[StudyRow]) -> str:
    """Return the text of `user_study.csv`: shares from 0 to 1, an absent number is empty."""
    return records_text(FIELDS, (asdict(row) for row in rows))
