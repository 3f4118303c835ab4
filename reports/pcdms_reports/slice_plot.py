"""A metric by the labels of one slice: dots with intervals, a colour and a shape for each stage."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pcdms_reports.plots import BASELINE, INK, MUTED, STAGE, plain_axes
from pcdms_reports.slices import SliceCell, SliceTable

COLOURS = (STAGE, BASELINE, INK, MUTED)
MARKERS = ("o", "s", "^", "v")
WIDTH, ROW_HEIGHT, LEGEND_HEIGHT, BOTTOM = 4.3, 0.42, 0.19, 0.46


def slice_figure(table: SliceTable, rows: Sequence[str]) -> Figure:
    """Return the plot of the stages named in `rows` (at most four), a line for each label."""
    chosen = _chosen(table, rows)
    labels = [f"{label} ({n})" for label, n in table.labels]
    height = ROW_HEIGHT * len(labels) + LEGEND_HEIGHT * len(chosen) + 0.1 + BOTTOM
    left = 0.2 + 0.07 * max(map(len, labels))
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    size = ((WIDTH - left - 0.15) / WIDTH, ROW_HEIGHT * len(labels) / height)
    axes = figure.add_axes((left / WIDTH, BOTTOM / height, *size))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    step = 0.5 / max(len(chosen), 2)
    for number, (name, cells) in enumerate(chosen):
        colour, marker = COLOURS[number], MARKERS[number]
        shift = (number - (len(chosen) - 1) / 2) * step
        seen = [
            (place + shift, cell.value, cell.low, cell.high)
            for place, cell in enumerate(cells)
            if cell.value is not None
        ]
        for place, _, low, high in seen:
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=colour, linewidth=1.5,
                          solid_capstyle="butt")  # fmt: skip
        axes.plot([one[1] for one in seen], [one[0] for one in seen], marker=marker, markersize=5,
                  linestyle="none", color=colour, label=name)  # fmt: skip
    plain_axes(axes)
    axes.set_xlabel(table.words.title, color=MUTED, fontsize=9, parse_math=False)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower left", labelspacing=0.25,
                bbox_to_anchor=(-left / (WIDTH - left), 1.0), borderaxespad=0.2)  # fmt: skip
    return figure


def slice_words(table: SliceTable, rows: Sequence[str]) -> str:
    """Return the content of `slice_figure` as a sentence."""
    parts = []
    for name, cells in _chosen(table, rows):
        numbers = [
            f"{label} {cell.text}" for (label, _), cell in zip(table.labels, cells, strict=True)
        ]
        parts.append(f"{name}: {', '.join(numbers)}")
    return f"{table.words.title} by {table.slice}, {table.words.phrase}. {'; '.join(parts)}."


def _chosen(table: SliceTable, rows: Sequence[str]) -> list[tuple[str, tuple[SliceCell, ...]]]:
    known = dict(table.rows)
    return [(name, known[name]) for name in rows if name in known][: len(COLOURS)]
