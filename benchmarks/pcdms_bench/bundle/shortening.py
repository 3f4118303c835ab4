"""Absolute paths of the machine, cut to their last name in the texts of a bundle."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

_POSIX = re.compile(r"(?<![\w.:/~<-])~?(?:/[^\s/'\"`,;:()\[\]<>]+){2,}/?")
_WINDOWS = re.compile(r"(?<![\w])(?:[A-Za-z]:\\|\\\\)[^\s'\"`,;:()\[\]<>]+")
CUT = "…/"
"""What stands where the folders of a path stood."""


def shortened(text: str) -> str:
    """Return `text` with every absolute path cut to `…/<last name>`; addresses stay.

    A path ends at white space, a quote, a bracket, a comma, a colon or a semicolon, so a folder
    with a blank in its name leaves what follows the blank.
    """
    text = _WINDOWS.sub(lambda match: CUT + re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], text)
    return _POSIX.sub(lambda match: CUT + match[0].rstrip("/").rpartition("/")[2], text)


def shortened_json(content: bytes) -> bytes:
    """Return a JSON document with the paths in its texts cut; unchanged where there are none."""
    value = json.loads(content.decode("utf-8"))
    cut = _walk(value)
    if cut == value:
        return content
    return (json.dumps(cut, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def shortened_table(content: bytes, column: str) -> bytes:
    """Return a CSV with the paths in one column cut; unchanged where there are none."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    if not rows or column not in rows[0]:
        return content
    at = rows[0].index(column)
    changed = False
    for row in rows[1:]:
        if len(row) > at and (cut := shortened(row[at])) != row[at]:
            row[at], changed = cut, True
    if not changed:
        return content
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, list):
        return [_walk(each) for each in value]
    if isinstance(value, dict):
        return {key: _walk(each) for key, each in value.items()}
    return value
