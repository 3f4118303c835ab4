"""Tables as one HTML page: self-contained, sortable, for phones and screen readers too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pcdms_reports.table_model import Cell, Column, Table

TEMPLATES = Path(__file__).parents[1] / "templates"
LONG = 26
"""Words of more characters may be broken over lines."""


def to_html(tables: Sequence[Table], title: str) -> str:
    """Return one self-contained page with all `tables`; its policy forbids loading anything."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("tables.html.j2")
        .render(
            title=title,
            tables=tables,
            style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def environment() -> Environment:
    """Return the templates of all pages, with text escaped and code spans marked by `|code`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = _code
    made.filters["unbroken"] = _unbroken
    made.globals |= {"cell_class": _cell_class, "row_class": _row_class, "LONG": LONG}
    return made


def _code(text: str) -> Markup:
    """Return escaped text in which what stands between backticks is marked as code."""
    parts = [
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts) if len(parts) % 2 else escape(text)


def _unbroken(text: str) -> str:
    """Return a heading that breaks neither at a hyphen nor before its arrow."""
    for sign in ("↑", "↓", "→", "1"):
        text = text.replace(f" {sign}", f"\u00a0{sign}")
    return text.replace("-", "\u2011")


def _cell_class(cell: Cell, column: Column) -> str:
    """Return how a cell looks: a number, best or second best, or why there is none."""
    ranked = {number.rank for number in cell.numbers}
    names = {
        "number": column.numeric,
        cell.status: bool(cell.status),
        "best": 1 in ranked,
        "second": 2 in ranked,
        "wrap": len(cell.text) > LONG,
    }
    return " ".join(name for name, holds in names.items() if holds)


def _row_class(table: Table, index: int) -> Markup:
    """Return the class attribute of a row: muted, and where a new block begins."""
    row = table.rows[index]
    names = ["bound"] if row.muted else []
    if index and table.rows[index - 1].block != row.block:
        names.append("part")
    return Markup(' class="{}"').format(" ".join(names)) if names else Markup("")
