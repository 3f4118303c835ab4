"""`pcdms-bench data export`: any dataset in the files that a code base of the field reads."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.dataset_options import (
    dataset_option,
    root_option,
    seed_option,
    size_option,
)
from pcdms_bench.commands.options import debug_option, json_option


@click.command()
@dataset_option
@root_option
@click.option("--layout-in", help="Layout of --root [default: found by looking].")
@size_option
@seed_option
@click.option(
    "--split",
    "splits",
    default="all",
    show_default=True,
    help="Comma-separated splits, or all that the layout has a place for.",
)
@click.option(
    "--resolution", help="Frame HEIGHTxWIDTH of the pictures [default: the layout's own]."
)
@click.option(
    "--layout",
    required=True,
    help="Layout to write; `pcdms-bench list layouts` names them.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for the files.",
)
@json_option
@debug_option
def export(
    dataset: str,
    root: Path | None,
    layout_in: str | None,
    size: str,
    seed: int,
    splits: str,
    resolution: str | None,
    layout: str,
    out: Path,
    as_json: bool,
) -> int:
    """Write a dataset in the layout that another code base reads.

    The fashion look of the embedded people goes into layouts of DeepFashion, the street look into
    that of Market-1501. Those have train and test: the split val of the people is left out.
    """
    import json
    from dataclasses import asdict

    from pcdms_bench.progress import Progress
    from pcdms_bench.spec import parse_resolution
    from pcdms_data.exporting import export as write_layout

    wanted = None if splits == "all" else [name.strip() for name in splits.split(",")]
    frame = parse_resolution(resolution) if resolution else None
    with Progress() as progress:
        done = write_layout(
            dataset, layout, out, root, wanted, size, frame, layout_in, seed, progress.follow
        )
    if as_json:
        click.echo(json.dumps(asdict(done) | {"out": str(done.out)}, indent=2))
        return 0
    counts = ", ".join(f"{split} {count} pairs" for split, count in done.pairs.items())
    click.echo(f"{done.out}: {done.pictures} pictures, {counts}, layout {done.layout}")
    if done.left_out:
        click.echo(f"left out, no place in layout {layout}: split {', '.join(done.left_out)}")
    for note in done.notes:
        click.echo(f"note: {note}")
    click.echo(f"next: pcdms-bench run --dataset {done.dataset} --root {done.out}")
    return 0
