"""`table quantitative`: methods by SSIM, LPIPS and FID, as published and as measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pcdms_reports.metric_words import MetricWords, metric_order, words_of
from pcdms_reports.paper_tables.comparison import PADDING, difference_cell
from pcdms_reports.paper_tables.legend import signs_of
from pcdms_reports.paper_tables.lines import Line, label_of, lines_of
from pcdms_reports.paper_tables.measured_rows import MeasuredRow, measured_rows, score_column
from pcdms_reports.paper_tables.published_cells import (
    PublishedCells,
    not_recorded,
    published_cells,
)
from pcdms_reports.paper_tables.published_elsewhere import elsewhere
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.published import DATASETS, PublishedValue, load_published
from pcdms_reports.records import RecordError
from pcdms_reports.stage_model import metric_column
from pcdms_reports.table_model import ABSENT, Cell, Column, Footnotes, Marks, Row, Table, words

MAIN: Mapping[str, tuple[str, ...]] = {
    "ssim": ("SSIM", "SSIM_256"), "lpips": ("LPIPS",), "fid_paper": ("FID",),
}  # fmt: skip
"""Metric as it is measured here -> what sources call it. Every published script computes its FID
with the network of `fid_paper`, so `fid` never stands beside a published FID."""
OLD: Mapping[str, tuple[str, ...]] = {
    "ssim": ("SSIM",), "is": ("IS",), "masked_ssim_defgan": ("Mask-SSIM",),
    "masked_is": ("Mask-IS",), "pckh": ("PCKh",),
}  # fmt: skip
OLD_PROTOCOLS = ("patn", "market-masked")
"""The recipes of 2017 to 2020, whose numbers stand in a table of their own."""
PADDED_FRAME = "256x256-padded"
"""How sources print the frame 256x176 between white columns."""
PADDED = "ssim_padded"
"""SSIM of white-padded pictures: never in one column with SSIM."""
TITLES = {"fid_paper": "FID", "fid": "FID (TF Inception)", "pckh": "PCKh"}
"""Headings where published numbers stand in the table, in place of the metrics' own."""
ALONE = (PADDED, "lpips_pcdms", "fid")
"""Metrics that get a column without a published number beside it."""
FRAMES = {"deepfashion": ("256x176", "512x352"), "market1501": ("128x64",)}
ORACLE_WORDS = (
    "Oracle: of several samples the one with the best SSIM to the true target counts, and every "
    "later stage starts from it; such rows compare with no other."
)
SCATTER = (
    "A difference within 0.015 SSIM, 0.02 LPIPS or 0.6 FID lies inside the scatter between papers "
    "and their authors' own releases."
)


@dataclass(frozen=True)
class Work:
    """All that goes into one table, and the marks and footnotes that its cells collect."""

    request: TableRequest
    names: Mapping[str, tuple[str, ...]]
    """Metric to what sources call it."""
    published: PublishedCells
    lines: tuple[Line, ...]
    origins: Mapping[str, str]
    """Method to venue and year."""
    marks: Marks = field(default_factory=Marks)
    footnotes: Footnotes = field(default_factory=Footnotes)

    @property
    def measured(self) -> list[MeasuredRow]:
        """Return the measurements among the lines, in their order."""
        return [line.measured for line in self.lines if line.measured is not None]

    def words(self, metric: str) -> MetricWords:
        """Return the words of a metric, under the name sources use where they have one."""
        if metric == PADDED:
            return replace(words_of("ssim"), name=PADDED, title="SSIM (white-padded)")
        own = words_of(metric)
        if not self.published.kept:
            return own
        direction = "up" if metric == "pckh" else own.direction
        return replace(own, title=TITLES.get(metric, own.title), direction=direction)


