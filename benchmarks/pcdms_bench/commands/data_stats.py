"""`pcdms-bench data stats`: pictures, pairs, slices and key points of a split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.dataset_options import dataset_option, root_option, size_option
from pcdms_bench.commands.options import debug_option, json_option

if TYPE_CHECKING:
    from pcdms_data.pair_set import PairSet, SliceColumn

SLICES_FILE = "slices.csv"


@click.command()
@dataset_option
@root_option
@click.option(
    "--layout", help="Layout of --root; `pcdms-bench list layouts` names them [default: found]."
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, dir_okay=False),
    help="In place of --root: key points alone (name:[18 y]:[18 x], plain or .gz), no pictures.",
)
@click.option(
    "--train-list",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --annotations: train.lst, which tells seen garments from unseen ones.",
)
@size_option
@click.option("--split", default="test", show_default=True, help="test, val or train.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=f"Write the slice labels of every pair to this CSV file, or to {SLICES_FILE} in this "
    "folder.",
)
@json_option
@debug_option
def stats(
    dataset: str,
    root: Path | None,
    layout: str | None,
    annotations: Path | None,
    train_list: Path | None,
    size: str,
    split: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Count pictures, pairs and slices of a split; compare its key points with real ones.

    Pictures are not opened; with --annotations they need not be there.
    """
    import json

    from pcdms_bench.run_folder import write_text
    from pcdms_data.people.stats import calibration, calibration_text

    if annotations is not None and (root is not None or layout is not None):
        raise click.UsageError("give --annotations, or --root and --layout, not both")
    if train_list is not None and annotations is None:
        raise click.UsageError("--train-list belongs to --annotations; a layout has its own")
    pairs = _load(dataset, root, layout, annotations, train_list, size, split)
    table = calibration(pairs.gallery.keypoints)
    height, width = pairs.resolution
    counts = {name: _counts(column) for name, column in pairs.slices.items()}
    file = _slices_file(out)
    document = {
        "dataset": dataset,
        "split": split,
        "layout": pairs.layout or None,
        "resolution": f"{height}x{width}",
        "pictures": len(pairs.gallery.pictures),
        "groups": len(set(pairs.gallery.groups)),
        "pairs": len(pairs),
        "slices": counts,
        "keypoints": {row.name: _finite(row.value) for row in table},
        "file": str(file) if file is not None else None,
    }
    if file is not None:
        write_text(file, slices_text(pairs))
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return 0
    for key in ("dataset", "split", "layout", "resolution", "pictures", "groups", "pairs"):
        if document[key] is not None:
            click.echo(f"{key:12} {document[key]}")
    for name, found in counts.items():
        parts = ", ".join(f"{label}: {count}" for label, count in found.items())
        click.echo(f"{name:12} {parts}")
    click.echo("key points beside those of the real sets:")
    click.echo(calibration_text(table, lambda value: f"{value:.3f}"))
    if file is not None:
        click.echo(f"slices: {file}")
    return 0


def slices_text(pairs: PairSet) -> str:
    """Return `slices.csv`: the rows `pair,slice,label` of every pair, slices in their order."""
    from pcdms_bench.run_folder import table_text
    from pcdms_data.types import make_pair_id

    names = [picture.name for picture in pairs.gallery.pictures]
    ids = [make_pair_id(names[source], names[target]) for source, target in pairs.rows.tolist()]
    columns = [
        (name, [column.labels[code] for code in column.codes.tolist()])
        for name, column in pairs.slices.items()
    ]
    rows = (
        (pair_id, name, labels[row]) for row, pair_id in enumerate(ids) for name, labels in columns
    )
    return table_text(("pair", "slice", "label"), rows)


def _load(
    dataset: str,
    root: Path | None,
    layout: str | None,
    annotations: Path | None,
    train_list: Path | None,
    size: str,
    split: str,
) -> PairSet:
    if annotations is not None:
        from pcdms_data.annotation_pairs import annotation_pairs

        return annotation_pairs(annotations, dataset, split, train_list)
    from pcdms_data.pairs import load_pairs

    return load_pairs(dataset, root=root, split=split, size=size, layout=layout)


def _counts(column: SliceColumn) -> dict[str, int]:
    """Return the number of pairs of each label that occurs, in the order of the labels."""
    import numpy as np

    counts = np.bincount(column.codes, minlength=len(column.labels)).tolist()
    return {label: count for label, count in zip(column.labels, counts, strict=True) if count}


def _slices_file(out: Path | None) -> Path | None:
    """Return the file to write: `out` itself, or the usual name in it where it is a folder."""
    if out is None or (out.suffix and not out.is_dir()):
        return out
    return out / SLICES_FILE


def _finite(value: float) -> float | None:
    """Return `value` for JSON, which knows no NaN."""
    return value if value == value else None
