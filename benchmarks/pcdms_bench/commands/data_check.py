"""`pcdms-bench data check`: what is right and wrong with a dataset, and what to type next."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
@click.option(
    "--root",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the dataset.",
)
@click.option("--dataset", help="deepfashion, market1501 or folder [default: found by looking].")
@click.option("--layout", help="`pcdms-bench list layouts` names them [default: found by looking].")
@click.option("--fast", is_flag=True, help="Read only the heads of pictures, decode none.")
@click.option("--workers", type=click.IntRange(1), help="Threads [default: one for each CPU].")
@click.option(
    "--show",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Lines for each kind of finding; --json has all.",
)
@json_option
@debug_option
def check(
    root: Path,
    dataset: str | None,
    layout: str | None,
    fast: bool,
    workers: int | None,
    show: int,
    as_json: bool,
) -> int:
    """Find the layout of a dataset on disk, count it, and look at every picture and key point.

    Exit 0 when it is usable, 2 when it is not.
    """
    import json
    import os
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_data.check_text import report_text
    from pcdms_data.checking import check_dataset

    with Progress() as progress:
        report = check_dataset(
            root, dataset, layout, fast, workers or os.cpu_count() or 1, progress.follow
        )
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo(report_text(report, show))
    return 0 if report.usable else 2
