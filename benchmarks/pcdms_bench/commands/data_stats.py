"""`pcdms-bench data stats`: pictures, pairs, slices and key points of a split."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
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
