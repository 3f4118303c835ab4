"""`pcdms-bench doctor`: what this machine has and lacks, and the next step for each lack."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of datasets to look at [default: the variable PCDMS_DATA_ROOT].",
)
@json_option
@debug_option
def doctor(root: Path | None, as_json: bool) -> int:
    """Check packages, device, weights, cache and datasets; exit 1 when `run` cannot work."""
    from pcdms_bench.checks import all_checks

    found = all_checks(root)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=2))
    else:
        for check in found:
            click.echo(f"{check.state:8} {check.what}: {check.detail}")
            if check.step:
                click.echo(f"{'':8} -> {check.step}")
    bad = any(check.needed and check.state != "ok" for check in found)
    if not as_json:
        click.echo(
            "not ready: do the steps above first" if bad else "ready: next, `pcdms-bench run`"
        )
    return int(bad)
