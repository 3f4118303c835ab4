"""What `run` prints: the plan, or the tables and paths at the end; or one JSON document."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

LONG_WORD = 10
"""Longer words of a heading are broken, so that the table stays narrow."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from pcdms_bench.planning import Plan
    from pcdms_bench.runner import RunResult
    from pcdms_bench.seed_summary import SeedRow
    from pcdms_reports.metric_words import MetricWords
    from pcdms_reports.records import ScoreRow
    from pcdms_reports.stage_rows import StageCell, StageTable


def print_plans(plan: Plan, as_json: bool) -> None:
    """Print what a run would do; nothing was written."""
    from pcdms_bench.planning import pictures_to_make

    runs = [
        {
            "folder": str(run.folder),
            "spec": asdict(run.spec),
            "unavailable": run.unavailable,
            "pictures_to_make": 0 if run.unavailable else pictures_to_make(run, plan.pairs),
        }
        for run in plan.runs
    ]
    if as_json:
        document = {
            "pairs": len(plan.pairs), "device": plan.device, "protocols": plan.protocols,
            "metrics": plan.metrics, "runs": runs,
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"{len(plan.pairs)} pairs of {plan.request.dataset} {plan.request.split}")
    click.echo(f"device {plan.device}; protocols {', '.join(plan.protocols)}")
    for run in runs:
        state = run["unavailable"] or f"{run['pictures_to_make']} pictures to make"
        click.echo(f"{run['folder']}: {state}")
        click.echo(f"  {json.dumps(run['spec'])}")


def print_run(result: RunResult, as_json: bool) -> None:
    """Print the outcome of a run: per-stage tables, failures, and where the files are."""
    if as_json:
        click.echo(json.dumps(_document(result), indent=2))
        return
    print_rows([row for outcome in result.outcomes for row in outcome.rows], as_json=False)
    if result.over_seeds:
        _print_over_seeds(result.over_seeds)
    print_end(result)


def print_end(result: RunResult) -> None:
    """Print what failed in a run, and where its files are."""
    for outcome in result.outcomes:
        status = outcome.status
        if status.state in ("failed", "unavailable"):
            click.echo(f"{outcome.spec.method}: {status.state}: {status.reason}", err=True)
            continue
        for pair_id, reason in list(status.failed.items())[:5]:
            click.echo(f"{outcome.spec.method}: {pair_id} failed: {reason}", err=True)
        if len(status.failed) > 5:
            click.echo(f"{outcome.spec.method}: {len(status.failed)} pairs failed in all", err=True)
    click.echo(f"report: {result.report}")
    click.echo(f"scores: {result.scores}")


def _print_over_seeds(rows: Sequence[SeedRow]) -> None:
    """Print mean and deviation over seeds, one line a number."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pcdms_bench.seed_summary import shown

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("method", "stage", "protocol", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("mean ± deviation", "range", "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.method, row.stage, row.protocol, *shown(row), row.seeds)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    console.print("Mean and deviation over seeds")
    console.print(table)


def _document(result: RunResult) -> dict[str, object]:
    return {
        "exit_code": result.exit_code,
        "report": str(result.report),
        "scores": str(result.scores),
        "over_seeds": [asdict(row) for row in result.over_seeds],
        "runs": [
            {
                "run": outcome.spec.hash8,
                "folder": str(outcome.folder),
                "spec": asdict(outcome.spec),
                "state": outcome.status.state,
                "reason": outcome.status.reason,
                "failed": outcome.status.failed,
                "scores": [asdict(row) for row in outcome.rows],
            }
            for outcome in result.outcomes
        ],
    }


def print_rows(rows: Sequence[ScoreRow], as_json: bool) -> None:
    """Print score rows as per-stage tables, or as one JSON list."""
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    from pcdms_reports.scores import to_frame
    from pcdms_reports.tables import stage_tables

    for table in stage_tables(to_frame(rows)) if rows else []:
        _print_table(table.compact())


def _print_table(table: StageTable) -> None:
    """Print one table with rich: best bold, second best italic, footnotes below.

    Intervals are left to the report: with them no terminal is wide enough.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown.add_column("stage", no_wrap=True)
    shown.add_column("n", justify="right", no_wrap=True)
    for place, column in enumerate(table.columns):
        widest = max(len(_cell_text(row.cells[place], column)) for row in table.rows)
        words = (len(word) for word in column.heading.split())
        least = max(widest, *(length for length in words if length <= LONG_WORD), 1)
        shown.add_column(column.heading, justify="right", overflow="fold", min_width=least)
    for row in table.rows:
        pairs = zip(row.cells, table.columns, strict=True)
        cells = [_cell_text(cell, words) for cell, words in pairs]
        shown.add_row(row.label + (" †" if row.bound else ""), row.count, *cells)
    console.print(Text(table.caption), soft_wrap=True)
    if table.columns:
        console.print(shown)
    for number, note in enumerate(table.footnotes, start=1):
        console.print(Text(f"  {number} {note}"), soft_wrap=True)


def _cell_text(cell: StageCell, words: MetricWords) -> Text:
    """Return the number of a cell, without its interval, in the style of its rank."""
    from rich.text import Text

    text = cell.text
    if cell.value is not None:
        text = ("~" if cell.status == "indicative" else "") + words.format(cell.value)
    return Text(f"{text}{cell.marks}", style=("", "bold", "italic")[cell.rank])
