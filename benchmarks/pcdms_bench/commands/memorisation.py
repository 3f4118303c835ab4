"""`pcdms-bench memorisation`: the nearest training picture of every generated one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, device_option, json_option

EXAMPLES = """\b
Examples:
  pcdms-bench memorisation runs/people-test/pcdms/0123abcd
  pcdms-bench memorisation runs --json
"""
SHOWN = 5


@click.command(epilog=EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk, if it moved since the run.",
)
@device_option
@json_option
@debug_option
def memorisation(folder: Path, root: Path | None, device: str, as_json: bool) -> int:
    """Look for repeated training pictures in the run folders in DIR.

    Writes memorisation.csv and memorisation.png (generated, nearest training picture, true target,
    its nearest training picture) into each run folder.
    """
    from pcdms_bench.device import resolve_device
    from pcdms_bench.memorisation import GRID, check_memorisation
    from pcdms_bench.progress import Progress
    from pcdms_bench.run_folder import run_folders
    from pcdms_data.types import InputError

    places = run_folders(folder) if folder.is_dir() else []
    if not places:
        raise InputError(f"{folder} holds no run folder (no spec.json)")
    answers = []
    with Progress(silent=as_json) as progress:
        for place in places:
            found = check_memorisation(place, root, resolve_device(device), progress)
            answers.append((place, found))
    for place, found in answers:
        if as_json:
            continue
        counts = ", ".join(f"{stage} {count}" for stage, count in found.suspects.items())
        click.echo(f"{place}: nearer to a training picture than 99 % of true targets: {counts}")
        for row in found.table.head(SHOWN).itertuples(index=False):
            click.echo(f"  {row.distance:.4g}  {row.stage}  {row.pair}  {row.nearest}")
        click.echo(f"  pictures of the nearest: {place / GRID}")
    if as_json:
        rows = [
            {
                "run": str(place), "threshold": found.threshold, "suspects": found.suspects,
                "extractor": found.extractor,
                "rows": json.loads(found.table.to_json(orient="records", double_precision=15)),
            }
            for place, found in answers
        ]  # fmt: skip
        click.echo(json.dumps(rows))
    return 0
