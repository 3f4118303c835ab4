"""Measured against published: whether a difference may be formed, and what it must carry."""

from __future__ import annotations

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.paper_tables.measured_rows import MeasuredRow
from pcdms_reports.paper_tables.published_cells import PublishedCells
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.published import UNKNOWN, PublishedValue
from pcdms_reports.table_model import ABSENT, Cell, Footnotes, Marks, Number, words

PADDED = ("patn", "dptn")
"""Protocols that put white columns beside a DeepFashion picture before SSIM."""


def difference_cell(
    row: MeasuredRow | None,
    published: PublishedCells,
    method: str,
    shown: MetricWords,
    request: TableRequest,
    marks: Marks,
    footnotes: Footnotes,
) -> Cell:
    """Return measured minus published, marked where the two were not made by one protocol.

    There is none without both numbers, for a row that uses the target, and where the two are
    different metrics under one name.
    """
    score = row.scores.get(shown.name) if row is not None else None
    if row is None or score is None or score.value is None or row.bound:
        return ABSENT
    protocol = row.protocol.partition("@")[0]
    value = published.value_for(method, shown.name, protocol)
    if value is None:
        return ABSENT
    reason = _incomparable(row, protocol, value, shown, request)
    if reason:
        return words("–", "absent", footnotes.numbers(reason))
    meaning = ""
    if value.protocol != protocol:
        known = "unknown" if value.protocol == UNKNOWN else value.protocol
        meaning = (
            f"difference across protocols (published: {known}, measured: {row.protocol}); the "
            "protocols alone may explain it"
        )
    gap = score.value - value.value
    text = f"{gap:+.{shown.digits}f}"
    return Cell((Number(text, gap, mark=marks.letter(meaning)),))


def _incomparable(
    row: MeasuredRow,
    protocol: str,
    value: PublishedValue,
    shown: MetricWords,
    request: TableRequest,
) -> str:
    """Return why no difference may be formed; empty where it may."""
    padded = shown.name == "ssim" and request.dataset == "deepfashion"
    if padded and (protocol in PADDED) != value.resolution.endswith("-padded"):
        return f"no difference: SSIM of protocol {protocol} is of white-padded pictures"
    if row.selection == "oracle-ssim" and value.method != "PCDMs":
        return (
            "no difference: the sample was chosen by the true target, which no other method's "
            "published number is known to be"
        )
    return ""
