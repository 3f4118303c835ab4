"""CSV files with a contract: named columns, typed values, errors that name line and column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pcdms_reports.records import RecordError


@dataclass(frozen=True)
class Field:
    """One column. `choices` limit a text, `low` and `high` (both allowed themselves) a number.

    `text` gives str (empty where nothing stands), `whole` int, `real` float, `flag` bool (written
    `true` and `false`). An `optional` number may be absent and is then None; an absent text is
    refused unless `optional`. A real number is finite unless `infinite`.
    """

    name: str
    kind: Literal["text", "whole", "real", "flag"] = "text"
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False
    infinite: bool = False


def read_records(
    path: Path, fields: Sequence[Field], what: str
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line, {column: value}) of a CSV file in UTF-8; lines that hold nothing are skipped.

    The columns may stand in any order. Raises RecordError (one line: file, line, column, value) on
    a missing, surplus or repeated column, a line of another length and a value that does not fit;
    `what` names the contract in the message.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            order = ordered_fields(header, fields, path, what)
            for cells in reader:
                if not cells:
                    continue
                where = f"{path}:{reader.line_num}"
                if len(cells) != len(order):
                    raise RecordError(f"{where}: {len(cells)} fields, expected {len(order)}")
                yield (
                    reader.line_num,
                    {
                        field.name: checked_value(field, cell, where)
                        for field, cell in zip(order, cells, strict=True)
                    },
                )
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file, expected {what}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"{path}: not readable as a CSV file in UTF-8: {error}") from None


def records_text(fields: Sequence[Field], records: Iterable[dict[str, object]]) -> str:
    """Return records as CSV text that `read_records` reads back equal; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields])
    for record in records:
        writer.writerow([_text(field, record[field.name]) for field in fields])
    return file.getvalue()


def ordered_fields(
    header: Sequence[str] | None, fields: Sequence[Field], path: Path, what: str
) -> list[Field]:
    """Return the fields in the order of the header; raises RecordError where it has others.

    `what` names the contract in the message.
    """
    if header is None:
        raise RecordError(f"{path}:1: empty file, expected the columns of {what}")
    known = {field.name: field for field in fields}
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise RecordError(f"{path}:1: columns parted by {header[0]!r}, expected commas")
    missing = [name for name in known if name not in header]
    surplus = [name for name in header if name not in known]
    twice = sorted({name for name in header if header.count(name) > 1} - set(surplus))
    for kind, names in (("missing", missing), ("surplus", surplus), ("repeated", twice)):
        if names:
            raise RecordError(
                f"{path}:1: {kind} column {', '.join(map(repr, names))}, expected {what}"
            )
    return [known[name] for name in header]


def checked_value(field: Field, text: str, where: str) -> object:
    """Return the value of a cell; raises RecordError with `where`, column and value."""
    where = f"{where}: {field.name} {text!r}"
    if not text and (field.optional or field.kind == "text"):
        if field.kind == "text" and not field.optional:
            raise RecordError(f"{where}, expected {_expected(field)}")
        return "" if field.kind == "text" else None
    if field.kind == "text":
        if field.choices and text not in field.choices:
            raise RecordError(f"{where}, expected {_expected(field)}")
        return text
    if field.kind == "flag":
        if text not in ("true", "false"):
            raise RecordError(f"{where}, expected true or false")
        return text == "true"
    number = _number(field, text)
    if number is None:
        raise RecordError(f"{where}, expected {_expected(field)}")
    return number


def _number(field: Field, text: str) -> float | int | None:
    """Return the number, or None where it is none or lies outside of the bounds."""
    try:
        number = int(text) if field.kind == "whole" else float(text)
    except ValueError:
        return None
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    known = math.isfinite(number) or (field.infinite and not math.isnan(number))
    return number if known and low <= number <= high else None


def _expected(field: Field) -> str:
    if field.kind == "text":
        return f"one of {', '.join(field.choices)}" if field.choices else "some text"
    words = "a whole number" if field.kind == "whole" else "a finite number"
    words = "a number" if field.infinite else words
    if field.low is not None and field.high is not None:
        words += f" from {field.low:g} to {field.high:g}"
    elif field.low is not None:
        words += f" of {field.low:g} or more"
    return words + (" or nothing" if field.optional else "")


def _text(field: Field, value: object) -> str:
    if value is None:
        return ""
    if field.kind == "flag":
        return "true" if value else "false"
    return repr(float(cast("float", value))) if field.kind == "real" else str(value)
