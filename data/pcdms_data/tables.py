"""Reading of CSV text and of picture names that come from somebody else's files."""

from __future__ import annotations

import csv
from pathlib import Path

from pcdms_data.types import InputError


def read_lines(path: Path, expected: str) -> list[str]:
    """Return the lines of a UTF-8 text file; raises InputError naming it and what was expected."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing, expected {expected}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text, expected {expected}") from error


def read_table(path: Path, required: tuple[str, ...], expected: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries, blanks around cells removed.

    Raises InputError on a missing file or column and on a row with another number of cells.
    """
    reader = csv.reader(read_lines(path, expected))
    header = [cell.strip() for cell in next(reader, [])]
    for column in required:
        if column not in header:
            raise InputError(f"{path} has no column {column!r}, expected {expected}")
    if len(set(header)) != len(header):
        raise InputError(f"{path} names a column twice in its first line, expected {expected}")
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{path} line {reader.line_num} has {len(cells)} cells, expected {len(header)}"
            )
        rows.append({key: cell.strip() for key, cell in zip(header, cells, strict=True)})
    return rows


def safe_name(name: str, path: Path, line: int | None = None) -> str:
    """Return `name` if it is a plain file name; raises InputError on a path or odd characters."""
    allowed = name.isascii() and all(letter.isalnum() or letter in "_.-" for letter in name)
    if not name or not allowed or name.startswith("."):
        where = f"{path} line {line}" if line else str(path)
        raise InputError(
            f"{where}: picture name {name!r}, expected a file name of letters, digits, _ . -"
        )
    return name
