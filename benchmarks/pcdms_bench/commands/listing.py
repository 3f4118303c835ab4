"""`pcdms-bench list`: what there is, whether it can be used here, and if not, why."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pcdms_bench.commands.dataset_options import root_option
from pcdms_bench.commands.options import debug_option, json_option

KINDS = (
    "methods",
    "datasets",
    "layouts",
    "protocols",
    "metrics",
    "namings",
    "estimators",
    "repositories",
    "suites",
)
PLAIN_WIDTH = 200
"""Characters to a line where the output is no terminal."""
TITLE_WIDTH, PROTOCOL_WIDTH = 20, 22
"""Characters a column of the protocols' table needs to be readable."""


@click.command("list")
@click.argument("kind", metavar="|".join(KINDS))
@root_option
@json_option
@debug_option
def listing(kind: str, root: Path | None, as_json: bool) -> int:
    """List one kind of thing, with the reason where something cannot be used here."""
    from pcdms_bench.suggestions import check_choice

    check_choice("list", kind, KINDS)
    from pcdms_bench.listings import LISTS

    rows = LISTS[kind](root)
    if as_json:
        listed = [asdict(row) for row in rows]
        if kind == "protocols":
            listed = _with_choices(listed)
        click.echo(json.dumps(listed, indent=2))
        return 0
    if not rows:
        click.echo(f"no {kind} in this version")
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row.name:{width}}  {row.summary}")
        if row.reason:
            click.echo(f"{'':{width}}  unavailable: {row.reason}")
    if kind == "protocols":
        _show_protocols()
    return 0


def _with_choices(listed: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the protocols' entries with every choice beside the summary."""
    from pcdms_bench.protocol_table import protocol_table

    head, rows = protocol_table()
    return [
        entry | {"choices": {row[0]: row[head.index(str(entry["name"]))] for row in rows}}
        for entry in listed
    ]


def _show_protocols() -> None:
    """Print the choices side by side, as many protocols at a time as the window is wide."""
    from rich.console import Console
    from rich.table import Table

    from pcdms_bench.protocol_table import protocol_table

    head, _ = protocol_table()
    console = Console(width=None if Console().is_terminal else PLAIN_WIDTH)
    at_once = max(1, (console.width - TITLE_WIDTH) // PROTOCOL_WIDTH)
    for start in range(1, len(head), at_once):
        columns, rows = protocol_table(head[start : start + at_once])
        table = Table(*columns, show_lines=True)
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table)
