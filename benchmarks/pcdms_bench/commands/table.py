"""`pcdms-bench table`: the tables of a paper, from published numbers and stored scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.options import debug_option

if TYPE_CHECKING:
    from pcdms_reports.table_model import Table

SUFFIXES = {".md": "md", ".tex": "latex", ".csv": "csv", ".html": "html"}
"""End of the name of --out -> the format it means."""
FORMATS = tuple(SUFFIXES.values())
SCORED = ("dataset", "resolution", "split", "runs", "protocols", "metrics")
TAKES = {
    "quantitative": SCORED,
    "ablation": SCORED,
    "stages": SCORED,
    "reid": ("dataset", "runs"),
    "user-study": ("dataset", "runs"),
    "compute": ("dataset", "runs"),
    "protocols": ("protocols",),
}
"""Table -> the options that mean something to it."""
EXAMPLES = """\b
Examples:
  pcdms-bench table quantitative --dataset deepfashion --resolution 256x176
  pcdms-bench table stages --runs runs --metrics ssim,masked_l1
  pcdms-bench table ablation --runs runs --out ablation.tex
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="|".join(TAKES))
@click.option("--dataset", help="Dataset [default: that of the runs, else deepfashion].")
@click.option("--resolution", help="Metric frame HEIGHTxWIDTH [default: the dataset's first].")
@click.option("--split", help="Split of the runs [default: test].")
@click.option(
    "--runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder with scores.csv or runs, whose results stand beside the published ones (may be "
    "repeated) [default: published numbers alone].",
)
@click.option(
    "--protocol", "protocols", help="Comma-separated protocols [default: all that are there]."
)
@click.option("--metrics", help="Comma-separated metrics [default: the table's own].")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="Format [default: by the end of --out, else md].",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@debug_option
def table(
    name: str,
    dataset: str | None,
    resolution: str | None,
    split: str | None,
    runs: tuple[Path, ...],
    protocols: str | None,
    metrics: str | None,
    format_name: str | None,
    out: Path | None,
) -> int:
    """Print the table NAME: published numbers, and beside them what stored runs measured.

    Numbers of different protocols, selections or sources are marked and never ranked against each
    other. What nobody recorded reads "not recorded". Nothing is computed again.
    """
    from pcdms_bench.run_folder import write_text
    from pcdms_bench.suggestions import check_choice

    check_choice("table", name, TAKES)
    given = {
        "dataset": dataset, "resolution": resolution, "split": split, "runs": runs,
        "protocols": protocols, "metrics": metrics,
    }  # fmt: skip
    _refuse_others(name, [option for option, value in given.items() if value])
    from pcdms_reports.paper_tables import TITLES
    from pcdms_reports.table_formats import FORMATS as WRITERS

    chosen = format_name or SUFFIXES.get(out.suffix.lower() if out else "", "md")
    if name == "protocols":
        tables = [_protocols(protocols)]
    else:
        tables = _tables(name, dataset, resolution, split, runs, protocols, metrics)
    text = WRITERS[chosen](tables, TITLES[name])
    if out is None:
        click.echo(text, nl=False)
        return 0
    write_text(out, text)
    click.echo(str(out))
    return 0


def _refuse_others(name: str, given: list[str]) -> None:
    """Refuse an option that would be ignored."""
    for option in given:
        if option not in TAKES[name]:
            spelled = "protocol" if option == "protocols" else option
            raise click.UsageError(f"--{spelled} means nothing to table {name}")


def _tables(
    name: str,
    dataset: str | None,
    resolution: str | None,
    split: str | None,
    runs: tuple[Path, ...],
    protocols: str | None,
    metrics: str | None,
) -> list[Table]:
    from pcdms_bench.metrics.catalog import METRICS
    from pcdms_bench.protocols import PROTOCOLS
    from pcdms_bench.suggestions import check_choice, split_names
    from pcdms_data.pairs import DATASETS
    from pcdms_reports.paper_tables import TABLES, TableRequest, read_runs

    request = TableRequest(
        dataset=check_choice("dataset", dataset, DATASETS) if dataset else "",
        resolution=resolution or "",
        split=split or "test",
        protocols=split_names("protocol", protocols, PROTOCOLS) if protocols else (),
        metrics=split_names("metric", metrics, METRICS) if metrics else (),
        runs=read_runs(runs) if runs else None,
    )
    return TABLES[name](request)


def _protocols(protocols: str | None) -> Table:
    from pcdms_bench.protocol_table import protocol_table
    from pcdms_bench.protocols import PROTOCOLS
    from pcdms_bench.suggestions import split_names
    from pcdms_reports.paper_tables.protocols import protocols_table

    names = split_names("protocol", protocols, PROTOCOLS) if protocols else tuple(PROTOCOLS)
    head, rows = protocol_table(names)
    return protocols_table(head, rows, {name: PROTOCOLS[name].source for name in names})
