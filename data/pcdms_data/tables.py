"""Reading of CSV text and of names and paths that come from somebody else's files."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path

from pcdms_data.types import InputError

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
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing, expected {expected}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text, expected {expected}") from error
    if len(content) > LARGEST_TEXT:
        raise InputError(f"{path} holds more than {LARGEST_TEXT >> 20} MiB, expected {expected}")
    return text.splitlines()


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
    if not _SAFE_NAME.fullmatch(name):
        where = f"{path} line {line}" if line else str(path)
        raise InputError(
            f"{where}: picture name {name!r}, expected a file name of letters, digits, _ . -"
        )
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
    real_root, real_path = root.resolve(), path.resolve()
    if not real_path.is_relative_to(real_root):
        raise InputError(
            f"{path} leads to {real_path}, outside of {real_root}: expected a path below it "
            "(a linked folder can be given as the root itself)"
        )
