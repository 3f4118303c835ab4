"""`table user-study`: what people said of the pictures, published and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.published_cells import not_recorded
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.published import DATASETS, load_published
from pcdms_reports.ranking import ranks
from pcdms_reports.records import RecordError
from pcdms_reports.study_results import (
    MEANINGS,
    MEASURES,
    NAME,
    StudyRow,
    read_study_results,
)
from pcdms_reports.table_model import ABSENT, Cell, Column, Footnotes, Number, Row, Table, words

DIGITS = 1
ASKED = ("PCDMs",)
"""Methods that get a row even where nobody recorded a number."""


def user_study_tables(request: TableRequest) -> list[Table]:
    """Return the published studies, and one table per study in the runs' `user_study.csv`.

    Raises RecordError with what exists when the runs hold no study of the dataset asked for.
    """
    tables = _published(request.dataset)
    for path, rows in _stored(request).items():
        tables.append(_measured(path, rows, len(tables)))
    if not tables:
        raise RecordError(
            f"dataset {request.dataset!r}: no user study is published or stored, expected "
            "deepfashion or --runs with a user_study.csv"
        )
    return tables


def _stored(request: TableRequest) -> dict[Path, list[StudyRow]]:
    """Return the rows of each study that was asked for; two studies are never pooled."""
    if request.runs is None:
        return {}
    studies = {path: read_study_results(path) for path in request.runs.files(NAME)}
    kept = {
        path: [row for row in rows if request.dataset in ("", row.dataset)]
        for path, rows in studies.items()
    }
    if studies and not any(kept.values()):
        held = ", ".join(sorted({row.dataset for rows in studies.values() for row in rows}))
        raise RecordError(
            f"{request.runs.place}: no user study of {request.dataset or 'any dataset'}; there is "
            f"{held or 'none'}"
        )
    return {path: rows for path, rows in kept.items() if rows}


def _columns() -> tuple[Column, ...]:
    return tuple(Column(f"{name} ↑", meaning=MEANINGS[name]) for name in MEASURES)


def _published(dataset: str) -> list[Table]:
    values = [v for v in load_published("user_study") if dataset in ("", v.dataset)]
    if not values:
        return []
    footnotes = Footnotes()
    rows = []
    for method in dict.fromkeys([*(value.method for value in values), *ASKED]):
        cells = []
        for name in MEASURES:
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


def _measured(path: Path, rows: Sequence[StudyRow], number: int) -> Table:
    footnotes = Footnotes()
    methods = list(dict.fromkeys(row.method for row in rows))
    found = [_column(rows, methods, name, footnotes) for name in MEASURES]
    raters = max(row.n_raters for row in rows)
    dataset = rows[0].dataset
    table = Table(
        f"user-study-{number}",
        f"User study {path.parent.name} on {DATASETS.get(dataset, dataset)}, "
        f"{raters} rater{'' if raters == 1 else 's'}, in percent",
        "method",
        _columns(),
        tuple(
            Row(method, tuple(column[place] for column in found))
            for place, method in enumerate(methods)
        ),
        footnotes=tuple(footnotes.texts),
    )
    kinds = sorted({row.interval for row in rows} - {""})
    intervals = [f"In brackets: 95 % interval ({' or '.join(kinds)})."] if kinds else []
    legend = (*_meanings(), *intervals, *signs_of(table))
    return replace(table, legend=legend).with_row_notes().in_reading_order()


def _column(
    rows: Sequence[StudyRow], methods: Sequence[str], name: str, footnotes: Footnotes
) -> list[Cell]:
    own = {row.method: row for row in rows if row.measure == name}
    values = {m: 100 * row.value for m, row in own.items() if row.value is not None}
    places = ranks("up", DIGITS, values)
    return [_cell(own.get(method), places.get(method, 0), footnotes) for method in methods]


def _cell(row: StudyRow | None, rank: int, footnotes: Footnotes) -> Cell:
    """Return one share in percent with its interval and the number of answers behind it."""
    if row is None:
        return ABSENT
    if row.value is None:
        return words("n/a", "unavailable", footnotes.numbers("nobody answered"))
    low, high = row.ci_low, row.ci_high
    spread = ""
    if low is not None and high is not None:
        low, high = 100 * low, 100 * high
        spread = f"[{low:.{DIGITS}f}, {high:.{DIGITS}f}]"
    value = 100 * row.value
    notes = footnotes.numbers(f"{row.n_answers:,} answers")
    number = Number(f"{value:.{DIGITS}f}", value, spread, low, high, rank=rank, notes=notes)
    return Cell((number,))


def _meanings() -> list[str]:
    return [f"{name}: {meaning}." for name, meaning in MEANINGS.items()]
