"""`pcdms-bench data`: make the embedded people as files; describe a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.group()
def data() -> None:
    """Make the embedded people; describe a dataset."""


@data.group()
def make() -> None:
    """Make a dataset as files."""


@make.command("people")
@click.option("--street", is_flag=True, help="The street look instead of the fashion look.")
@click.option("--size", default="mini", show_default=True, help="smoke, mini or full.")
@click.option(
    "--split",
    "splits",
    default="all",
    show_default=True,
    help="Comma-separated splits: train, val, test; or all.",
)
@click.option("--resolution", help="Frame HEIGHTxWIDTH [default: the size's own].")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the people."
)
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
    from pcdms_data.people.export import export_people
    from pcdms_data.people.presets import plan_split
    from pcdms_data.people.sheet import save_sheet

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
        save_sheet(sheet, dataset, size, names[0], frame, seed, identities=4, views=plan.views)
        click.echo(str(sheet))
    return 0


@data.command("stats")
@click.option(
    "--dataset",
    default="people",
    show_default=True,
    help="Dataset; `pcdms-bench list datasets` names them.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk [default: the variable PCDMS_DATA_ROOT].",
)
@click.option(
    "--size",
    default="mini",
    show_default=True,
    help="Size of an embedded dataset: smoke, mini or full.",
)
@click.option("--split", default="test", show_default=True, help="test, val or train.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the slice labels of every pair to this CSV file.",
)
@json_option
@debug_option
def stats(
    dataset: str, root: Path | None, size: str, split: str, out: Path | None, as_json: bool
) -> int:
    """Count pictures, pairs and slices of a split; compare its key points with real ones."""
    import json
    from collections import Counter

    from pcdms_bench.run_folder import table_text, write_text
    from pcdms_data.pairs import load_pairs
    from pcdms_data.people.stats import calibration, calibration_text

    pairs = load_pairs(dataset, root=root, split=split, size=size)
    counts: dict[str, Counter[str]] = {}
    rows = []
    for pair in pairs:
        for name, label in pair.slices.items():
            counts.setdefault(name, Counter())[label] += 1
            rows.append((pair.pair_id, name, label))
    table = calibration(pairs.gallery.keypoints)
    height, width = pairs.resolution
    document = {
        "dataset": dataset,
        "split": split,
        "resolution": f"{height}x{width}",
        "pictures": len(pairs.gallery.pictures),
        "groups": len(set(pairs.gallery.groups)),
        "pairs": len(pairs),
        "slices": {name: dict(sorted(found.items())) for name, found in counts.items()},
        "keypoints": {row.name: _finite(row.value) for row in table},
    }
    if out is not None:
        write_text(out, table_text(("pair", "slice", "label"), rows))
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return 0
    for key in ("dataset", "split", "resolution", "pictures", "groups", "pairs"):
        click.echo(f"{key:12} {document[key]}")
    for name, found in counts.items():
        parts = ", ".join(f"{label} {count}" for label, count in sorted(found.items()))
        click.echo(f"{name:12} {parts}")
    click.echo("key points beside those of the real sets:")
    click.echo(calibration_text(table, lambda value: f"{value:.3f}"))
    if out is not None:
        click.echo(f"slices: {out}")
    return 0


def _finite(value: float) -> float | None:
    """Return `value` for JSON, which knows no NaN."""
    return value if value == value else None
