"""Scores by slice: `slices.csv` of the run folders as tables, a column per label of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcdms_reports.csv_frames import read_frame
from pcdms_reports.csv_records import Field
from pcdms_reports.metric_words import MetricWords, metric_order, words_of
from pcdms_reports.stage_rows import StageTable

COLUMNS = ("run", "stage", "protocol", "metric", "slice", "label", "value", "ci_low", "ci_high",
           "n")  # fmt: skip
_FIELDS = (
    *(Field(name) for name in COLUMNS[:6]),
    Field("value", "real", infinite=True),
    *(Field(name, "real", optional=True, infinite=True) for name in ("ci_low", "ci_high")),
    Field("n", "whole", low=0),
)


@dataclass(frozen=True)
class SliceCell:
    """The mean of one stage over the pairs of one label; `best` among the ranked rows.

    `low` and `high` are the ends of its 95 % interval, `spread` half of its width as text.
    """

    text: str
    spread: str = ""
    value: float | None = None
    best: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SliceTable:
    """One metric by the labels of one slice. `labels` are (label, pairs), in their order."""

    slice: str
    words: MetricWords
    labels: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[SliceCell, ...]], ...]
    """Label of the stage, as in the main table, and a cell per slice label."""


def read_slices(path: Path) -> pd.DataFrame:
    """Return a `slices.csv` as a frame of `COLUMNS`; a missing file gives an empty frame.

    Raises RecordError naming file, line and column on other columns or a value that is no number.
    """
    return read_frame(path, _FIELDS, COLUMNS[:6])


def slice_tables(
    frame: pd.DataFrame, table: StageTable, protocol: str, metrics: Sequence[str] = ()
) -> list[SliceTable]:
    """Return one table per slice and metric for the stages of `table` that `frame` knows.

    `frame` holds the slices of several runs; `metrics` limits and orders them (default: all, in
    the order of the main table). The best of a column is marked as there: rows that use the target
    are never ranked.
    """
    known = frame[frame["protocol"] == protocol]
    present = sorted({str(name) for name in known["metric"]}, key=metric_order)
    tables = []
    for metric in [name for name in metrics if name in present] if metrics else present:
        own = known[known["metric"] == metric]
        for name in dict.fromkeys(map(str, own["slice"])):
            found = _table(own[own["slice"] == name], table, name, words_of(metric))
            if found.rows:
                tables.append(found)
    return tables


def _table(frame: pd.DataFrame, table: StageTable, name: str, words: MetricWords) -> SliceTable:
    labels = {str(label): 0 for label in frame["label"]}
    cells: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    for record in frame.to_dict("records"):
        label = str(record["label"])
        labels[label] = max(labels[label], int(record["n"]))
        cells[str(record["run"]), str(record["stage"]), label] = (
            float(record["value"]), float(record["ci_low"]), float(record["ci_high"]),
        )  # fmt: skip
    rows = [row for row in table.rows if any((row.run, row.stage, x) in cells for x in labels)]
    best = {
        label: _best(
            [
                cells[row.run, row.stage, label][0]
                for row in rows
                if not row.bound and (row.run, row.stage, label) in cells
            ],
            words,
        )
        for label in labels
    }
    shown = []
    for row in rows:
        found = [
            _cell(cells.get((row.run, row.stage, label)), words, None if row.bound else best[label])
            for label in labels
        ]
        shown.append((row.label + (" †" if row.bound else ""), tuple(found)))
    return SliceTable(name, words, tuple(labels.items()), tuple(shown))


def _cell(
    found: tuple[float, float, float] | None, words: MetricWords, best: float | None
) -> SliceCell:
    if found is None:
        return SliceCell("–")
    value, low, high = found
    ranked = best is not None and round(value, words.digits) == round(best, words.digits)
    if pd.isna(low) or pd.isna(high):
        return SliceCell(words.format(value), "", value, ranked)
    return SliceCell(words.format(value), words.format((high - low) / 2), value, ranked, low, high)


def _best(values: Sequence[float], words: MetricWords) -> float | None:
    """Return the best of two values or more; None where there is nothing to rank."""
    if len(values) < 2 or words.direction == "none":
        return None
    if words.direction == "one":
        return min(values, key=lambda value: abs(value - 1))
    return max(values) if words.direction == "up" else min(values)


def slices_markdown(parts: Sequence[tuple[str, Sequence[SliceTable]]]) -> str:
    """Return (title, tables) as one Markdown document; best in bold, ± half of the interval."""
    lines = ["# Scores by slice", "", "Bold: best of the column. ±: half of the 95 % bootstrap "
             "interval. Below each label: its pairs."]  # fmt: skip
    for title, tables in parts:
        lines += ["", f"## {title}"]
        for table in tables:
            lines += ["", f"**{table.words.heading} by {table.slice}**", ""]
            heads = ["stage", *(f"{label} ({n})" for label, n in table.labels)]
            lines += ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * len(table.labels)]
            for name, cells in table.rows:
                texts = [_markdown_cell(cell) for cell in cells]
                lines.append("| " + " | ".join([name, *texts]) + " |")
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: SliceCell) -> str:
    text = cell.text + (f" ± {cell.spread}" if cell.spread else "")
    return f"**{text}**" if cell.best else text
