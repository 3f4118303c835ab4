"""`pcdms-bench compare`: do two runs, or two stages, differ on the same pairs?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.options import debug_option, json_option

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """\b
Examples:
  pcdms-bench compare runs/people-test/pcdms/0123abcd runs/people-test/limb-warp/89abcdef
  pcdms-bench compare runs/people-test/pcdms/0123abcd --stages inpaint,refine
"""


@click.command(epilog=EXAMPLES)
@click.argument("first", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("second", metavar="[RUN]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--stages", help="Stages to compare, FIRST,SECOND [default: the last stage of each run]."
)
@click.option("--protocol", "protocols", default="all", help="Comma-separated protocols.")
@click.option("--metrics", default="all", help="Comma-separated metrics.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this CSV."
)
@json_option
@debug_option
def compare(
    first: Path,
    second: Path | None,
    stages: str | None,
    protocols: str,
    metrics: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Compare two run folders pair by pair: difference, interval, p-value and effect size.

    An output folder that holds a single run stands for it. Reads the stored scores of each pair
    (pairs.csv). With one RUN, --stages names two of its stages. Set metrics such as FID have no
    value per pair and are left out.
    """
    from pcdms_bench.comparing import compare_runs, pairs_apart
    from pcdms_bench.metrics.catalog import METRICS
    from pcdms_bench.protocols import PROTOCOLS
    from pcdms_bench.run_folder import write_text
    from pcdms_bench.suggestions import split_names

    named = tuple(part.strip() for part in stages.split(",")) if stages else None
    if named is not None and len(named) != 2:
        raise click.UsageError(f"--stages {stages}: expected two stages, FIRST,SECOND")
    if second is None and named is None:
        raise click.UsageError("one RUN alone: give a second one, or --stages FIRST,SECOND")
    rows = compare_runs(
        first,
        second or first,
        named,
        split_names("protocol", protocols, PROTOCOLS),
        split_names("metric", metrics, METRICS),
    )
    if second is not None and (apart := pairs_apart(first, second)):
        click.echo(apart, err=True)
    if out is not None:
        write_text(out, rows.to_csv(index=False, lineterminator="\n"))
    if as_json:
        click.echo(json.dumps(json.loads(rows.to_json(orient="records", double_precision=15))))
    else:
        _print(rows)
    return 0


def _print(rows: pd.DataFrame) -> None:
    """Print one table per protocol, and below it what its signs mean."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pcdms_reports.metric_words import words_of

    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    for protocol, part in rows.groupby("protocol", sort=False):
        first, second = part["first"].iloc[0], part["second"].iloc[0]
        console.print(f"{first} (first) against {second} (second), protocol {protocol}")
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in ("metric", "first", "second", "difference", "95 % interval", "p (Holm)",
                     "effect d", "first better", "n", "better"):  # fmt: skip
            table.add_column(name, justify="left" if name in ("metric", "better") else "right")
        for row in part.to_dict("records"):
            words = words_of(str(row["metric"]))
            table.add_row(
                words.heading,
                words.format(row["first_value"]),
                words.format(row["second_value"]),
                f"{row['difference']:+.{words.digits}f}",
                f"{row['ci_low']:+.{words.digits}f} to {row['ci_high']:+.{words.digits}f}",
                p_text(float(row["p_holm"])),
                f"{row['effect']:+.2f}",
                f"{row['first_better']:.0%}",
                str(row["n"]),
                str(row["verdict"]),
            )
        console.print(table)
    console.print(
        "difference: first minus second on the same pairs; p: paired sign-flip test, corrected for "
        "the number of rows;\neffect d: mean difference in standard deviations of the differences; "
        "better: at p below 0.05",
        highlight=False,
    )


def p_text(value: float) -> str:
    """Return a p-value as it is shown: three decimals, or `<0.001`."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
