"""`pcdms-bench list`: what there is, whether it can be used here, and if not, why."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option

KINDS = (
    "methods",
    "datasets",
    "layouts",
    "protocols",
    "metrics",
    "namings",
    "estimators",
    "suites",
)


@click.command("list")
@click.argument("kind", metavar="|".join(KINDS))
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk [default: the variable PCDMS_DATA_ROOT].",
)
@json_option
@debug_option
def listing(kind: str, root: Path | None, as_json: bool) -> int:
    """List one kind of thing, with the reason where something cannot be used here."""
    from pcdms_bench.suggestions import check_choice

    check_choice("list", kind, KINDS)
    from pcdms_bench.listings import LISTS

    rows = LISTS[kind](root)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    if not rows:
        click.echo(f"no {kind} in this version")
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row.name:{width}}  {row.summary}")
        if row.reason:
            click.echo(f"{'':{width}}  unavailable: {row.reason}")
    return 0
