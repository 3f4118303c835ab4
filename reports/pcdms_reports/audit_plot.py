"""The audit of one metric as a plot: a bar per choice, the gap between methods as a band."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pcdms_reports.audit_records import AuditRow
from pcdms_reports.audit_text import MetricAudit, number, signed
from pcdms_reports.plots import BASELINE, GRID, INK, MUTED, STAGE

WIDTH, ROW, TOP, BOTTOM = 4.3, 0.37, 0.12, 0.5
LONGEST = 44


def audit_figure(metric: MetricAudit) -> Figure:
    """Return the plot of one metric: the changes by size, zero in the middle.

    The axis is linear inside the band, which reaches as far as neighbouring methods lie apart (a
    twentieth of the largest change where that is not known), and logarithmic outside, so that a
    change of a tenth and one of a thousandth can be seen together.
    """
    rows = metric.moving
    height = ROW * len(rows) + TOP + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.035, BOTTOM / height, 0.93, ROW * len(rows) / height))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    largest = max(abs(row.change or 0) for row in rows)
    inner = metric.gap or largest / 20
    low, high = _ends(rows, inner)
    axes.set_xscale("symlog", linthresh=inner, linscale=0.7)
    axes.set_xlim(low, high)
    if metric.gap is not None:
        axes.axvspan(-inner, inner, color=GRID, alpha=0.55, linewidth=0, zorder=0)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=2)
    for place, row in enumerate(rows):
        _bar(axes, place, row, metric)
    _ticks(axes, metric, inner, low, high)
    return figure


def describe_audit(metric: MetricAudit) -> str:
    """Return the plot's content as a sentence, its alternative text."""
    changes = "; ".join(f"{row.choice} {signed(metric, row.change)}" for row in metric.moving)
    return f"Change of {metric.words.title} by each choice alone: {changes}."


def _ends(rows: tuple[AuditRow, ...], inner: float) -> tuple[float, float]:
    """Return the ends of the axis: all bars and intervals, and the whole band."""
    ends = [end for row in rows for end in (row.change, row.ci_low, row.ci_high) if end is not None]
    low, high = min(*ends, -inner), max(*ends, inner)
    return (low * 1.5 if low < -inner else -inner * 1.3), (
        high * 1.5 if high > inner else inner * 1.3
    )


def _bar(axes: Axes, place: int, row: AuditRow, metric: MetricAudit) -> None:
    change = row.change or 0.0
    colour = STAGE if change > 0 else BASELINE
    axes.barh([place + 0.2], [change], height=0.3, color=colour, zorder=3, linewidth=0)
    if row.ci_low is not None and row.ci_high is not None:
        axes.plot([row.ci_low, row.ci_high], [place + 0.2] * 2, color=INK, linewidth=1.0, zorder=4)
    name = row.choice if len(row.choice) <= LONGEST else f"{row.choice[: LONGEST - 1]}…"
    axes.annotate(name, (0, place - 0.2), xycoords=("axes fraction", "data"), va="center",
                  ha="left", fontsize=8.5, color=INK, parse_math=False, zorder=5)  # fmt: skip
    axes.annotate(signed(metric, change), (1, place - 0.2), xycoords=("axes fraction", "data"),
                  va="center", ha="right", fontsize=8.5, color=INK, parse_math=False,
                  zorder=5)  # fmt: skip


def _ticks(axes: Axes, metric: MetricAudit, inner: float, low: float, high: float) -> None:
    steps = [0.0]
    if metric.gap is not None:
        steps += [-inner, inner]
    power = math.ceil(math.log10(inner) + 0.3)
    while 10.0**power <= max(-low, high):
        steps += [10.0**power, -(10.0**power)]
        power += 1
    places = sorted(step for step in steps if low <= step <= high)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{place:+g}" if place else "0" for place in places])
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="x", color=GRID, linewidth=0.6, zorder=1)
    axes.tick_params(axis="x", length=0, labelsize=8.5, labelcolor=MUTED)
    title = f"change of {metric.words.title} from {number(metric, metric.base.value)}"
    axes.set_xlabel(title, color=MUTED, fontsize=9, parse_math=False)