def quantitative_tables(request: TableRequest) -> list[Table]:
    """Return the comparison on one dataset and frame, and the old protocols' table where it is.

    Raises RecordError with what exists when the runs hold nothing of it.
    """
    dataset = request.dataset or request.only_dataset() or "deepfashion"
    frames = FRAMES.get(dataset, (request.resolution,))
    resolution = request.resolution or frames[0]
    if resolution not in frames:
        raise RecordError(
            f"resolution {resolution!r} of {dataset}, expected one of {', '.join(frames)}"
        )
    request = replace(request, dataset=dataset, resolution=resolution)
    values = [
        value
        for value in load_published("quantitative")
        if value.dataset == dataset and value.resolution in printed_as(resolution)
    ]
    values = [value for value in values if not value.variant]
    old = [value for value in values if _is_old(value)]
    new = [value for value in values if value not in old]
    measured = _last_stages(request) if request.runs is not None else []
    if not (values or measured):
        raise RecordError(
            f"dataset {dataset!r}: nothing published, and no runs given; expected --runs or one of "
            f"{', '.join(FRAMES)}"
        )
    older = [row for row in measured if row.recipe in OLD_PROTOCOLS]
    newer = [_padded_apart(row, dataset) for row in measured if row not in older]
    tables = [_table(request, new, MAIN, newer)] if newer or (new and not older) else []
    if older or (old and not request.metrics and not newer):
        tables.append(_table(request, old, OLD, older, old=True))
    return tables


def printed_as(resolution: str) -> tuple[str, ...]:
    """Return the frames under which sources print numbers of a metric frame."""
    return (resolution, PADDED_FRAME) if resolution == "256x176" else (resolution,)


def _is_old(value: PublishedValue) -> bool:
    older = value.metric in _OLDER or value.resolution == PADDED_FRAME
    return older or value.protocol in OLD_PROTOCOLS


def _padded_apart(row: MeasuredRow, dataset: str) -> MeasuredRow:
    """Return the row with its SSIM under another name where the protocol pads the pictures."""
    if dataset != "deepfashion" or row.recipe not in PADDING:
        return row
    return replace(row, scores={PADDED if k == "ssim" else k: v for k, v in row.scores.items()})


_OLDER = tuple(name for names in OLD.values() for name in names if name != "SSIM")


def _last_stages(request: TableRequest) -> list[MeasuredRow]:
    """Return what was measured of the last stage of each run."""
    rows = measured_rows(request.select(), request.stored)
    return [row for row in rows if row.stage == row.stages.split("+")[-1]]


def _table(
    request: TableRequest,
    values: Sequence[PublishedValue],
    names: Mapping[str, tuple[str, ...]],
    measured: Sequence[MeasuredRow],
    old: bool = False,
) -> Table:
    spelled = {name for group in names.values() for name in group}
    origins = {value.method: value.origin for value in values if value.metric in spelled}
    lines = lines_of(list(origins), measured)
    work = Work(request, names, published_cells(values, names), tuple(lines), origins)
    metrics = _metrics(work)
    found = [*_made_by(work), *(pair for name in metrics for pair in _metric(work, name))]
    found += _venues(work)
    rows = [
        Row(
            label_of(line, lines),
            tuple(cells[place] for _, cells in found),
            block=line.block,
            muted=line.bound,
            notes=work.footnotes.numbers(line.measured.origin(metrics)) if line.measured else (),
        )
        for place, line in enumerate(lines)
    ]
    columns = tuple(column for column, _ in found)
    table = Table(
        f"quantitative-{request.dataset}-{request.resolution}" + ("-old" if old else ""),
        _caption(work, old),
        "method",
        columns,
        tuple(rows),
        work.marks.listed,
        footnotes=tuple(work.footnotes.texts),
    )
    return replace(table, legend=tuple(_legend(work, table))).in_reading_order()


