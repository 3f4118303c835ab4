"""`table compute`: what training and sampling cost, as published and as measured here."""

from __future__ import annotations

from dataclasses import replace

from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.measured_speed import speed_tables
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.paper_tables.run_costs import cost_table
from pcdms_reports.published import DATASETS, NOT_RECORDED, PublishedValue, load_published
from pcdms_reports.table_model import Cell, Column, Footnotes, Number, Row, Table, words

COSTS = (
    ("parameters (M)", ("params_M",)),
    ("training (h)", ("train_hours_stage1", "train_hours_stage2", "train_hours_stage3")),
    ("training (GPU h)", ("train_gpu_hours",)),
    ("sampling (s per picture)", ("inference_s_per_image", "inference_s")),
    ("memory (GB)", ("memory_GB",)),
    ("pictures per second", ("fps",)),
    ("whole test set (h)", ("test_set_hours",)),
    ("tuning (s per case)", ("tuning_s_per_case",)),
)
"""Heading of a column, and what sources call it here (`published.UNITS`)."""
STAGE_HOURS = {
    "train_hours_stage1": "prior", "train_hours_stage2": "inpaint", "train_hours_stage3": "refine",
}  # fmt: skip


def compute_tables(request: TableRequest) -> list[Table]:
    """Return the published costs, those of the runs, and what `speed` measured on this project.

    Nothing is ranked: the numbers come from different machines. Raises RecordError with what exists
    when the runs hold nothing of the dataset asked for.
    """
    tables = [_published_table(request.dataset)]
    if request.runs is not None:
        tables.append(cost_table(request))
    return [*[table for table in tables if table.rows], *speed_tables()]


def _published_table(dataset: str) -> Table:
    values = [v for v in load_published("compute") if dataset in ("", v.dataset)]
    footnotes = Footnotes()
    rows = [
        Row(_label(key), (words(DATASETS[key[1]]), *_cells(key, values, footnotes)))
        for key in dict.fromkeys(map(_key, values))
    ]
    columns = [Column("dataset", numeric=False), *(Column(heading) for heading, _ in COSTS)]
    table = Table(
        "compute-published",
        "Published cost of training and sampling, each on the hardware its footnote names",
        "method",
        tuple(columns),
        tuple(rows),
        footnotes=tuple(footnotes.texts),
    )
    return replace(table, legend=tuple(signs_of(table))).in_reading_order()


def _key(value: PublishedValue) -> tuple[str, str, str]:
    """Return method, dataset and stage: what a row is about."""
    return value.method, value.dataset, STAGE_HOURS.get(value.metric, "")


def _label(key: tuple[str, str, str]) -> str:
    method, _, stage = key
    return f"{method} · {stage}" if stage else method


def _cells(
    key: tuple[str, str, str], values: list[PublishedValue], footnotes: Footnotes
) -> list[Cell]:
    cells = []
    for _, names in COSTS:
        numbers: list[Number] = []
        for value in values:
            if _key(value) == key and value.metric in names:
                note = footnotes.numbers(f"{value.source}: {value.note}".removesuffix(": "))
                alike = [i for i, number in enumerate(numbers) if number.value == value.value]
                if alike:
                    known = numbers[alike[0]]
                    numbers[alike[0]] = replace(known, notes=known.notes + note)
                else:
                    numbers.append(Number(value.text, value.value, notes=note))
        cells.append(Cell(tuple(numbers)) if numbers else words(NOT_RECORDED, "not-recorded"))
    return cells
