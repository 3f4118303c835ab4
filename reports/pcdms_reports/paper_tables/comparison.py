"""Measured against published: whether a difference may be formed, and what it must carry."""

from __future__ import annotations

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.paper_tables.lines import ORACLE
from pcdms_reports.paper_tables.measured_rows import MeasuredRow
from pcdms_reports.paper_tables.published_cells import PublishedCells
from pcdms_reports.published import UNKNOWN
from pcdms_reports.table_model import ABSENT, Cell, Footnotes, Marks, Number, words

PADDING = ("patn", "dptn")
"""Protocols that put white columns beside a DeepFashion picture before SSIM."""
NO_ORACLE = (
    "no difference: the sample was chosen by the true target, which is not known of any other "
    "method's published number"
)


def difference_cell(
    row: MeasuredRow | None,
    published: PublishedCells,
    method: str,
    shown: MetricWords,
    marks: Marks,
    footnotes: Footnotes,
) -> Cell:
    """Return measured minus published, marked where the two were not made by one protocol.

    There is none without both numbers, for a row that uses the target, and for a sample chosen by
    the target unless the published number may be of one as well.
    """
    score = row.scores.get(shown.name) if row is not None else None
    if row is None or score is None or score.value is None or row.bound:
        return ABSENT
    protocol = row.recipe
    value = published.value_for(method, shown.name, protocol)
    if value is None:
        return ABSENT
    if row.selection == ORACLE and value.method != "PCDMs":
        return words("–", "absent", footnotes.numbers(NO_ORACLE))
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
