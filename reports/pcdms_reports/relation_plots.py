"""Plots of one number against another: a score against a sampling option, and against the time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from pcdms_reports.folders import RunFolder
from pcdms_reports.metric_words import MetricWords
from pcdms_reports.plots import BASELINE, BOUND, GRID, INK, MUTED, STAGE, plain_axes, short_label
from pcdms_reports.stage_rows import StageRow, StageTable
from pcdms_reports.tables import REFINED

OPTIONS = {"steps": "sampling steps", "prior_steps": "steps of the prior", "guidance": "guidance"}
"""Options of a run that a score is shown against -> their words."""
SECONDS = "seconds_per_picture"
WIDTH, HEIGHT, LEFT, BOTTOM = 4.3, 2.7, 0.62, 0.5
SPEED_ROW = 0.34
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Point:
    """One number `y` (with its interval, where there is one) at `x`."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    bound: bool = False


@dataclass(frozen=True)
class Sweep:
    """Scores of one stage over the values of one option, all else equal; `name` is the stage's."""

    option: str
    name: str
    points: tuple[Point, ...]


def sweeps_of(
    table: StageTable, metric: str, specs: Mapping[str, Mapping[str, object] | None]
) -> list[Sweep]:
    """Return a sweep for each option and stage whose runs differ in that option alone.

    `specs` = {run: its specification}. A run that leaves the option to its weights has no place on
    the axis and is left out.
    """
    found = []
    for option in OPTIONS:
        places: dict[tuple[str, str], list[Point]] = {}
        for row, cell in _numbers(table, metric):
            spec = specs.get(row.run) or {}
            value = spec.get(option)
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            rest = {key: kept for key, kept in spec.items() if key != option}
            key = (f"{row.method} {row.stage}", json.dumps(rest, sort_keys=True, default=str))
            places.setdefault(key, []).append(
                Point(f"{value:g}", float(value), cell.y, cell.low, cell.high)
            )
        for (name, _), points in places.items():
            ordered = sorted(points, key=lambda point: point.x)
            if len({point.x for point in ordered}) > 1:
                found.append(Sweep(option, name, tuple(ordered)))
    return found


def sweep_figure(sweeps: Sequence[Sweep], words: MetricWords) -> Figure:
    """Return the plot of sweeps over one option: a line for each, with intervals."""
    figure, axes = _canvas(words)
    for number, sweep in enumerate(sweeps):
        x, y = [p.x for p in sweep.points], [p.y for p in sweep.points]
        style, marker = LINES[number % len(LINES)], MARKERS[number % len(MARKERS)]
        colour = BASELINE if sweep.name.endswith(" final") else STAGE
        axes.plot(x, y, linestyle=style, marker=marker, markersize=5, color=colour,
                  label=sweep.name)  # fmt: skip
        for point in sweep.points:
            _interval(axes, point, colour)
    axes.set_xlabel(OPTIONS[sweeps[0].option], color=MUTED, fontsize=9)
    axes.set_xticks(sorted({point.x for sweep in sweeps for point in sweep.points}))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def sweep_words(sweeps: Sequence[Sweep], words: MetricWords) -> str:
    """Return the content of `sweep_figure` as a sentence."""
    lines = [
        f"{sweep.name}: "
        + ", ".join(f"{words.format(point.y)} at {point.label}" for point in sweep.points)
        for sweep in sweeps
    ]
    return f"{words.title} against {OPTIONS[sweeps[0].option]}, {words.phrase}. {'; '.join(lines)}."


def by_option(sweeps: Sequence[Sweep]) -> list[list[Sweep]]:
    """Return the sweeps in lists of one option each."""
    ordered = sorted(sweeps, key=lambda sweep: list(OPTIONS).index(sweep.option))
    return [list(group) for _, group in groupby(ordered, key=lambda sweep: sweep.option)]


def speed_points(table: StageTable, metric: str, costs: StageTable | None) -> list[Point]:
    """Return score `y` against seconds per picture `x` of every stage whose time is known.

    The time of a stage is that of all stages of its run up to it; where one of them was not
    measured there is no point. Refined methods are left out: the time of the method before lies in
    another run.
    """
    if costs is None:
        return []
    seconds = {(row.run, row.stage): cell.y for row, cell in _numbers(costs, SECONDS)}
    points = []
    for row, cell in _numbers(table, metric):
        names = row.stages.split("+")
        parts = [name for name in names[: names.index(row.stage) + 1] if name != "truth"]
        times = [seconds.get((row.run, name)) for name in parts]
        known = [time for time in times if time is not None]
        whole = sum(known)
        if len(known) == len(times) and whole > 0 and not row.method.endswith(REFINED):
            points.append(Point(row.label, whole, cell.y, cell.low, cell.high, row.bound))
    return points


