"""The audit as one HTML page, as Markdown and as plots, from `audit.csv` alone."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pcdms_reports.atomic_files import write_bytes
from pcdms_reports.audit_plot import audit_figure, describe_audit
from pcdms_reports.audit_records import AuditRow, read_audit
from pcdms_reports.audit_text import (
    Audit,
    MetricAudit,
    audit_markdown,
    explanation,
    finding,
    in_gaps,
    interval,
    number,
    protocol_table,
    signed,
    sort_audit,
    still_words,
)
from pcdms_reports.metric_words import words_of
from pcdms_reports.plots import inline_svg

TEMPLATES = Path(__file__).parent / "templates"
PLOTTED = 2
"""Metrics whose plot is also written as files: the leading one and the next."""


@dataclass(frozen=True)
class _Line:
    """One row of a metric's table."""

    choice: str
    group: str
    value: str
    change: str
    interval: str
    gaps: str
    used_by: str
    above: bool


@dataclass(frozen=True)
class _Section:
    """One metric of the page."""

    name: str
    heading: str
    base: str
    meaning: str
    svg: Markup
    lines: tuple[_Line, ...]
    gap: float | None
    still: str


def write_audit(audit_csv: Path, folder: Path) -> list[Path]:
    """Write `audit.html`, `audit.md` and plots (SVG, PNG) of an `audit.csv`; returns the files.

    Raises RecordError when the file is damaged or holds no row of the base.
    """
    audit = sort_audit(read_audit(audit_csv))
    page, text = folder / "audit.html", folder / "audit.md"
    write_bytes(text, audit_markdown(audit).encode())
    write_bytes(page, _page(audit).encode())
    written = [page, text]
    for metric in [m for m in audit.metrics if m.moving][:PLOTTED]:
        for kind in ("svg", "png"):
            path = folder / f"audit-{metric.words.name}.{kind}"
            write_bytes(path, _drawn(metric, kind))
            written.append(path)
    return written


def _page(audit: Audit) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    metrics, protocols = protocol_table(audit)
    lost: dict[str, list[str]] = {}
    for row in [*(row for m in audit.metrics for row in m.lost), *audit.absent]:
        what = row.choice if row.group != "base" else words_of(row.metric).title
        names = lost.setdefault(row.reason, [])
        if what not in names:
            names.append(what)
    return environment.get_template("audit.html.j2").render(
        title=audit.title,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        findings=finding(audit),
        sections=[_section(metric) for metric in audit.metrics if metric.moving],
        unmoved=[metric.words.title for metric in audit.metrics if not metric.moving],
        protocol_heads=[metric.words.heading for metric in metrics],
        protocols=protocols,
        lost=[(reason, ", ".join(names)) for reason, names in lost.items()],
        explanation=explanation(audit.base),
    )


def _section(metric: MetricAudit) -> _Section:
    words = metric.words
    above = metric.above()
    svg = inline_svg(audit_figure(metric), f"audit-{words.name}", describe_audit(metric))
    lines = [_line(metric, row, row in above) for row in metric.moving]
    base = number(metric, metric.base.value)
    return _Section(
        words.name,
        words.heading,
        base,
        words.meaning,
        svg,
        tuple(lines),
        metric.gap,
        still_words(metric),
    )


def _line(metric: MetricAudit, row: AuditRow, above: bool) -> _Line:
    return _Line(
        row.choice, row.group, number(metric, row.value), signed(metric, row.change),
        interval(metric, row), in_gaps(metric, row), row.used_by, above,
    )  # fmt: skip


def _drawn(metric: MetricAudit, kind: str) -> bytes:
    """Return the plot of one metric as a file."""
    buffer = io.BytesIO()
    settings: dict[str, object] = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 200}
    with matplotlib.rc_context({"svg.hashsalt": "pcdms"}):
        audit_figure(metric).savefig(buffer, format=kind, facecolor="white", **settings)  # type: ignore[arg-type]
    return buffer.getvalue()
