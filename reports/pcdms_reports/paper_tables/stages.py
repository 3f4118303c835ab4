"""`table stages`: the scores of every stage, and what each stage adds on the same pairs."""

from __future__ import annotations

from dataclasses import replace

from pcdms_reports.metric_words import words_of
from pcdms_reports.paper_tables.gains import gains_table
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.paper_tables.stage_paths import comparable_parts
from pcdms_reports.stage_model import stage_model
from pcdms_reports.table_model import Table
from pcdms_reports.tables import stage_table

GROUPS = ("pictures", "prior")
"""Groups of metrics that a stage is judged by, a table each."""


def stages_tables(request: TableRequest) -> list[Table]:
    """Return, for each comparable part of the runs, the scores by stage and the gains of stages.

    Columns without any number are left out; their reason stands in a footnote. Raises RecordError
    with what exists when nothing is left, and on a damaged `pairs.csv`.
    """
    tables: list[Table] = []
    for number, part in enumerate(comparable_parts(request), start=1):
        for group in GROUPS:
            inside = part.frame[[words_of(str(m)).group == group for m in part.frame["metric"]]]
            if not len(inside):
                continue
            table = stage_table(inside, request.metrics or None).compact()
            if not table.columns:
                continue
            table = replace(table, caption=f"Scores by stage: {table.caption}")
            tables.append(stage_model(table, f"stages-{group}-{number}").in_reading_order())
            if group == "pictures":
                metrics = [words.name for words in table.columns]
                gains = gains_table(part, metrics, request.stored, number)
                tables += [gains] if gains is not None else []
    return tables
