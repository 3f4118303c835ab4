"""Long CSV tables as pandas frames, read as strictly as short ones: errors name line and column."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pcdms_reports.csv_records import Field, checked_value, ordered_fields
from pcdms_reports.records import RecordError


def read_frame(path: Path, fields: Sequence[Field], key: Sequence[str] = ()) -> pd.DataFrame:
    """Return a CSV file in UTF-8 as a frame of `fields`: text, and float64 for every number.

    An absent optional number is NaN; an absent file gives an empty frame. Raises RecordError (one
    line: file, line, column, value) on a missing, surplus or repeated column, a line of another
    length, a value that does not fit, and a line that repeats the values of `key`.
    """
    names = [field.name for field in fields]
    lines: list[int] = []
    rows: list[list[str]] = []
    order = list(fields)
    if path.is_file():
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                what = f"the columns {', '.join(names)}"
                order = ordered_fields(next(reader, None), fields, path, what)
                for cells in reader:
                    if not cells:
                        continue
                    if len(cells) != len(order):
                        raise RecordError(
                            f"{path}:{reader.line_num}: {len(cells)} fields, expected {len(order)}"
                        )
                    lines.append(reader.line_num)
                    rows.append(cells)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RecordError(f"{path}: not readable as a CSV file in UTF-8: {error}") from None
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(order)
    frame = pd.DataFrame(
        {
            field.name: _column(field, texts, lines, path)
            for field, texts in zip(order, columns, strict=True)
        }
    )[names]
    _check_repeats(frame, key, lines, path)
    return frame


def _column(
    field: Field, texts: Sequence[str], lines: Sequence[int], path: Path
) -> pd.Series[float] | pd.Series[str]:
    """Return one column; the first value that does not fit is told with its line."""
    if field.kind == "text":
        wrong = {text for text in set(texts) if not _fits(field, text)}
        for line, text in zip(lines, texts, strict=True):
            if text in wrong:
                checked_value(field, text, f"{path}:{line}")
        return pd.Series(list(texts), dtype="string")
    try:
        numbers = np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError:
        numbers = np.full(len(texts), np.nan)
    for i in map(int, np.flatnonzero(~np.isfinite(numbers))):
        checked_value(field, texts[i], f"{path}:{lines[i]}")
    return pd.Series(numbers, dtype="float64")


def _fits(field: Field, text: str) -> bool:
    try:
        checked_value(field, text, "")
    except RecordError:
        return False
    return True


def _check_repeats(
    frame: pd.DataFrame, key: Sequence[str], lines: Sequence[int], path: Path
) -> None:
    if not key or not len(frame):
        return
    repeated = np.flatnonzero(frame.duplicated(list(key)).to_numpy())
    if not len(repeated):
        return
    values = frame[list(key)].iloc[repeated[0]]
    first = int(np.flatnonzero((frame[list(key)] == values).all(axis=1).to_numpy())[0])
    words = ", ".join(f"{name} {value!r}" for name, value in values.items())
    raise RecordError(f"{path}:{lines[repeated[0]]}: {words} repeats line {lines[first]}")
