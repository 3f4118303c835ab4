"""One plot per metric over the stages: dots with intervals, as a figure or as inline SVG."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.records import RecordError
from pcdms_reports.stage_rows import StageCell, StageRow, StageTable
from pcdms_reports.tables import REFINED

# Blue and vermillion (Okabe and Ito) stay apart for every common colour blindness; shape and
# filling repeat what the colour says. In the page each colour becomes a CSS variable.
INK, MUTED, GRID, STAGE, BASELINE, BOUND = (
    "#1b1f24", "#59636e", "#d8dee4", "#0072b2", "#c25100", "#59636f",
)  # fmt: skip
CSS_NAMES = {
    INK: "ink", MUTED: "muted", GRID: "grid", STAGE: "stage", BASELINE: "baseline", BOUND: "bound",
}  # fmt: skip
WIDTH, ROW_HEIGHT, TOP, BOTTOM, RIGHT = 4.3, 0.29, 0.08, 0.46, 0.7
LONGEST_LINE = 26

Point = tuple[StageRow, StageCell, float]


def metric_figure(table: StageTable, metric: str) -> Figure:
    """Return the plot of one column of `table`: a line of the plot for each row with a number.

    Stages of one run are joined by a line, and so is a method with its refined form; hollow
    diamonds are bounds that use the target, hollow triangles at the edge bounds so far off that
    they would hide the other differences. Raises RecordError when the column is not there or holds
    no number.
    """
    words, points = _points(table, metric)
    labels = [short_label(row.label) for row, _, _ in points]
    row_height = ROW_HEIGHT * (1.4 if any("\n" in label for label in labels) else 1)
    height = row_height * len(points) + TOP + BOTTOM
    left = 0.2 + 0.07 * max(len(line) for label in labels for line in label.split("\n"))
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    inner = (WIDTH - left - RIGHT) / WIDTH, row_height * len(points) / height
    axes = figure.add_axes((left / WIDTH, BOTTOM / height, *inner))
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_yticks(range(len(points)), labels, parse_math=False)
    low, high = _scale(points)
    for place, point in enumerate(points):
        _draw(axes, place, point, low, high)
    _join_stages(axes, points)
    direction = f" ({words.phrase})" if words.direction != "none" else ""
    axes.set_xlabel(words.title + direction, color=MUTED, fontsize=9, parse_math=False)
    if words.direction == "one":
        axes.axvline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    plain_axes(axes)
    axes.set_xlim(low, high)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    if words.name == "parameters":
        axes.xaxis.set_major_formatter(lambda value, _: words.format(value))
    return figure


def metric_svg(table: StageTable, metric: str, prefix: str = "plot") -> Markup:
    """Return the plot as an inline SVG element: text stays text, colours are CSS variables.

    `prefix` keeps the ids of several plots on one page apart.
    """
    return inline_svg(metric_figure(table, metric), prefix, describe(table, metric))


def inline_svg(figure: Figure, prefix: str, label: str) -> Markup:
    """Return a figure as an inline SVG element with `label` as its alternative text.

    Text stays text, and the colours of this module become CSS variables; `prefix` keeps the ids of
    several plots on one page apart.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pcdms"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    head, body = svg.split(">", 1)
    view_box = re.search(r'viewBox="([^"]+)"', head)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = re.sub(r"\s*<!--.*?-->", "", body, flags=re.DOTALL)
    for colour, name in CSS_NAMES.items():
        body = body.replace(colour, f"var(--plot-{name}, {colour})")
    box = view_box.group(1) if view_box else "0 0 400 200"
    # The text inside comes from matplotlib's XML writer, which escapes it.
    return Markup(f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">{body}')


def describe(table: StageTable, metric: str) -> str:
    """Return the plot's content as a sentence, its alternative text."""
    words, points = _points(table, metric)
    numbers = "; ".join(f"{row.label} {cell.text}" for row, cell, _ in points)
    return f"{words.title}, {words.phrase}: {numbers}."


def _points(table: StageTable, metric: str) -> tuple[MetricWords, list[Point]]:
    names = [words.name for words in table.columns]
    if metric not in names:
        raise RecordError(
            f"metric {metric!r} is not in this table, expected one of {', '.join(names)}"
        )
    index = names.index(metric)
    cells = [(row, row.cells[index]) for row in table.rows]
    points = [(row, cell, cell.value) for row, cell in cells if cell.value is not None]
    if not points:
        raise RecordError(f"{metric}: no row of this table holds a number to plot")
    return table.columns[index], points


def short_label(label: str) -> str:
    """Return `label` on two lines if it names its stages, the middle of long lines left out."""
    half = LONGEST_LINE // 2
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[:half]}…{line[1 - half :]}"
        for line in label.split(" of ", 1)
    )


def _scale(points: list[Point]) -> tuple[float, float]:
    """Return the ends of the axis: all rows, and the bounds that at most double their span."""
    inside = [point for point in points if not point[0].bound] or points
    ends = [end for _, cell, value in inside for end in (cell.low, cell.high, value)]
    low, high = (pick(end for end in ends if end is not None) for pick in (min, max))
    span = high - low or abs(high) * 0.1 or 1.0
    near = [value for _, _, value in points if low - span <= value <= high + span]
    low, high = min(low, *near), max(high, *near)
    margin = 0.08 * (high - low or 2 * span)
    return low - margin, high + margin


def _draw(axes: Axes, place: int, point: Point, low: float, high: float) -> None:
    row, cell, value = point
    colour = BOUND if row.bound else BASELINE if row.stage == "final" else STAGE
    marker = "D" if row.bound else "s" if row.stage == "final" else "o"
    on_scale = low <= value <= high
    if not on_scale:
        marker, edge = (">", high) if value > high else ("<", low)
        value = edge + (low - high if value > high else high - low) * 0.02
    if cell.low is not None and cell.high is not None and on_scale:
        axes.plot([cell.low, cell.high], [place, place], color=colour, linewidth=1.8, zorder=3,
                  solid_capstyle="butt")  # fmt: skip
    axes.plot([value], [place], marker=marker, markersize=6.5, color=colour, linestyle="none",
              markerfacecolor="none" if row.bound else colour, markeredgewidth=1.4,
              zorder=4)  # fmt: skip
    axes.annotate(cell.number, (1.02, place), xycoords=("axes fraction", "data"),
                  va="center", ha="left", fontsize=9, color=INK, annotation_clip=False,
                  parse_math=False)  # fmt: skip


def _join_stages(axes: Axes, points: list[Point]) -> None:
    for place, ((row, _, value), (after, _, following)) in enumerate(pairwise(points)):
        same = (row.method, row.run, row.stages) == (after.method, after.run, after.stages)
        if same or after.method == row.method + REFINED:
            axes.plot([value, following], [place, place + 1], color=STAGE,
                      linewidth=1.0, alpha=0.5, zorder=2)  # fmt: skip


def plain_axes(axes: Axes) -> None:
    """Give axes the look of all plots here: no frame, a light grid, small labels."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK, pad=6)
    axes.tick_params(axis="x", length=0, labelsize=8.5, labelcolor=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(5))