def speed_figure(points: Sequence[Point], words: MetricWords) -> Figure:
    """Return the score and the seconds per picture side by side, a row a stage, fastest first.

    A row each, because points of one plane would lie on each other's names.
    """
    ordered = sorted(points, key=lambda point: point.x)
    labels = [short_label(point.label) for point in ordered]
    height = SPEED_ROW * len(ordered) + BOTTOM + 0.1
    left = 0.2 + 0.065 * max(len(line) for label in labels for line in label.split("\n"))
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    width = (WIDTH - left - 0.35) / 2
    size = (width / WIDTH, SPEED_ROW * len(ordered) / height)
    score = figure.add_axes((left / WIDTH, BOTTOM / height, *size))
    time = figure.add_axes(((left + width + 0.2) / WIDTH, BOTTOM / height, *size), sharey=score)
    for place, point in enumerate(ordered):
        colour = BOUND if point.bound else STAGE if "·" in point.label else BASELINE
        if point.low is not None and point.high is not None:
            score.plot([point.low, point.high], [place, place], color=colour, linewidth=1.6,
                       solid_capstyle="butt")  # fmt: skip
        for axes, value in ((score, point.y), (time, point.x)):
            axes.plot([value], [place], marker="D" if point.bound else "o", markersize=5.5,
                      color=colour, markerfacecolor="none" if point.bound else colour)  # fmt: skip
    score.set_ylim(len(ordered) - 0.5, -0.5)
    score.set_yticks(range(len(ordered)), labels, parse_math=False)
    time.set_xscale("log")
    # Whole decades, so that there are labels also where all times are nearly equal.
    ends = math.floor(math.log10(ordered[0].x)), math.floor(math.log10(ordered[-1].x)) + 1
    time.set_xlim(0.8 * 10 ** ends[0], 1.25 * 10 ** ends[1])
    for axes, title in ((score, words.title), (time, "seconds per picture")):
        plain_axes(axes)
        axes.set_xlabel(title, color=MUTED, fontsize=9, parse_math=False)
    score.xaxis.set_major_locator(MaxNLocator(3))
    time.xaxis.set_major_locator(LogLocator(numticks=4))
    time.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    time.xaxis.set_minor_formatter(NullFormatter())
    time.tick_params(axis="y", labelleft=False)
    return figure


def speed_words(points: Sequence[Point], words: MetricWords) -> str:
    """Return the content of `speed_figure` as a sentence."""
    items = [f"{p.label} {words.format(p.y)} in {p.x:.3g} s" for p in points]
    return f"{words.title} against seconds per picture, {words.phrase}: {'; '.join(items)}."


def specs_of(runs: Sequence[RunFolder]) -> dict[str, Mapping[str, object] | None]:
    """Return {run: its specification}, as `sweeps_of` takes it."""
    return {run.run: run.spec for run in runs}


def _numbers(table: StageTable, metric: str) -> list[tuple[StageRow, Point]]:
    names = [words.name for words in table.columns]
    if metric not in names:
        return []
    cells = [(row, row.cells[names.index(metric)]) for row in table.rows]
    return [
        (row, Point(row.label, 0.0, cell.value, cell.low, cell.high, row.bound))
        for row, cell in cells
        if cell.value is not None
    ]


def _interval(axes: Axes, point: Point, colour: str) -> None:
    if point.low is not None and point.high is not None:
        axes.plot([point.x, point.x], [point.low, point.high], color=colour, linewidth=1.4,
                  alpha=0.6, solid_capstyle="butt")  # fmt: skip


def _canvas(words: MetricWords) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT))
    FigureCanvasSVG(figure)
    axes = figure.add_axes(
        (LEFT / WIDTH, BOTTOM / HEIGHT, 1 - (LEFT + 0.1) / WIDTH, 1 - (BOTTOM + 0.15) / HEIGHT)
    )
    plain_axes(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.tick_params(axis="y", labelsize=8.5, labelcolor=MUTED, pad=2)
    axes.set_ylabel(words.title, color=MUTED, fontsize=9, parse_math=False)
    return figure, axes
