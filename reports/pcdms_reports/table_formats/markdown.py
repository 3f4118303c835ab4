"""Tables as Markdown: best **bold**, second best *italic*, marks and footnotes below."""

from __future__ import annotations

from collections.abc import Sequence

from pcdms_reports.table_model import Cell, Number, Row, Table, superscript


def to_markdown(tables: Sequence[Table], title: str) -> str:
    """Return one document: the title, then each table with its caption, legend and footnotes."""
    parts = [f"# {_safe(title)}", *(_table(table) for table in tables)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    heads = [_safe(table.head), *(_safe(column.title) for column in table.columns)]
    rules = "".join("---:|" if column.numeric else "---|" for column in table.columns)
    lines = [f"**{_safe(table.caption)}**", "", _line(heads), f"|---|{rules}"]
    lines += [_line([_label(row), *map(_cell, row.cells)]) for row in table.rows]
    notes = [*table.legend]
    notes += [f"{superscript(letter)} {meaning}" for letter, meaning in table.marks]
    notes += [f"{superscript(str(i))} {text}" for i, text in enumerate(table.footnotes, start=1)]
    return "\n".join([*lines, "", *(f"- {_safe(note)}" for note in notes)]).rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _label(row: Row) -> str:
    return f"{_safe(row.label)} {_raised('', row.notes)}".strip()


def _cell(cell: Cell) -> str:
    numbers = " / ".join(map(_number, cell.numbers))
    return numbers or f"{_safe(cell.text)} {_raised('', cell.notes)}".strip()


def _number(number: Number) -> str:
    stars = ("", "**", "*")[number.rank]
    shown = _safe(number.shown)
    return f"{stars}{shown}{stars} {_raised(number.mark, number.notes)}".strip()


def _raised(mark: str, notes: Sequence[int]) -> str:
    return " ".join(superscript(sign) for sign in (mark, *map(str, notes)) if sign)


def _safe(text: str) -> str:
    """Return free text on one line that no reader takes for markup; code spans stay."""
    parts = " ".join(text.split()).split("`")
    for index in range(0, len(parts), 2):
        parts[index] = parts[index].replace("&", "&amp;").replace("<", "&lt;").replace("*", "\\*")
    return "`".join(parts).replace("|", "\\|")
