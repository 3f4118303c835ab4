"""What generating cost in the runs at hand, stage by stage."""

from __future__ import annotations

from dataclasses import replace

from pcdms_reports.metric_words import words_of
from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.measured_rows import score_cell
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.records import RecordError, ScoreRow
from pcdms_reports.scores import to_rows
from pcdms_reports.stage_model import metric_column
from pcdms_reports.table_model import Cell, Column, Footnotes, Marks, Number, Row, Table, words
from pcdms_reports.tables import stage_label

METRICS = ("seconds_per_picture", "peak_memory_mb", "parameters")
Key = tuple[str, str, str, int]
"""Method, stages, run and seed."""


def cost_table(request: TableRequest) -> Table:
    """Return the cost of every stage of every run, with the device it ran on.

    Raises RecordError with what exists when no run of the dataset asked for has costs.
    """
    stored = request.stored
    frame = stored.scores[stored.scores["metric"].isin(list(METRICS))]
    rows = [row for row in to_rows(frame) if request.dataset in ("", row.dataset)]
    if not rows:
        held = ", ".join(sorted(set(stored.scores["dataset"]))) or "nothing"
        raise RecordError(
            f"{stored.place}: no {', '.join(METRICS)} of {request.dataset or 'any dataset'}; there "
            f"are scores of {held}"
        )
    footnotes = Footnotes()
    runs: dict[Key, dict[str, dict[str, ScoreRow]]] = {}
    for row in rows:
        stages = runs.setdefault((row.method, row.stages, row.run, row.seed), {})
        stages.setdefault(row.stage, {})[row.metric] = row
    shown: list[Row] = []
    for number, (key, stages) in enumerate(runs.items(), start=1):
        block = number if len(stages) > 1 else 0
        for stage, costs in stages.items():
            shown.append(_row(key, stage, costs, request, block, footnotes, list(runs)))
        if len(stages) > 1:
            shown.append(_total(key, stages, request, block, footnotes, list(runs)))
    columns = [
        Column("device", numeric=False, meaning="where it ran"),
        Column("pictures", meaning="pictures that were timed"),
        *(metric_column(words_of(metric)) for metric in METRICS),
    ]
    table = Table(
        "compute-runs",
        "Measured cost of sampling in these runs; not ranked, since machines differ",
        "stage",
        tuple(columns),
        tuple(shown),
        footnotes=tuple(footnotes.texts),
    )
    return replace(table, legend=tuple(signs_of(table))).in_reading_order()


def _row(
    key: Key,
    stage: str,
    costs: dict[str, ScoreRow],
    request: TableRequest,
    block: int,
    footnotes: Footnotes,
    keys: list[Key],
) -> Row:
    n = max(row.n for row in costs.values())
    cells = [
        score_cell(
            costs.get(metric),
            words_of(metric),
            rank=0,
            mark="",
            expected=n,
            marks=Marks(),
            footnotes=footnotes,
        )
        for metric in METRICS
    ]
    label = _label(key, keys) + stage_label(key[0], stage).removeprefix(key[0])
    return Row(label, (_device(key, request), _count(n), *cells), block=block)


def _total(
    key: Key,
    stages: dict[str, dict[str, ScoreRow]],
    request: TableRequest,
    block: int,
    footnotes: Footnotes,
    keys: list[Key],
) -> Row:
    """Return the row of all stages: seconds and parameters added, the largest peak."""
    note = footnotes.numbers("the stages' seconds and parameters added, and the largest peak")
    cells = []
    for metric in METRICS:
        values = [costs[metric].value for costs in stages.values() if metric in costs]
        known = [value for value in values if value is not None]
        if len(known) < len(stages):
            cells.append(words("n/a", "unavailable"))
            continue
        total = max(known) if metric == "peak_memory_mb" else sum(known)
        cells.append(Cell((Number(words_of(metric).format(total), total, notes=note),)))
    counts = [row.n for costs in stages.values() for row in costs.values()]
    label = f"{_label(key, keys)} · all stages"
    return Row(label, (_device(key, request), _count(min(counts)), *cells), block=block)


def _label(key: Key, keys: list[Key]) -> str:
    method, stages, run, _ = key
    alike = [other for other in keys if other[0] == method]
    label = method
    if len({other[1] for other in alike}) > 1 and stages != "final":
        label += f" ({stages})"
    return f"{label} [{run}]" if sum(other[1] == stages for other in alike) > 1 else label


def _count(n: int) -> Cell:
    return Cell((Number(str(n), n),))


def _device(key: Key, request: TableRequest) -> Cell:
    folder = request.stored.folder(key[2])
    device = (folder.environment or {}).get("device") if folder is not None else None
    return words(str(device)) if device else words("not stored", "absent")
