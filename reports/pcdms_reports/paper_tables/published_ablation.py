"""Ablations that sources print, and the ones of PCDMs that nobody has recorded."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from pcdms_reports.metric_words import words_of
from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.stage_paths import STAGED
from pcdms_reports.published import DATASETS, NOT_RECORDED, UNKNOWN, PublishedValue, load_published
from pcdms_reports.stage_model import metric_column
from pcdms_reports.table_model import Cell, Column, Footnotes, Number, Row, Table, words

METRICS = {"ssim": "SSIM", "lpips": "LPIPS", "fid_paper": "FID"}
"""Metric -> what sources call it; a change of it is called `delta_<name>_...` there."""
ASKED = (*(f"PCDMs: {path}" for path in STAGED), "PIDM + refine of PCDMs")
"""What reviewers of the paper asked for."""


def published_ablation(dataset: str) -> list[Table]:
    """Return the table of published ablations on `dataset`; none where nobody printed one."""
    values = [value for value in load_published("ablation") if value.dataset == dataset]
    if not values:
        return []
    footnotes = Footnotes()
    unknown = words(NOT_RECORDED, "not-recorded")
    blank = words("–")
    rows = [Row(label, (blank, blank, unknown, unknown, unknown)) for label in ASKED]
    for block, (_, group) in enumerate(groupby(values, lambda value: value.source), start=1):
        members = list(group)
        for key in dict.fromkeys(_key(value) for value in members):
            own = [value for value in members if _key(value) == key]
            rows.append(_row(own, block, footnotes))
    columns = [Column("frame", numeric=False), Column("source", numeric=False)]
    for metric, title in METRICS.items():
        columns.append(metric_column(replace(words_of(metric), title=title)))
    table = Table(
        f"ablation-published-{dataset}",
        f"Published ablations on {DATASETS[dataset]}; every protocol is unknown, so only rows of "
        "one source compare",
        "what was changed",
        tuple(columns),
        tuple(rows),
        footnotes=tuple(footnotes.texts),
    )
    legend = [*signs_of(table)]
    if any(number.sign for row in rows for cell in row.cells for number in cell.numbers):
        legend.append("Δ: a change against the row named in the footnote, as printed.")
    return [replace(table, legend=tuple(legend)).with_row_notes().in_reading_order()]


def _key(value: PublishedValue) -> tuple[str, str]:
    return value.method, value.variant


def _row(values: list[PublishedValue], block: int, footnotes: Footnotes) -> Row:
    """Return the row of one variant."""
    first = values[0]
    frame = "not stated" if first.resolution == UNKNOWN else first.resolution
    cells = [words(frame), words(first.source)]
    for name in METRICS.values():
        numbers = [
            Number(
                value.text,
                value.value,
                sign="" if value.metric == name else "Δ ",
                notes=footnotes.numbers(value.note),
            )
            for value in values
            if value.metric == name or value.metric.startswith(f"delta_{name}_")
        ]
        cells.append(Cell(tuple(numbers)) if numbers else words(NOT_RECORDED, "not-recorded"))
    label = f"{first.method}, {first.variant}" if first.variant else first.method
    return Row(label, tuple(cells), block=block)
