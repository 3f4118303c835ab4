"""`pcdms-bench report`: the page and tables of stored scores; nothing is computed again."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of report.html and tables/ [default: the first RUN].",
)
@debug_option
def report(runs: tuple[Path, ...], out: Path | None) -> int:
    """Write report.html and tables/*.md of the run folders RUN (or folders that hold runs)."""
    from pcdms_reports.page import write_report

    for path in write_report(list(runs), (out or runs[0]) / "report.html"):
        click.echo(str(path))
    return 0
