"""Reading of CSV text and of names and paths that come from somebody else's files."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_data.types import InputError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

LARGEST_TEXT = 1 << 28
"""Bytes of text, unpacked, that a list may have: ten times the largest one in use."""

_GZIP = b"\x1f\x8b"


def read_lines(path: Path, expected: str) -> list[str]:
    """Return the lines of a UTF-8 text file, plain or gzip-compressed (told by its first bytes).

    Raises InputError naming the file and what was expected where it is missing, no text, or larger
    than `LARGEST_TEXT`.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP
            file.seek(0)
            content = (gzip.GzipFile(fileobj=file) if compressed else file).read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise InputError(
                f"{path} holds more than {LARGEST_TEXT >> 20} MiB, expected {expected}"
            )
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing, expected {expected}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text, expected {expected}") from error
    return text.splitlines()


def read_table(
    path: Path, required: tuple[str, ...], expected: str
) -> list[tuple[int, dict[str, str]]]:
    """Return (line, cells by column) of the rows of a CSV file, blanks around cells removed.

    Empty rows are left out. Raises InputError on a missing file or column and on a row with another
    number of cells.
    """
    reader = csv.reader(read_lines(path, expected))
    try:
        return _rows(reader, path, required, expected)
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}, expected {expected}") from error


def _rows(
    reader: _Reader, path: Path, required: tuple[str, ...], expected: str
) -> list[tuple[int, dict[str, str]]]:
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
        row = {key: cell.strip() for key, cell in zip(header, cells, strict=True)}
        rows.append((reader.line_num, row))
    return rows


def safe_name(name: str, path: Path, line: int | None = None, what: str = "picture name") -> str:
    """Return `name` if it is a plain file name; raises InputError on a path or odd characters."""
    if not _SAFE_NAME.fullmatch(name):
        where = f"{path} line {line}" if line else str(path)
        raise InputError(f"{where}: {what} {name!r}, expected a name of letters, digits, _ . -")
    return name


def inside(root: Path, path: Path) -> Path:
    """Return `path` if it lies below `root` after every link and `..` in it is followed.

    Costs a few microseconds a file: the folder of the file is followed once. A path that does not
    exist is judged by its name. Raises InputError naming the path and where it leads.
    """
    if path.name in ("", "..") or path.is_symlink():
        _inside(root, path)
    elif path != root:
        _folder_inside(root, path.parent)
    return path


@lru_cache(maxsize=4096)
def _folder_inside(root: Path, folder: Path) -> None:
    """Refuse a folder outside of the root; a refusal is not remembered, as links may be mended."""
    _inside(root, folder)


def _inside(root: Path, path: Path) -> None:
    try:
        real_root, real_path = root.resolve(), path.resolve()
    except (OSError, RuntimeError) as error:  # until Python 3.13 a circle is a RuntimeError
        raise InputError(f"{path} is a link that leads nowhere, expected a file") from error
    if not real_path.is_relative_to(real_root):
        raise InputError(
            f"{path} leads to {real_path}, outside of {real_root}: expected a path below it "
            "(a linked folder can be given as the root itself)"
        )
