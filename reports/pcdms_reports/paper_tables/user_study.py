"""`table user-study`: what people said of the pictures, published and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.published_cells import not_recorded
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.published import DATASETS, load_published
from pcdms_reports.ranking import ranks
from pcdms_reports.records import RecordError
from pcdms_reports.stage_model import INTERVAL
from pcdms_reports.study_results import ALL, METRICS, NAME, StudyRow, read_study
from pcdms_reports.table_model import ABSENT, Cell, Column, Footnotes, Number, Row, Table, words

DIGITS = 1
DIRECTIONS = {"R2G": "none", "G2R": "up", "Jab": "up"}
ARROWS = {"none": "", "up": " ↑"}
ASKED = ("PCDMs",)
"""Methods that get a row even where nobody recorded a number."""


def user_study_tables(request: TableRequest) -> list[Table]:
    """Return the published studies, and one table per study in the runs' `user_study.csv`.

    Raises RecordError with what exists when the runs hold no study of the dataset asked for.
    """
    tables = _published(request.dataset)
    rows = _stored(request)
    for study, selection in dict.fromkeys((row.study, row.selection) for row in rows):
        own = [row for row in rows if (row.study, row.selection) == (study, selection)]
        tables.append(_measured(own, len(tables)))
    if not tables:
        raise RecordError(
            f"dataset {request.dataset!r}: no user study is published or stored, expected "
            "deepfashion or --runs with a user_study.csv"
        )
    return tables


def _stored(request: TableRequest) -> list[StudyRow]:
    if request.runs is None:
        return []
    rows = [row for path in request.runs.files(NAME) for row in read_study(path)]
    kept = [row for row in rows if request.dataset in ("", row.dataset)]
    if rows and not kept:
        held = ", ".join(sorted({row.dataset for row in rows}))
        raise RecordError(
            f"{request.runs.place}: no user study of {request.dataset}; there is {held}"
        )
    return kept


def _columns() -> tuple[Column, ...]:
    return tuple(
        Column(f"{name}{ARROWS[DIRECTIONS[name]]}", meaning=meaning)
        for name, meaning in METRICS.items()
    )


def _published(dataset: str) -> list[Table]:
    values = [v for v in load_published("user_study") if dataset in ("", v.dataset)]
    if not values:
        return []
    footnotes = Footnotes()
    rows = []
    for method in dict.fromkeys([*(value.method for value in values), *ASKED]):
        cells = []
        for name in METRICS:
            own = [v for v in values if (v.method, v.metric) == (method, f"{name}_percent")]
            numbers = tuple(
                Number(v.text, v.value, notes=footnotes.numbers(f"{v.source}; {v.note}"))
                for v in own
            )
            cells.append(Cell(numbers) if numbers else not_recorded(footnotes))
        rows.append(Row(method, tuple(cells)))
    table = Table(
        "user-study-published",
        f"Published user studies on {DATASETS[values[0].dataset]}, in percent; each is a study of "
        "its own, with other raters and pictures, so the rows do not compare",
        "method",
        _columns(),
        tuple(rows),
        footnotes=tuple(footnotes.texts),
    )
    return [replace(table, legend=(*_meanings(), *signs_of(table))).in_reading_order()]


def _measured(rows: Sequence[StudyRow], number: int) -> Table:
    footnotes = Footnotes()
    methods = list(dict.fromkeys(row.method for row in rows))
    found = [_column(rows, methods, name, footnotes) for name in METRICS]
    raters = len({row.rater for row in rows} - {ALL})
    first = rows[0]
    table = Table(
        f"user-study-{number}",
        f"User study {first.study} on {DATASETS.get(first.dataset, first.dataset)}, "
        f"{raters} rater{'' if raters == 1 else 's'}, selection {first.selection}, in percent",
        "method",
        _columns(),
        tuple(
            Row(method, tuple(column[place] for column in found))
            for place, method in enumerate(methods)
        ),
        footnotes=tuple(footnotes.texts),
    )
    signs = [line.replace(INTERVAL, "±: half of the 95 % interval.") for line in signs_of(table)]
    return replace(table, legend=(*_meanings(), *signs)).in_reading_order()


def _column(
    rows: Sequence[StudyRow], methods: Sequence[str], name: str, footnotes: Footnotes
) -> list[Cell]:
    pooled = {row.method: row for row in rows if row.metric == name and row.rater == ALL}
    values = {m: row.value for m, row in pooled.items() if row.value is not None}
    places = ranks(DIRECTIONS[name], DIGITS, values)
    cells = []
    for method in methods:
        row = pooled.get(method)
        if row is None:
            cells.append(ABSENT)
        elif row.value is None:
            cells.append(words("n/a", "unavailable", footnotes.numbers("nobody answered")))
        else:
            both = row.ci_low is not None and row.ci_high is not None
            half = (row.ci_high - row.ci_low) / 2 if both else 0.0  # type: ignore[operator]
            cells.append(
                Cell(
                    (
                        Number(
                            f"{row.value:.{DIGITS}f}",
                            row.value,
                            spread=f"± {half:.{DIGITS}f}" if both else "",
                            low=row.ci_low,
                            high=row.ci_high,
                            rank=places.get(method, 0),
                            notes=footnotes.numbers(f"{row.n:,} answers"),
                        ),
                    )
                )
            )
    return cells


def _meanings() -> list[str]:
    return [f"{name}: {meaning}." for name, meaning in METRICS.items()]
