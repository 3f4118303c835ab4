"""`scores.csv` on disk: strict reading into typed columns, atomic writing, merging."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pandas as pd

from pcdms_reports.records import COLUMNS, RecordError, ScoreRow

INTEGERS = ("n", "n_expected", "samples", "seed")
REALS = ("value", "ci_low", "ci_high")
STAGES = ("prior", "inpaint", "refine", "final")
# What makes two rows the same number. The extractor is left out on purpose: a metric that was
# unavailable (no extractor) and one that was computed must not stand side by side.
IDENTITY = ("run", "method", "stages", "stage", "dataset", "split", "resolution", "protocol",
            "metric", "selection", "samples", "seed")  # fmt: skip
_DTYPES = {name: "int64" for name in INTEGERS} | {name: "float64" for name in REALS}


def load_scores(path: Path | str) -> pd.DataFrame:
    """Return the rows of one `scores.csv` as a frame: the columns of `COLUMNS` in that order.

    Text columns are strings (empty, never missing), `value` and the interval float64 with NaN for
    an absent number, counts and seeds int64. Raises RecordError (one line: file, line, value) on a
    missing or surplus column, a wrong number, stage or status, and on a repeated row.
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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([_text(name, getattr(row, name)) for name in COLUMNS] for row in rows)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            _check_header(header, path)
            seen: dict[tuple[object, ...], int] = {}
            for fields in reader:
                line = reader.line_num
                row = _parse(cast("list[str]", header), fields, f"{path}:{line}")
                first = seen.setdefault(_identity(row), line)
                if first != line:
                    raise RecordError(f"{path}:{line}: {_name(row)} repeats line {first}")
                yield line, row
    except FileNotFoundError:
        raise RecordError(f"{path}: no such score file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: not readable as a CSV file in UTF-8: {error}") from None


def _check_header(header: Sequence[str] | None, path: Path) -> None:
    if header is None:
        raise RecordError(f"{path}:1: empty file, expected the columns of scores.csv")
    missing = [name for name in COLUMNS if name not in header]
    surplus = [name for name in header if name not in COLUMNS]
    twice = sorted({name for name in header if header.count(name) > 1} - set(surplus))
    for what, names in (("missing", missing), ("surplus", surplus), ("repeated", twice)):
        if names:
            raise RecordError(f"{path}:1: {what} column {', '.join(map(repr, names))}")


def _parse(header: Sequence[str], fields: Sequence[str], where: str) -> ScoreRow:
    if len(fields) != len(header):
        raise RecordError(f"{where}: {len(fields)} fields, expected {len(header)}")
    values: dict[str, object] = {}
    for name, text in zip(header, fields, strict=True):
        values[name] = _value(name, text, where)
    if values["stage"] not in STAGES:
        raise RecordError(f"{where}: stage {values['stage']!r}, expected {', '.join(STAGES)}")
    try:
        return ScoreRow(**values)  # type: ignore[arg-type]
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def _value(name: str, text: str, where: str) -> object:
    if name in INTEGERS:
        try:
            number = int(text)
        except ValueError:
            raise RecordError(f"{where}: {name} {text!r}, expected a whole number") from None
        if number < 0 and name != "seed":
            raise RecordError(f"{where}: {name} {number}, expected 0 or more")
        return number
    if name in REALS:
        if not text:
            return None
        try:
            real = float(text)
        except ValueError:
            real = math.nan
        if not math.isfinite(real):
            raise RecordError(f"{where}: {name} {text!r}, expected a finite number or nothing")
        return real
    return text


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    return repr(float(cast("float", value))) if name in REALS else str(value)


def _identity(row: ScoreRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in IDENTITY)


def _name(row: ScoreRow) -> str:
    return f"{row.metric} of {row.method} {row.stages} stage {row.stage}, run {row.run!r}"
