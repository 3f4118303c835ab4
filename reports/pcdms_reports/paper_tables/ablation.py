"""`table ablation`: what stages are worth, by stage subsets; and the ablations others printed."""

from __future__ import annotations

from dataclasses import replace

from pcdms_reports.metric_words import metric_order, words_of
from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.measured_rows import score_column
from pcdms_reports.paper_tables.published_ablation import published_ablation
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.paper_tables.stage_paths import (
    STAGED,
    Part,
    PathRow,
    comparable_parts,
    labels_of,
)
from pcdms_reports.records import RecordError
from pcdms_reports.stage_model import BOUND_SIGN, metric_column
from pcdms_reports.table_model import Cell, Column, Footnotes, Marks, Row, Table, words

EMBEDDING = {"prior": "predicted", "truth": "true"}
"""First stage of a subset -> the target embedding that stage `inpaint` gets."""
NO_PUBLISHED = (
    "No source that was read prints a numeric ablation of PCDMs' stages, so nothing published "
    "stands beside these numbers."
)


def ablation_tables(request: TableRequest) -> list[Table]:
    """Return one table per comparable part of the runs, and what others published.

    The published ablations come without runs, or beside runs on a dataset that papers use. Raises
    RecordError with what exists when the runs hold no stage subset.
    """
    tables: list[Table] = []
    if request.runs is not None:
        parts = comparable_parts(request)
        for part in parts:
            rows = [one for one in part.rows if _belongs(one, part)]
            if any(one.path in STAGED or one.path == "final+refine" for one in rows):
                tables.append(_table(replace(part, rows=tuple(rows)), request, len(tables) + 1))
        if not tables:
            methods = sorted({one.method for part in parts for one in part.rows})
            raise RecordError(
                f"{request.stored.place}: no stage subset was scored, expected runs of `ablate` or "
                f"of pcdms; there are {', '.join(methods)}"
            )
    dataset = request.dataset or request.only_dataset() or "deepfashion"
    return [*tables, *published_ablation(dataset)]


def _belongs(one: PathRow, part: Part) -> bool:
    """Return whether a row is part of the ablation: a method alone is only with its refined one."""
    refined = {other.method for other in part.rows if other.path == "final+refine"}
    return one.path != "final" or one.method in refined


def _table(part: Part, request: TableRequest, number: int) -> Table:
    marks, footnotes = Marks(), Footnotes()
    rows = [one.row for one in part.rows]
    metrics = request.metrics or tuple(
        metric
        for metric in sorted({metric for row in rows for metric in row.scores}, key=metric_order)
        if any(row.scores[metric].value is not None for row in rows if metric in row.scores)
    )
    columns = [
        Column("embedding", numeric=False, meaning="what stands for the target's embedding"),
        Column("refine", numeric=False, meaning="whether stage refine made the picture"),
        Column("pairs", meaning="pairs that were scored"),
    ]
    cells: list[list[Cell]] = [
        [words(_embedding(one)) for one in part.rows],
        [words("yes" if one.path.endswith("refine") else "no") for one in part.rows],
        [row.count for row in rows],
    ]
    for metric in metrics:
        columns.append(metric_column(words_of(metric)))
        cells.append(score_column(rows, words_of(metric), marks, footnotes))
    table = Table(
        f"ablation-{number}",
        f"Stage ablation: {part.caption}",
        "stages",
        tuple(columns),
        tuple(
            Row(
                label + (BOUND_SIGN if one.row.bound else ""),
                tuple(column[place] for column in cells),
                block=0 if one.path in STAGED else 1,
                muted=one.row.bound,
                notes=footnotes.numbers(_origin(one, metrics)),
            )
            for place, (one, label) in enumerate(zip(part.rows, labels_of(part.rows), strict=True))
        ),
        marks.listed,
        footnotes=tuple(footnotes.texts),
    )
    missing = [path for path in STAGED if path not in {one.path for one in part.rows}]
    legend = signs_of(table)
    if missing:
        legend.append(f"Not measured: {', '.join(missing)}.")
    return replace(table, legend=(*legend, NO_PUBLISHED)).in_reading_order()


def _embedding(one: PathRow) -> str:
    if one.path not in STAGED:
        return "–"
    return EMBEDDING.get(one.path.partition("+")[0], "none")


def _origin(one: PathRow, metrics: tuple[str, ...]) -> str:
    origin = one.row.origin(metrics)
    return origin if one.row.stages == one.path else f"stage {one.row.stage} of {origin}"
