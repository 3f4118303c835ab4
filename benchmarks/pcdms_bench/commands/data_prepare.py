"""`pcdms-bench data prepare`: a dataset as it comes becomes Arrow tables that are read at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.dataset_options import size_option
from pcdms_bench.commands.options import debug_option, json_option

if TYPE_CHECKING:
    from pcdms_data.preparing.manifest import Document

SHOWN = 20


@click.command()
@click.option("--dataset", required=True, help="Dataset; `pcdms-bench list datasets` names them.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True),
    help="The download: a folder, or a zip archive, which is read as it is.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, exists=True),
    help="File or folder of key points of a download [default: beside the pictures].",
)
@click.option(
    "--convention",
    type=click.Choice(["lowres_crop", "highres_resize"]),
    help="Which In-shop pictures [default: the ones that are there, lowres_crop before the other].",
)
@click.option(
    "--resolution",
    "resolutions",
    help="Frames HEIGHTxWIDTH, separated by commas [default: the dataset's own].",
)
@click.option(
    "--splits", default="all", show_default=True, help="Comma-separated splits, or all there are."
)
@click.option("--layout", help="Layout of --root [default: found by itself].")
@size_option
@click.option(
    "--encoding", type=click.Choice(["png", "jpeg"]), default="png", show_default=True,
    help="png keeps every pixel; jpeg is smaller.",
)  # fmt: skip
@click.option(
    "--kernel", default="pil-bicubic-u8", show_default=True, help="Kernel that resizes pictures."
)
@click.option("--any-size", is_flag=True, help="Accept pictures of sizes that the layout lacks.")
@click.option("--workers", type=click.IntRange(1), help="Threads [default: one for each CPU].")
@click.option(
    "--problems",
    "listed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the whole list of problems to this file.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="New folder of the prepared dataset.",
)
@json_option
@debug_option
def prepare(
    dataset: str,
    root: Path | None,
    annotations: Path | None,
    convention: str | None,
    resolutions: str | None,
    splits: str,
    layout: str | None,
    size: str,
    encoding: str,
    kernel: str,
    any_size: bool,
    workers: int | None,
    listed: Path | None,
    out: Path,
    as_json: bool,
) -> int:
    """Check a dataset whole, then store it as Arrow tables: images, pairs, and a manifest.

    Nothing is written where anything is wrong. An interrupted call goes on when it is repeated.
    """
    import json

    from pcdms_bench.progress import Progress
    from pcdms_bench.run_folder import write_text
    from pcdms_bench.spec import parse_resolution
    from pcdms_data.preparing.problems import UnfitError, listing
    from pcdms_data.preparing.request import Request, prepare_dataset

    request = Request(
        dataset=dataset,
        root=root,
        splits=_names(splits),
        annotations=annotations,
        convention=convention,
        layout=layout,
        size=size,
        resolutions=tuple(
            parse_resolution(part) for part in (resolutions or "").split(",") if part
        ),
        encoding="jpeg" if encoding == "jpeg" else "png",
        kernel=kernel,
        any_size=any_size,
        workers=workers,
    )
    try:
        with Progress() as progress:
            made = prepare_dataset(request, out, progress.follow)
    except UnfitError as error:
        if listed is not None:
            write_text(listed, listing(error.problems, len(error.problems)) + "\n")
        elif len(error.problems) > SHOWN:
            click.echo("(--problems FILE writes the whole list)", err=True)
        click.echo(listing(error.problems, SHOWN), err=True)
        raise
    if as_json:
        click.echo(
            json.dumps({"out": str(out), "remarks": made.remarks, **made.manifest}, indent=2)
        )
        return 0
    for remark in made.remarks:
        click.echo(f"note: {remark}", err=True)
    _print(out, made.manifest)
    return 0


def _names(splits: str) -> tuple[str, ...] | None:
    names = tuple(dict.fromkeys(part.strip() for part in splits.split(",") if part.strip()))
    return None if names in ((), ("all",)) else names


def _print(out: Path, manifest: Document) -> None:
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    click.echo(f"{out}: {', '.join(manifest['resolutions'])}, {size / 2**20:.1f} MiB")
    for split, counts in manifest["splits"].items():
        click.echo(f"{split}: {counts['pictures']} pictures, {counts['pairs']} pairs")
    click.echo(f"next: pcdms-bench data check --dataset {manifest['dataset']} --root {out}")
