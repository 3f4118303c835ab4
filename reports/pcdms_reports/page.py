"""The report page: one HTML file with tables, plots and pictures, readable without a network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from pcdms_reports.atomic_files import write_text
from pcdms_reports.cases import Cases, build_cases
from pcdms_reports.differences import Differences, differences_of, in_words
from pcdms_reports.folders import RunFolder, find_runs
from pcdms_reports.memorisation import repeats_of
from pcdms_reports.merging import merge_runs, scores_of, sections
from pcdms_reports.metric_words import MetricWords, metric_order, words_of
from pcdms_reports.page_plots import Plot, PlotGroup, more_plots
from pcdms_reports.pictures import Grid, build_grid
from pcdms_reports.plots import metric_svg
from pcdms_reports.slices import SliceTable, read_slices, slice_tables, slices_markdown
from pcdms_reports.stage_model import stage_model
from pcdms_reports.stage_rows import StageRow, StageTable
from pcdms_reports.summary import LEADING, leading_row, summarise
from pcdms_reports.table_formats.html import TEMPLATES, environment
from pcdms_reports.table_formats.markdown import to_markdown
from pcdms_reports.table_model import Table
from pcdms_reports.tables import COMPARABLE, stage_label, stage_tables

GROUP_TITLES = {
    "pictures": "Quality of the pictures",
    "prior": "Quality of the prior's embedding",
    "cost": "Cost",
}


@dataclass(frozen=True)
class TableBlock:
    """One table of the page with its heading."""

    title: str
    table: Table


@dataclass(frozen=True)
class Missing:
    """One reason for missing or weak numbers, and where it holds."""

    status: str
    reason: str
    metrics: str
    rows: str


@dataclass(frozen=True)
class Comparison:
    """A part of the page: numbers that may be compared, with their plots and pictures."""

    anchor: str
    title: str
    caption: str
    summary: str
    blocks: tuple[TableBlock, ...]
    plots: tuple[Plot, ...]
    more_plots: tuple[PlotGroup, ...]
    grid: Grid | None
    cases: Cases | None
    differences: Differences | None
    slices: tuple[SliceTable, ...]
    """Every metric by every slice, for `slices.md`."""
    leading_slices: tuple[SliceTable, ...]
    """Those of the metric that the summary is about, which the page shows."""


@dataclass(frozen=True)
class RunDetails:
    """Files of one run as text, for reading."""

    name: str
    documents: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]


def write_report(
    run_dirs_root: Path | Sequence[Path],
    out_html: Path,
    tables: Path | None = None,
    title: str = "Scores by stage",
    max_pairs: int = 16,
) -> list[Path]:
    """Write the page and the Markdown tables of the runs below a folder; returns the files written.

    `run_dirs_root` is an output folder of `run`, a single run folder, or several of either; the
    tables go to `tables` (default the folder `tables` beside the page). At most `max_pairs` pairs
    are shown as pictures. Runs of different datasets, sizes, pairs or protocols get sections of
    their own, and the page says why (`merging.merging_notices` gives the same lines).
    Raises RecordError when there is no run or a score file is damaged; pictures, embeddings and
    specifications that are missing or damaged leave a notice on the page instead.
    """
    merged = merge_runs(find_runs(run_dirs_root))
    runs = merged.runs
    tables = tables or out_html.parent / "tables"
    comparisons: list[Comparison] = []
    written: list[Path] = []
    for group in merged.parts:
        for part in sections(group):
            comparison = _comparison(group.name, part, group.runs, len(comparisons), max_pairs)
            comparisons.append(comparison)
            path = tables / f"{_slug(comparison.title)}.md"
            write_text(path, to_markdown([b.table for b in comparison.blocks], comparison.title))
            written.append(path)
    sliced = [(one.title, one.slices) for one in comparisons if one.slices]
    if sliced:
        write_text(tables / "slices.md", slices_markdown(sliced))
        written.append(tables / "slices.md")
    scores = scores_of(runs)
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            comparisons=comparisons,
            apart=merged.apart,
            repeats=repeats_of(runs),
            missing=_missing(scores),
            runs=[_details(run) for run in runs],
            words=_words(scores),
        )
    )
    write_text(out_html, page)
    return [out_html, *written]


def _comparison(
    name: str, part: pd.DataFrame, runs: Sequence[RunFolder], number: int, max_pairs: int
) -> Comparison:
    """Return one section: tables, a plot for each metric with two numbers or more, pictures."""
    labels = {
        column: next((str(value) for value in part[column] if value), "") for column in COMPARABLE
    }
    hashes = set(part["run"]) | {run.run for run in runs if run.scores is None}
    members = [run for run in runs if run.run in hashes]
    blocks: list[TableBlock] = []
    plots: list[Plot] = []
    tables = stage_tables(part)
    for table in tables:
        group = table.columns[0].group
        blocks.append(TableBlock(GROUP_TITLES[group], stage_model(table, f"stages-{group}")))
        for index, words in enumerate(table.columns):
            if len({row.cells[index].value for row in table.rows} - {None}) > 1:
                svg = metric_svg(table, words.name, prefix=f"c{number}-{words.name}")
                plots.append(Plot(words.heading, svg))
    title = f"{name}, {labels['protocol']}"
    if labels["selection"] not in ("", "first"):
        title += f", {labels['selection']}"
    pictures = [table for table in tables if table.columns[0].group == "pictures"]
    differences = None
    slices: list[SliceTable] = []
    if pictures:
        differences = differences_of(pictures[0], members, labels["protocol"], LEADING)
        known = [read_slices(run.path / "slices.csv").assign(run=run.run) for run in members]
        known = [frame for frame in known if len(frame)]
        if known:
            frame = pd.concat(known, ignore_index=True)
            slices = slice_tables(frame, pictures[0], labels["protocol"])
    lead = _lead(pictures[0]) if pictures else None
    leading = _leading(slices)
    return Comparison(
        anchor=f"comparison-{number + 1}",
        title=title,
        caption=blocks[0].table.caption,
        summary=summarise(tables, part, in_words(differences)),
        blocks=tuple(blocks),
        plots=tuple(plots),
        more_plots=more_plots(tables, leading, members, lead, f"c{number}"),
        grid=build_grid(members, labels["protocol"], max_pairs),
        cases=build_cases(members, lead, labels["protocol"]) if lead else None,
        differences=differences,
        slices=tuple(slices),
        leading_slices=leading,
    )


def _leading(slices: Sequence[SliceTable]) -> tuple[SliceTable, ...]:
    known = [table.words.name for table in slices]
    lead = next((name for name in LEADING if name in known), "")
    return tuple(table for table in slices if table.words.name == lead)


def _lead(table: StageTable) -> StageRow | None:
    """Return the row that the summary is about."""
    names = [words.name for words in table.columns]
    index = next((names.index(name) for name in LEADING if name in names), None)
    return leading_row(table, index) if index is not None else None


def _missing(scores: pd.DataFrame) -> list[Missing]:
    """Return every reason once, with the metrics and rows it stands for; failures first."""
    found: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for record in scores.to_dict("records"):
        if record["status"] == "ok" and not record["reason"]:
            continue
        status = "note" if record["status"] == "ok" else str(record["status"])
        metrics, rows = found.setdefault((status, str(record["reason"])), ({}, {}))
        metrics[words_of(str(record["metric"])).title] = None
        label = stage_label(str(record["method"]), str(record["stage"]))
        rows[label.replace(" · ", " ")] = None
    order = ("failed", "unavailable", "indicative", "note")
    return [
        Missing(status, reason, ", ".join(metrics), ", ".join(rows))
        for (status, reason), (metrics, rows) in sorted(
            found.items(), key=lambda item: order.index(item[0][0])
        )
    ]


def _details(run: RunFolder) -> RunDetails:
    status = {key: value for key, value in (run.status or {}).items() if key != "pair_ids"}
    documents = (
        ("What was asked for (spec.json)", run.spec),
        ("Where it ran (environment.json)", run.environment),
        ("How it ended (status.json)", status if run.status is not None else None),
    )
    texts = tuple(
        (name, json.dumps(content, indent=2, ensure_ascii=False))
        for name, content in documents
        if content is not None
    )
    return RunDetails(f"{run.method} [{run.run}] on {run.examples.parent.name}", texts, run.notices)


def _words(scores: pd.DataFrame) -> list[MetricWords]:
    return [words_of(name) for name in sorted({str(m) for m in scores["metric"]}, key=metric_order)]


def _slug(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9@._-]+", "-", title).strip("-.")
