"""What an audit found, in plain words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcdms_reports.audit_records import BASE, PROTOCOL, AuditRow
from pcdms_reports.metric_words import MetricWords, metric_order, words_of

GAPS = {"ssim": 0.007, "lpips": 0.008, "fid_paper": 0.7}
"""Median distance between neighbouring methods of one published table (IMAGPose, NeurIPS 2024,
Table 1, DeepFashion 256x176: 0.0066 SSIM, 0.0081 LPIPS, 0.73 FID)."""
GAP_SOURCE = (
    "the median distance between neighbouring methods of one published table (IMAGPose, NeurIPS "
    "2024, Table 1, DeepFashion 256x176)"
)
LEADING = ("ssim", "lpips", "st_lpips", "l1")
"""The first of these that has a number leads."""


@dataclass(frozen=True)
class MetricAudit:
    """All that an audit says of one metric: choices by the size of their change."""

    words: MetricWords
    base: AuditRow
    moving: tuple[AuditRow, ...]
    """Choices that change the number, the largest change first."""
    still: tuple[AuditRow, ...]
    """Choices that could be made and change nothing."""
    lost: tuple[AuditRow, ...]
    """Choices that could not be measured."""
    protocols: tuple[AuditRow, ...]
    """Whole protocols in place of the base, in their order."""

    @property
    def gap(self) -> float | None:
        """Return the distance between neighbouring published methods, where it is known."""
        return GAPS.get(self.words.name)

    def above(self) -> list[AuditRow]:
        """Return the choices that move the number by more than the gap."""
        gap = self.gap
        return [row for row in self.moving if gap is not None and abs(row.change or 0) > gap]


@dataclass(frozen=True)
class Audit:
    """The rows of one `audit.csv`, sorted for reading; `metrics` has the leading one first."""

    base: AuditRow
    metrics: tuple[MetricAudit, ...]
    absent: tuple[AuditRow, ...]
    """Metrics of the base that could not be computed at all."""

    @property
    def title(self) -> str:
        """Return what was audited."""
        stage = "" if self.base.stage == "final" else f", stage {self.base.stage}"
        return f"Audit of {self.base.method}{stage}"


def sort_audit(rows: Sequence[AuditRow]) -> Audit:
    """Return the rows by metric. Raises ValueError without a row of the base."""
    bases = {row.metric: row for row in rows if row.group == BASE}
    names = sorted(bases, key=metric_order)
    names.sort(key=lambda name: LEADING.index(name) if name in LEADING else len(LEADING))
    metrics = []
    for name in names:
        own = [row for row in rows if row.metric == name]
        if bases[name].value is None:
            continue
        single = [row for row in own if row.group not in (BASE, PROTOCOL)]
        moving = [row for row in single if row.change]
        moving.sort(key=lambda row: -abs(row.change or 0))
        metrics.append(
            MetricAudit(
                words_of(name),
                bases[name],
                tuple(moving),
                tuple(row for row in single if row.change == 0),
                tuple(row for row in single if row.value is None),
                tuple(row for row in own if row.group == PROTOCOL and row.value is not None),
            )
        )
    absent = tuple(row for row in bases.values() if row.value is None)
    return Audit(next(iter(bases.values())), tuple(metrics), absent)


def finding(audit: Audit) -> list[str]:
    """Return the result in a few sentences, each a list entry."""
    base = audit.metrics[0].base if audit.metrics else audit.base
    where = _where(base)
    if not audit.metrics:
        return [f"On {where}, no metric of {base.base} could be computed."]
    lead = audit.metrics[0]
    title = lead.words.title
    sentences = [
        f"On {where}, {title} is {number(lead, lead.base.value)} under the protocol {base.base} in "
        f"the frame {base.frame}."
    ]
    if lead.moving:
        sentences.append(_largest(lead))
    if lead.protocols:
        sentences.append(_spread(lead))
    return sentences


def _where(base: AuditRow) -> str:
    """Return which pairs a number is of; fewer than all are said to be."""
    scored = f"{base.n} of {base.pairs}" if 0 < base.n < base.pairs else f"{base.pairs}"
    noun = "pair" if base.pairs == 1 else "pairs"
    return f"{scored} {noun} of {base.dataset}" + (f" ({base.split})" if base.split else "")


def _largest(lead: MetricAudit) -> str:
    first = lead.moving[0]
    many = len(lead.moving) + len(lead.still)
    largest = f"{first.choice} moves it by {signed(lead, first.change)}"
    if lead.gap is None:
        return f"Of {many} choices, {len(lead.moving)} alone move it; {largest}."
    above = lead.above()
    text = (
        f"Of {many} choices in which published scripts differ, {len(above)} alone move it by more "
        f"than {lead.gap}, {GAP_SOURCE}."
    )
    if above:
        text += f" The largest: {largest}, {abs(first.change or 0) / lead.gap:.0f} such gaps."
    return text


def _spread(lead: MetricAudit) -> str:
    ends = sorted(lead.protocols, key=lambda row: row.value or 0)
    low, high = ends[0], ends[-1]
    return (
        f"Scored by whole published protocols, the same pictures get anything from "
        f"{number(lead, low.value)} ({low.choice}) to {number(lead, high.value)} ({high.choice})."
    )


def number(metric: MetricAudit, value: float | None) -> str:
    """Return a value with the metric's decimals; `n/a` without one."""
    return "n/a" if value is None else metric.words.format(value)


