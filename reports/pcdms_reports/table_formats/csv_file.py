"""Tables as CSV: numbers in columns of their own, what hangs on them in columns beside."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from pcdms_reports.table_model import Cell, Row, Table

Reader = Callable[[Row, Cell], str]


def to_csv(tables: Sequence[Table], title: str) -> str:
    """Return one rectangle: the caption, the row's label, and per column what any cell of it has.

    `<column>` holds the number as every format prints it (the one that comes first where sources
    disagree), without signs between thousands, or the words in its place; `<column> shown` is what
    other formats print where that is no plain number (2.74 M); `low` and `high` the interval,
    `sign` what stands before the digits, `others` the further values, `rank` 1 or
    2, and `notes` the full text of marks and footnotes. Several tables stand
    below each other; a column that a table lacks is empty there. `title` is not used: a title line
    would not be CSV.
    """
    heads: dict[str, None] = {"table": None}
    records: list[dict[str, str]] = []
    for table in tables:
        readers = _readers(table)
        heads |= dict.fromkeys([table.head, *readers])
        for row in table.rows:
            record = {"table": table.caption, table.head: row.label}
            for name, (place, read) in readers.items():
                cell = row.cells[place] if place >= 0 else Cell(notes=row.notes)
                record[name] = read(row, cell)
            records.append(record)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(heads), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def _readers(table: Table) -> dict[str, tuple[int, Reader]]:
    """Return column name -> (place of the cell, what to read from it); -1 is the row's label."""
    further: list[tuple[str, Reader]] = [
        ("shown", lambda row, cell: _shown(cell)),
        ("sign", lambda row, cell: cell.numbers[0].sign.strip() if cell.numbers else ""),
        ("low", lambda row, cell: _bound(cell, "low")),
        ("high", lambda row, cell: _bound(cell, "high")),
        ("others", lambda row, cell: " / ".join(n.sign + n.text for n in cell.numbers[1:])),
        ("rank", lambda row, cell: _rank(cell)),
        ("notes", lambda row, cell: _notes(table, cell)),
    ]
    readers: dict[str, tuple[int, Reader]] = {}
    if any(row.notes for row in table.rows):
        readers[f"{table.head} notes"] = (-1, further[-1][1])
    for place, column in enumerate(table.columns):
        readers[column.title] = (place, _first)
        for name, read in further:
            if any(read(row, row.cells[place]) for row in table.rows):
                readers[f"{column.title} {name}"] = (place, read)
    return readers


def _first(row: Row, cell: Cell) -> str:
    if not cell.numbers:
        return cell.text
    number = cell.numbers[0]
    return _plain(number.text) or f"{number.value:.15g}"


def _shown(cell: Cell) -> str:
    return cell.numbers[0].text if cell.numbers and not _plain(cell.numbers[0].text) else ""


def _plain(text: str) -> str:
    """Return the digits without signs between thousands; nothing where they are no number."""
    digits = text.replace(",", "")
    try:
        float(digits)
    except ValueError:
        return ""
    return digits


def _bound(cell: Cell, name: str) -> str:
    value = getattr(cell.numbers[0], name) if cell.numbers else None
    return "" if value is None else repr(float(value))


def _rank(cell: Cell) -> str:
    found = [number.rank for number in cell.numbers if number.rank]
    return str(found[0]) if found else ""


def _notes(table: Table, cell: Cell) -> str:
    """Return the words behind all marks and footnotes of a cell, those of later values named."""
    meanings = dict(table.marks)
    texts = [table.footnotes[note - 1] for note in cell.notes]
    for number in cell.numbers:
        own = [meanings[number.mark]] if number.mark else []
        own += [table.footnotes[note - 1] for note in number.notes]
        prefix = f"{number.text}: " if len(cell.numbers) > 1 else ""
        texts += [f"{prefix}{text}" for text in own]
    return "; ".join(dict.fromkeys(texts))
