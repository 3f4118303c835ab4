"""What a per-stage table is made of: cells, rows and the table itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.table_model import superscript


@dataclass(frozen=True)
class StageCell:
    """One number as it is shown. `status` is that of the score row, or `absent` without a row.

    `rank` is 1 (best), 2 (second best) or 0; `notes` are numbers into the table's footnotes.
    """

    text: str
    status: str = "absent"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rank: int = 0
    notes: tuple[int, ...] = ()

    @property
    def number(self) -> str:
        """Return the text without its interval."""
        return self.text.partition(" ± ")[0]

    @property
    def spread(self) -> str:
        """Return the half width of the interval as text, empty without one."""
        return self.text.partition(" ± ")[2]

    @property
    def marks(self) -> str:
        """Return the footnote numbers as superscripts."""
        return " ".join(superscript(str(note)) for note in self.notes)

    @property
    def plain(self) -> str:
        """Return text and footnote marks in one string."""
        return f"{self.text} {self.marks}".strip()


@dataclass(frozen=True)
class StageRow:
    """One stage of one run. `n` of `n_expected` pairs were scored; `bound` rows are not ranked."""

    label: str
    method: str
    stages: str
    stage: str
    run: str
    n: int
    n_expected: int
    bound: bool
    cells: tuple[StageCell, ...]

    @property
    def count(self) -> str:
        """Return the number of scored pairs, with the expected number where some are missing."""
        return f"{self.n}" if self.n >= self.n_expected else f"{self.n} of {self.n_expected}"


@dataclass(frozen=True)
class StageTable:
    """A finished table. `columns` are the metrics of the cells; `footnotes[i]` has number i + 1."""

    caption: str
    columns: tuple[MetricWords, ...]
    rows: tuple[StageRow, ...]
    footnotes: tuple[str, ...]

    def compact(self) -> StageTable:
        """Return the table without the columns that hold no number; footnotes say what went."""
        keep = [
            i
            for i, _ in enumerate(self.columns)
            if any(row.cells[i].value is not None for row in self.rows)
        ]
        gone = []
        for i, column in enumerate(self.columns):
            if i not in keep:
                notes = sorted({note for row in self.rows for note in row.cells[i].notes})
                gone.append(f"{column.title}: {'; '.join(self.footnotes[n - 1] for n in notes)}")
        rows = tuple(replace(row, cells=tuple(row.cells[i] for i in keep)) for row in self.rows)
        used = sorted({note for row in rows for cell in row.cells for note in cell.notes})
        number = {old: new for new, old in enumerate(used, start=1)}
        rows = tuple(
            replace(
                row,
                cells=tuple(
                    replace(cell, notes=tuple(number[note] for note in cell.notes))
                    for cell in row.cells
                ),
            )
            for row in rows
        )
        footnotes = [self.footnotes[old - 1] for old in used] + gone
        columns = tuple(self.columns[i] for i in keep)
        return StageTable(self.caption, columns, rows, tuple(footnotes))
