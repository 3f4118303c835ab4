"""What the measured comparisons of `pcdms-bench speed` print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pcdms_bench.metric_speed import Comparison


def print_comparisons(title: str, rows: Sequence[Comparison], threads: int, as_json: bool) -> None:
    """Print one line per comparison: both times, their ratio with its target, the difference."""
    if as_json:
        found = [asdict(row) | {"ratio": row.ratio} for row in rows]
        click.echo(json.dumps({"what": title, "threads": threads, "rows": found}, indent=2))
        return
    for row in rows:
        aim = "" if row.target is None else f" (target {row.target:g})"
        click.echo(
            f"{title}, {row.what}: {row.library} {_time(row.library_s)}, ours "
            f"{_time(row.ours_s)}: {row.ratio:.1f} times faster{aim}; "
            f"largest difference {row.difference:.1e}"
        )
    click.echo(f"CPU time in one process, {threads} thread{'s' if threads > 1 else ''} a library")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"