def signed(metric: MetricAudit, change: float | None) -> str:
    """Return a change with its sign; a change that would print as 0 keeps two digits."""
    if change is None:
        return "n/a"
    text = f"{change:+,.{metric.words.digits}f}"
    return text if not change or float(text.replace(",", "")) else f"{change:+.1e}"


def in_gaps(metric: MetricAudit, row: AuditRow) -> str:
    """Return a change in distances between neighbouring methods, empty where none is known."""
    if metric.gap is None or row.change is None:
        return ""
    return f"{abs(row.change) / metric.gap:.1f}"


def audit_markdown(audit: Audit) -> str:
    """Return the audit as Markdown: the finding, a table per metric, the protocols, the rest."""
    base = audit.base
    parts = [f"# {audit.title}", " ".join(finding(audit))]
    for metric in audit.metrics:
        parts.append(_metric_markdown(metric))
    parts.append(_protocols_markdown(audit))
    lost = sorted({f"{row.choice}: {row.reason}" for m in audit.metrics for row in m.lost})
    lost += [f"{words_of(row.metric).title}: {row.reason}" for row in audit.absent]
    if lost:
        parts.append("## Not measured\n\n" + "\n".join(f"- {text}" for text in lost))
    parts.append(f"## How to read this\n\n{explanation(base)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def explanation(base: AuditRow) -> str:
    """Return how the numbers were made."""
    return (
        f"Every row changes one decision of the protocol {base.base} and keeps all others. The "
        "interval is the 95 % bootstrap interval of the change over pairs; metrics of the whole "
        "set have none. JPEG and truncation are applied to the stored pictures; truncation is "
        "imitated by lowering about half of the values by one level, as many as rounding had "
        "raised, plain areas as a whole. Changes of a Frechet distance depend on the number of "
        "pictures. Whole protocols read the stored files, whatever format their scripts wrote."
    )


def _metric_markdown(metric: MetricAudit) -> str:
    head = f"## {metric.words.heading}: {number(metric, metric.base.value)}"
    if not metric.moving:
        return f"{head}\n\nNo choice moves it."
    gap = metric.gap is not None
    names = ["choice", "kind", "value", "change", "95 % interval", *(["gaps"] if gap else []),
             "used by"]  # fmt: skip
    lines = [_line(names), "|---|---|" + "---:|" * (4 if gap else 3) + "---|"]
    for row in metric.moving:
        cells = [row.choice, row.group, number(metric, row.value), signed(metric, row.change)]
        cells += [interval(metric, row), *([in_gaps(metric, row)] if gap else []), row.used_by]
        lines.append(_line(cells))
    text = "\n".join(lines)
    if metric.still:
        text += f"\n\n{still_words(metric)}"
    return f"{head}\n\n{text}"


def still_words(metric: MetricAudit) -> str:
    """Return which choices change nothing, and why no filter does; empty without any."""
    if not metric.still:
        return ""
    text = "Without effect: " + "; ".join(row.choice for row in metric.still) + "."
    filters = [row for row in (*metric.still, *metric.moving) if row.group == "filter"]
    if filters and all(row in metric.still for row in filters):
        text += (
            f" No filter acts: the pictures have the frame {metric.base.frame} already "
            "(`--frame` audits a smaller one)."
        )
    return text


def interval(metric: MetricAudit, row: AuditRow) -> str:
    """Return the interval of a change, empty without one."""
    if row.ci_low is None or row.ci_high is None:
        return ""
    return f"{signed(metric, row.ci_low)} to {signed(metric, row.ci_high)}"


def protocol_table(audit: Audit) -> tuple[list[MetricAudit], list[tuple[str, list[str]]]]:
    """Return the metrics that whole protocols give, and (protocol, cells) per protocol."""
    metrics = [metric for metric in audit.metrics if len(metric.protocols) > 1]
    names = dict.fromkeys(row.choice for metric in metrics for row in metric.protocols)
    rows = []
    for name in names:
        cells = []
        for metric in metrics:
            found = next((row for row in metric.protocols if row.choice == name), None)
            cells.append(number(metric, found.value) if found else "–")
        rows.append((name, cells))
    return metrics, rows


def _protocols_markdown(audit: Audit) -> str:
    metrics, rows = protocol_table(audit)
    if not rows:
        return ""
    lines = [_line(["protocol", *(m.words.heading for m in metrics)])]
    lines.append("|---|" + "---:|" * len(metrics))
    lines += [_line([name, *cells]) for name, cells in rows]
    return "## The same pictures under whole protocols\n\n" + "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
