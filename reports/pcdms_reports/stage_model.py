"""A per-stage table as the model that every format is written from."""

from __future__ import annotations

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.stage_rows import StageCell, StageTable
from pcdms_reports.table_model import ABSENT, Cell, Column, Number, Row, Table

BOUND_SIGN = " †"
BOUND = "†: uses the target itself; a bound, not ranked."
RANKED = "Bold: best of the column; second best: italic or underlined."
INTERVAL = "±: half of the 95 % bootstrap interval."
INDICATIVE = "~: indicative only, see the footnote."


def stage_model(table: StageTable, name: str = "stages") -> Table:
    """Return `table` with its number of pairs as the first column, ready for any writer."""
    pairs = Column("pairs", meaning="pairs that were scored")
    rows = [
        Row(
            row.label + (BOUND_SIGN if row.bound else ""),
            (
                Cell(numbers=(Number(row.count, row.n),)),
                *(_cell(cell, words) for cell, words in zip(row.cells, table.columns, strict=True)),
            ),
            muted=row.bound,
        )
        for row in table.rows
    ]
    return Table(
        name,
        table.caption,
        "stage",
        (pairs, *(metric_column(words) for words in table.columns)),
        tuple(rows),
        legend=tuple(legend_of(table)),
        footnotes=table.footnotes,
    )


def metric_column(words: MetricWords, heading: str = "") -> Column:
    """Return the column of a metric; with a `heading` the metric becomes the group."""
    meaning = f"{words.meaning} ({words.phrase})"
    if heading:
        return Column(heading, group=words.heading, meaning=meaning)
    return Column(words.heading, meaning=meaning)


def legend_of(table: StageTable) -> list[str]:
    """Return the sentences that explain the signs used in `table`."""
    cells = [cell for row in table.rows for cell in row.cells]
    sentences = []
    if any(cell.rank for cell in cells):
        sentences.append(RANKED)
    if any(cell.low is not None for cell in cells):
        sentences.append(INTERVAL)
    if any(row.bound for row in table.rows):
        sentences.append(BOUND)
    if any(cell.status == "indicative" for cell in cells):
        sentences.append(INDICATIVE)
    if any(cell.status == "absent" for cell in cells):
        sentences.append("–: not measured for this stage.")
    if any(row.method == "copy-source" for row in table.rows) and any(
        column.name.startswith(("fid", "fd_", "kid")) for column in table.columns
    ):
        sentences.append(
            "copy-source shows real pictures in another order, so set metrics (FID and its kin) "
            "favour it; never read them alone."
        )
    return sentences


def _cell(cell: StageCell, words: MetricWords) -> Cell:
    if cell.status == "absent":
        return ABSENT
    if cell.value is None:
        return Cell(text=cell.text, status=cell.status, notes=cell.notes)
    sign = "~" if cell.status == "indicative" else ""
    number = Number(
        words.format(cell.value),
        cell.value,
        spread=f"± {cell.spread}" if cell.spread else "",
        low=cell.low,
        high=cell.high,
        sign=sign,
        rank=cell.rank,
        notes=cell.notes,
    )
    return Cell(numbers=(number,))