def _made_by(work: Work) -> list[tuple[Column, list[Cell]]]:
    """Return the columns that say how a row was measured; none without a measurement."""
    if not work.measured:
        return []
    rows = [line.measured for line in work.lines]
    return [
        (
            Column("protocol", numeric=False),
            [words(row.protocol) if row else ABSENT for row in rows],
        ),
        (
            Column("selection", numeric=False, meaning="which sample of each pair counts"),
            [words(row.selected) if row else ABSENT for row in rows],
        ),
        (
            Column("pairs", meaning="pairs that were scored"),
            [row.count if row else ABSENT for row in rows],
        ),
    ]


def _venues(work: Work) -> list[tuple[Column, list[Cell]]]:
    """Return the column that says where a method was published, last: numbers come first."""
    if not work.origins:
        return []
    venues = [words(work.origins.get(line.method, "–") or "unknown") for line in work.lines]
    return [(Column("venue", numeric=False), venues)]


def _metrics(work: Work) -> list[str]:
    """Return the metrics that get columns, published ones first where none are asked for."""
    scored = {metric for row in work.measured for metric in row.scores}
    if work.request.metrics:
        padded = [PADDED] if PADDED in scored else []
        return [*sorted(work.request.metrics, key=metric_order), *padded]
    shown = [name for name in work.names if name in work.published.leads or name in scored]
    return shown + [name for name in ALONE if name in scored]


def _metric(work: Work, metric: str) -> list[tuple[Column, list[Cell]]]:
    """Return up to three columns of one metric: published, measured, and their difference."""
    shown = work.words(metric)
    own = iter(score_column(work.measured, shown, work.marks, work.footnotes))
    scored = [next(own) if line.measured is not None else ABSENT for line in work.lines]
    if metric not in work.published.leads:
        heading = "measured" if work.published.kept else ""
        return [(metric_column(shown, heading), scored)]
    request, published = work.request, work.published
    other = elsewhere(request.dataset, request.resolution, work.names[metric], published, metric)
    found = published.column(metric, shown, other, work.marks, work.footnotes)
    printed = [
        found.get(line.method) or not_recorded(work.footnotes, other.get(line.method, ""))
        for line in work.lines
    ]
    if not work.measured:
        return [(metric_column(shown), printed)]
    gaps = [
        difference_cell(line.measured, published, line.method, shown, work.marks, work.footnotes)
        for line in work.lines
    ]
    return [
        (metric_column(shown, "published"), printed),
        (metric_column(shown, "measured"), scored),
        (metric_column(shown, "difference"), gaps),
    ]


def _caption(work: Work, old: bool) -> str:
    request = work.request
    dataset = DATASETS.get(request.dataset, request.dataset)
    frame = f" at {request.resolution}" if request.resolution else ""
    caption = f"Quantitative comparison on {dataset}{frame}, {request.split} split"
    if old:
        padded = " (256x256 with white columns)" if request.dataset == "deepfashion" else ""
        caption += f"{padded}, protocols of 2017 to 2020, which compare with no other table"
    elif not work.measured:
        caption += ", published numbers only"
    makings = list(dict.fromkeys(row.making for row in work.measured))
    return f"{caption}; measured: {makings[0]}" if len(makings) == 1 else caption


def _legend(work: Work, table: Table) -> list[str]:
    sentences = []
    if work.published.kept:
        titles = {metric: work.words(metric).title for metric in work.published.leads}
        lead = work.published.lead_words(titles)
        sentences.append(f"Published: {lead}; how samples were selected is not stated.")
    if any(column.heading == "difference" for column in table.columns):
        sentences.append(f"Difference: measured minus published. {SCATTER}")
        sentences += _published_pairs(work.request)
    if any(line.oracle for line in work.lines):
        sentences.append(ORACLE_WORDS)
    return sentences + signs_of(table, ", within one source, protocol, selection and set of pairs")


def _published_pairs(request: TableRequest) -> list[str]:
    """Return how many pairs the published test list of a dataset has, in a sentence."""
    return [
        f"The published test list has {int(fact.value):,} pairs ({fact.source})."
        for fact in load_published("facts")
        if fact.dataset == request.dataset and fact.metric == "test_pairs"
    ]
