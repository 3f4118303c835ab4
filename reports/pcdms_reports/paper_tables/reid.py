"""`table reid`: re-identification with and without generated pictures, published and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.published_cells import not_recorded, published_cells
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.published import DATASETS, load_published
from pcdms_reports.ranking import ranks
from pcdms_reports.records import RecordError
from pcdms_reports.reid_results import NAME, NONE, ReidRow, read_reid
from pcdms_reports.table_model import ABSENT, Cell, Column, Footnotes, Marks, Number, Row, Table
from pcdms_reports.table_model import words as word_cell

FRACTIONS = (20, 40, 60, 80, 100)
SCORES = {"map": "mAP", "rank1": "Rank-1"}
DIGITS = 1
MEANING = "percentage of the real training pictures that was kept; generated ones fill it up"


def reid_tables(request: TableRequest) -> list[Table]:
    """Return the published scores, and one table per dataset and network of the runs' `reid.csv`.

    Raises RecordError with what exists when the runs hold nothing of the dataset asked for.
    """
    tables = _published(request.dataset)
    rows = _stored(request)
    groups: dict[tuple[str, str, int, int], list[ReidRow]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.network, row.n, row.gallery), []).append(row)
    for number, members in enumerate(groups.values(), start=1):
        tables.append(_measured(members, number))
    if not tables:
        raise RecordError(
            f"dataset {request.dataset!r}: no re-identification is published or stored, expected "
            "one of market1501 or --runs with a reid.csv"
        )
    return tables


def _stored(request: TableRequest) -> list[ReidRow]:
    if request.runs is None:
        return []
    rows = [row for path in request.runs.files(NAME) for row in read_reid(path)]
    kept = [row for row in rows if request.dataset in ("", row.dataset)]
    if rows and not kept:
        held = ", ".join(sorted({row.dataset for row in rows}))
        raise RecordError(
            f"{request.runs.place}: no re-identification on {request.dataset}; there is {held}"
        )
    return kept


def _published(dataset: str) -> list[Table]:
    values = [v for v in load_published("reid") if dataset in ("", v.dataset)]
    if not values:
        return []
    marks, footnotes = Marks(), Footnotes()
    names = {f"{share} %": (f"reID_{share}pct_real",) for share in FRACTIONS}
    cells = published_cells(values, names)
    columns = {
        name: cells.column(name, _words(name), {}, marks, footnotes)
        for name in names
        if name in cells.leads
    }
    methods = list(dict.fromkeys(value.method for value in values))
    rows = [
        Row(
            "Standard (real pictures alone)" if method == "Standard" else method,
            tuple(columns.get(name, {}).get(method) or not_recorded(footnotes) for name in names),
        )
        for method in methods
    ]
    table = Table(
        "reid-published",
        f"Published re-identification on {DATASETS[values[0].dataset]}: re-ID score (label "
        "uncertain: Rank-1 or mAP) by the share of real training pictures",
        "method",
        tuple(Column(name, meaning=MEANING) for name in names),
        tuple(rows),
        marks.listed,
        footnotes=tuple(footnotes.texts),
    )
    lead = f"Published: {cells.lead_words({})}; in percent."
    table = replace(table, legend=(lead, *signs_of(table))).with_row_notes()
    return [table.in_reading_order()]


def _measured(rows: Sequence[ReidRow], number: int) -> Table:
    """Return the table of one dataset and network: a row per method, two columns per fraction."""
    footnotes = Footnotes()
    methods = list(dict.fromkeys(row.method for row in rows))
    methods.sort(key=lambda method: method != NONE)
    fractions = sorted({row.fraction for row in rows})
    columns: list[Column] = []
    found: list[list[Cell]] = []
    for fraction in fractions:
        for score, title in SCORES.items():
            own = [row for row in rows if row.fraction == fraction]
            columns.append(Column(f"{title} ↑", group=f"{fraction} %", meaning=MEANING))
            found.append(_column(own, methods, score, footnotes))
    first = rows[0]
    table = Table(
        f"reid-measured-{number}",
        f"Measured re-identification on {DATASETS.get(first.dataset, first.dataset)}, network "
        f"{first.network}, {first.n:,} queries against {first.gallery:,} pictures, in percent, by "
        "the share of real training pictures",
        "generated pictures of",
        tuple(columns),
        tuple(
            Row(
                "none (real pictures alone)" if method == NONE else method,
                tuple(column[place] for column in found),
            )
            for place, method in enumerate(methods)
        ),
        footnotes=tuple(footnotes.texts),
    )
    legend = signs_of(table)
    if any(number.spread for row in table.rows for cell in row.cells for number in cell.numbers):
        legend = [line for line in legend if not line.startswith("±")]
        legend.append(
            "±: half of the 95 % interval over queries, or the standard deviation over seeds where "
            "the footnote says so."
        )
    return replace(table, legend=tuple(legend)).in_reading_order()


def _column(
    rows: Sequence[ReidRow], methods: Sequence[str], score: str, footnotes: Footnotes
) -> list[Cell]:
    """Return the cells of one score at one fraction, best and second best marked.

    Rows that were trained on other numbers of real pictures are never ranked against each other.
    """
    by_method = {m: [row for row in rows if row.method == m] for m in methods}
    cells = {m: _cell(own, score, footnotes) for m, own in by_method.items()}
    values = {m: cell.numbers[0].value for m, cell in cells.items() if cell.numbers}
    alike = len({row.real_pictures for row in rows}) == 1
    places = ranks("up", DIGITS, values) if alike else {}
    return [
        replace(cell, numbers=(replace(cell.numbers[0], rank=places.get(m, 0)),))
        if cell.numbers
        else cell
        for m, cell in cells.items()
    ]


def _cell(rows: Sequence[ReidRow], score: str, footnotes: Footnotes) -> Cell:
    """Return one score: that of one network, or the mean over seeds."""
    if not rows:
        return ABSENT
    known = [row for row in rows if getattr(row, score) is not None]
    reasons = [f"{row.status}: {row.reason}" for row in rows if row.reason]
    if not known:
        status = rows[0].status
        text = "n/a" if status == "unavailable" else "failed"
        return word_cell(text, status, footnotes.numbers(*reasons))
    values = [float(getattr(row, score)) for row in known]
    made = known[0]
    note = f"{made.real_pictures:,} real and {made.generated_pictures:,} generated pictures"
    sign = "~" if any(row.status == "indicative" for row in known) else ""
    if len(known) > 1:
        note += f"; mean of {len(known)} seeds, ± their standard deviation"
        spread, low, high = f"± {stdev(values):.{DIGITS}f}", None, None
    else:
        low, high = getattr(made, f"{score}_low"), getattr(made, f"{score}_high")
        both = low is not None and high is not None
        spread = f"± {(high - low) / 2:.{DIGITS}f}" if both else ""
    mean = fmean(values)
    notes = footnotes.numbers(note, *reasons)
    return Cell((Number(f"{mean:.{DIGITS}f}", mean, spread, low, high, sign, notes=notes),))


def _words(name: str) -> MetricWords:
    return MetricWords(name, name, "up", DIGITS, "pictures", MEANING)
