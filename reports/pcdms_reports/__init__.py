"""Score tables in, paper tables, plots and pages out. Reads files only, never runs a model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdms_reports.page import write_report as write_report
    from pcdms_reports.scores import load_scores as load_scores
    from pcdms_reports.scores import merge_scores as merge_scores
    from pcdms_reports.scores import write_scores as write_scores
    from pcdms_reports.tables import stage_table as stage_table
    from pcdms_reports.tables import stage_tables as stage_tables

_HOMES = {
    "load_scores": "scores",
    "merge_scores": "scores",
    "write_scores": "scores",
    "stage_table": "tables",
    "stage_tables": "tables",
    "write_report": "page",
}

__all__ = ["load_scores", "merge_scores", "stage_table", "stage_tables", "write_report",
           "write_scores"]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing `records` alone stays without pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
