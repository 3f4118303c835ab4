"""`pcdms-bench data make`: the embedded people as files."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.dataset_options import seed_option, size_option
from pcdms_bench.commands.options import debug_option


@click.group()
def make() -> None:
    """Make a dataset as files."""


@make.command("people")
@click.option("--street", is_flag=True, help="The street look instead of the fashion look.")
@size_option
@click.option(
    "--split",
    "splits",
    default="all",
    show_default=True,
    help="Comma-separated splits: train, val, test; or all.",
)
@click.option("--resolution", help="Frame HEIGHTxWIDTH [default: the size's own].")
@seed_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures/, masks/, keypoints.csv and pairs.csv.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a contact sheet to this PNG file.",
)
@debug_option
def people(
    street: bool,
    size: str,
    splits: str,
    resolution: str | None,
    seed: int,
    out: Path | None,
    sheet: Path | None,
) -> int:
    """Render the embedded people as pictures and annotations, in the layout `folder`."""
    from pcdms_bench.progress import Progress
    from pcdms_bench.spec import SIZES, SPLITS, parse_resolution
    from pcdms_bench.suggestions import check_choice, split_names
    from pcdms_data.images import save_picture
    from pcdms_data.people.export import export_people
    from pcdms_data.people.presets import plan_split
    from pcdms_data.people.sheet import contact_sheet

    if out is None and sheet is None:
        raise click.UsageError("nothing to make: give --out DIR, --sheet FILE.png, or both")
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise click.UsageError(f"--sheet {sheet}: expected a name ending in .png")
    check_choice("size", size, SIZES)
    names = split_names("split", splits, SPLITS)
    frame = parse_resolution(resolution) if resolution else None
    dataset = "people-street" if street else "people"
    if out is not None:
        with Progress() as progress:
            follow = progress.follow(f"making {dataset}")
            count = export_people(out, dataset, size, names, frame, seed, follow)
        click.echo(f"{out}: {count} pictures")
    if sheet is not None:
        plan = plan_split(dataset, size, names[0], frame, seed)
        pixels = contact_sheet(dataset, size, names[0], frame, seed, identities=4, views=plan.views)
        save_picture(sheet, pixels)
        click.echo(str(sheet))
    return 0
