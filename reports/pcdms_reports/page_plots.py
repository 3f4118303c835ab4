"""The plots of one section of the page, in groups: what is there decides which are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pcdms_reports.ablation_rows import ablation_rows
from pcdms_reports.folders import RunFolder
from pcdms_reports.plots import inline_svg, metric_svg
from pcdms_reports.relation_plots import (
    OPTIONS,
    SECONDS,
    by_option,
    specs_of,
    speed_figure,
    speed_points,
    speed_words,
    sweep_figure,
    sweep_words,
    sweeps_of,
)
from pcdms_reports.slice_plot import slice_figure, slice_words
from pcdms_reports.slices import SliceTable
from pcdms_reports.stage_rows import StageRow, StageTable

FOLLOWED = ("masked_l1", "ssim", "st_lpips", "lpips", "fd_efficientnet_lite0", "fid",
            "gradient_ratio")  # fmt: skip
"""Metrics that ablation, sweeps and speed are drawn for, where they were measured."""
SLICED_ROWS = 4


@dataclass(frozen=True)
class Plot:
    """One plot of the page; `svg` is inline and already safe."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class PlotGroup:
    """Plots under one heading, with a sentence on how to read them."""

    title: str
    text: str
    plots: tuple[Plot, ...]


def more_plots(
    tables: Sequence[StageTable],
    slices: Sequence[SliceTable],
    runs: Sequence[RunFolder],
    lead: StageRow | None,
    key: str,
) -> tuple[PlotGroup, ...]:
    """Return the groups that have something to show; `key` keeps ids of sections apart.

    `lead` is the row that the summary is about; it leads the slices.
    """
    pictures = next((t for t in tables if t.columns[0].group == "pictures"), None)
    if pictures is None:
        return ()
    costs = next((t for t in tables if SECONDS in [words.name for words in t.columns]), None)
    groups = (
        PlotGroup(
            "Ablation",
            "The stages in use, one after the other; rows with and without refine are joined.",
            _ablation(pictures, runs, key),
        ),
        PlotGroup(
            "Slices",
            "Each label with its number of pairs; lines are 95 % intervals.",
            _slices(slices, pictures, lead, key),
        ),
        PlotGroup(
            "Sampling options",
            "Runs that differ in this option alone, joined by a line.",
            _sweeps(pictures, runs, key),
        ),
        PlotGroup(
            "Quality and time",
            "Seconds per picture (logarithmic) on the machine of each run, of all stages up to the "
            "shown one; fastest first.",
            _speed(pictures, costs, key),
        ),
    )
    return tuple(group for group in groups if group.plots)


def _followed(table: StageTable) -> list[int]:
    names = [words.name for words in table.columns]
    return [names.index(name) for name in FOLLOWED if name in names]


def _ablation(pictures: StageTable, runs: Sequence[RunFolder], key: str) -> tuple[Plot, ...]:
    table = ablation_rows(pictures, specs_of(runs))
    if table is None:
        return ()
    plots = []
    for index in _followed(table):
        words = table.columns[index]
        if len({row.cells[index].value for row in table.rows} - {None}) > 1:
            svg = metric_svg(table, words.name, prefix=f"{key}-ablation-{words.name}")
            plots.append(Plot(words.heading, svg))
    return tuple(plots)


def _slices(
    slices: Sequence[SliceTable], pictures: StageTable, lead: StageRow | None, key: str
) -> tuple[Plot, ...]:
    """Draw the lead beside the last stage of other methods, in the order of the table."""
    last = {row.method: row.label for row in pictures.rows if not row.bound}
    names = ([lead.label] if lead else []) + [
        label for method, label in last.items() if lead is None or method != lead.method
    ]
    plots = []
    for number, table in enumerate(slices):
        prefix, words = f"{key}-slice{number}", slice_words(table, names[:SLICED_ROWS])
        svg = inline_svg(slice_figure(table, names[:SLICED_ROWS]), prefix, words)
        plots.append(Plot(f"{table.words.heading} by {table.slice}", svg))
    return tuple(plots)


def _sweeps(pictures: StageTable, runs: Sequence[RunFolder], key: str) -> tuple[Plot, ...]:
    plots = []
    for index in _followed(pictures):
        words = pictures.columns[index]
        for group in by_option(sweeps_of(pictures, words.name, specs_of(runs))):
            option = group[0].option
            svg = inline_svg(
                sweep_figure(group, words),
                f"{key}-{option}-{words.name}",
                sweep_words(group, words),
            )
            plots.append(Plot(f"{words.heading} against {OPTIONS[option]}", svg))
    return tuple(plots)


def _speed(pictures: StageTable, costs: StageTable | None, key: str) -> tuple[Plot, ...]:
    plots = []
    for index in _followed(pictures):
        words = pictures.columns[index]
        points = speed_points(pictures, words.name, costs)
        if len(points) > 1:
            svg = inline_svg(
                speed_figure(points, words), f"{key}-speed-{words.name}", speed_words(points, words)
            )
            plots.append(Plot(words.heading, svg))
    return tuple(plots)
