"""`scores.csv` on disk: strict reading into typed columns, atomic writing, merging."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pandas as pd

from pcdms_reports.atomic_files import write_text
from pcdms_reports.csv_records import Field, read_records, records_text
from pcdms_reports.records import COLUMNS, SCHEMA, STATUSES, RecordError, ScoreRow

INTEGERS = ("n", "n_expected", "samples", "seed")
REALS = ("value", "ci_low", "ci_high")
STAGES = ("prior", "inpaint", "refine", "final")
SELECTIONS = ("first", "mean", "oracle-ssim")


def _field(name: str) -> Field:
    """Return what may stand in a column of `scores.csv`."""
    if name in INTEGERS:
        return Field(name, "whole", low=None if name == "seed" else 0)
    if name in REALS:
        return Field(name, "real", optional=True)
    choices = {"stage": STAGES, "status": STATUSES, "selection": SELECTIONS}.get(name, ())
    return Field(name, choices=choices, optional=name not in ("stage", "status", "metric"))


# What makes two rows the same number. The extractor is left out on purpose: a metric that was
# unavailable (no extractor) and one that was computed must not stand side by side.
IDENTITY = ("run", "method", "stages", "stage", "dataset", "split", "resolution", "protocol",
            "metric", "selection", "samples", "seed")  # fmt: skip
FIELDS = tuple(_field(name) for name in COLUMNS)
_DTYPES = {name: "int64" for name in INTEGERS} | {name: "float64" for name in REALS}


def load_scores(path: Path | str) -> pd.DataFrame:
    """Return the rows of one `scores.csv` as a frame: the columns of `COLUMNS` in that order.

    Text columns are strings (empty, never missing), `value` and the interval float64 with NaN for
    an absent number, counts and seeds int64. Raises RecordError (one line: file, line, column and
    value) on a missing or surplus column, a wrong number, stage, selection or status, and on a
    repeated row. There has been one schema so far (`records.SCHEMA`), so a file with other columns
    is refused with that number and nothing is guessed.
    """
    return to_frame(row for _, row in _read(Path(path)))


def merge_scores(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Return the rows of several score files in one frame, in the order of `paths`.

    Raises RecordError like `load_scores`, also for a row that two files hold.
    """
    rows: list[ScoreRow] = []
    seen: dict[tuple[object, ...], Path] = {}
    for path in map(Path, paths):
        for line, row in _read(path):
            key = _identity(row)
            if key in seen:
                raise RecordError(f"{path}:{line}: {_name(row)} stands in {seen[key]} already")
            seen[key] = path
            rows.append(row)
    return to_frame(rows)


def write_scores(rows: Iterable[ScoreRow] | pd.DataFrame, path: Path | str) -> None:
    """Write rows or a frame of `load_scores` as CSV, through a temporary name and a rename.

    Floats are written so that they read back equal; an absent number is an empty field. Raises
    RecordError on a repeated row or a number that is not finite, and then writes nothing.
    """
    path = Path(path)
    rows = to_rows(rows) if isinstance(rows, pd.DataFrame) else list(rows)
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        if _identity(row) in seen:
            raise RecordError(f"{path}: {_name(row)} is given twice")
        seen.add(_identity(row))
        for name in REALS:
            number = getattr(row, name)
            if number is not None and not math.isfinite(number):
                raise RecordError(
                    f"{path}: {_name(row)}: {name} {number}, expected a finite number"
                )
    write_text(path, records_text(FIELDS, (asdict(row) for row in rows)))


def to_frame(rows: Iterable[ScoreRow]) -> pd.DataFrame:
    """Return rows as the typed frame that `load_scores` gives."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
    return frame.astype({name: _DTYPES.get(name, "string") for name in COLUMNS})


def to_rows(frame: pd.DataFrame) -> list[ScoreRow]:
    """Return a frame of `load_scores` as rows; raises RecordError on missing columns."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise RecordError(f"a score frame misses the columns {', '.join(missing)}")
    rows = []
    for record in cast("list[dict[str, object]]", frame[list(COLUMNS)].to_dict("records")):
        typed: dict[str, object] = {}
        for name in COLUMNS:
            value = record[name]
            if name in REALS:
                typed[name] = None if pd.isna(cast("float", value)) else float(cast("float", value))
            else:
                typed[name] = int(cast("int", value)) if name in INTEGERS else str(value)
        rows.append(ScoreRow(**typed))  # type: ignore[arg-type]
    return rows


def _read(path: Path) -> Iterator[tuple[int, ScoreRow]]:
    """Yield (line, row) of one file, checked."""
    seen: dict[tuple[object, ...], int] = {}
    for line, values in read_records(path, FIELDS, f"a score file of schema {SCHEMA}"):
        where = f"{path}:{line}"
        low, high = values["ci_low"], values["ci_high"]
        if low is not None and high is not None and cast("float", low) > cast("float", high):
            raise RecordError(f"{where}: ci_low {low}, expected at most ci_high {high}")
        try:
            row = ScoreRow(**values)  # type: ignore[arg-type]
        except RecordError as error:
            raise RecordError(f"{where}: {error}") from None
        first = seen.setdefault(_identity(row), line)
        if first != line:
            raise RecordError(f"{where}: {_name(row)} repeats line {first}")
        yield line, row


def _identity(row: ScoreRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in IDENTITY)


def _name(row: ScoreRow) -> str:
    return f"{row.metric} of {row.method} {row.stages} stage {row.stage}, run {row.run!r}"
