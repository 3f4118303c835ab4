"""The tables of a paper, from published numbers and stored scores."""

from __future__ import annotations

from collections.abc import Callable

from pcdms_reports.paper_tables.ablation import ablation_tables
from pcdms_reports.paper_tables.compute import compute_tables
from pcdms_reports.paper_tables.quantitative import quantitative_tables
from pcdms_reports.paper_tables.reid import reid_tables
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.paper_tables.stages import stages_tables
from pcdms_reports.paper_tables.stored_runs import StoredRuns, read_runs
from pcdms_reports.paper_tables.user_study import user_study_tables
from pcdms_reports.table_model import Table

TABLES: dict[str, Callable[[TableRequest], list[Table]]] = {
    "quantitative": quantitative_tables,
    "ablation": ablation_tables,
    "stages": stages_tables,
    "reid": reid_tables,
    "user-study": user_study_tables,
    "compute": compute_tables,
}
"""Name of a table -> what builds it. `protocols` comes from the harness (`protocols.py`)."""
TITLES = {
    "quantitative": "Quantitative comparison",
    "ablation": "Ablation of the stages",
    "stages": "Scores and gains of the stages",
    "reid": "Re-identification with generated pictures",
    "user-study": "User study",
    "compute": "Cost of training and sampling",
    "protocols": "Evaluation protocols",
}

__all__ = ["TABLES", "TITLES", "StoredRuns", "TableRequest", "read_runs"]
