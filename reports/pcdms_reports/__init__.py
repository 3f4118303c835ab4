"""Score tables in, paper tables, plots and pages out. Reads files only, never runs a model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdms_reports.page import write_report as write_report
    from pcdms_reports.plots import metric_figure as metric_figure
    from pcdms_reports.relation_plots import speed_figure as speed_figure
    from pcdms_reports.relation_plots import speed_points as speed_points
    from pcdms_reports.relation_plots import sweep_figure as sweep_figure
    from pcdms_reports.relation_plots import sweeps_of as sweeps_of
    from pcdms_reports.scores import load_scores as load_scores
    from pcdms_reports.scores import merge_scores as merge_scores
    from pcdms_reports.scores import write_scores as write_scores
    from pcdms_reports.slice_plot import slice_figure as slice_figure
    from pcdms_reports.tables import stage_table as stage_table
    from pcdms_reports.tables import stage_tables as stage_tables

_HOMES = {
    "load_scores": "scores",
    "merge_scores": "scores",
    "write_scores": "scores",
    "stage_table": "tables",
    "stage_tables": "tables",
    "write_report": "page",
    "metric_figure": "plots",
    "slice_figure": "slice_plot",
    "speed_figure": "relation_plots",
    "speed_points": "relation_plots",
    "sweep_figure": "relation_plots",
    "sweeps_of": "relation_plots",
}

__all__ = ["load_scores", "merge_scores", "metric_figure", "slice_figure", "speed_figure",
           "speed_points", "stage_table", "stage_tables", "sweep_figure", "sweeps_of",
           "write_report", "write_scores"]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing `records` alone stays without pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
