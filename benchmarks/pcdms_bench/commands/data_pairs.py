"""`pcdms-bench data pairs`: the published pair lists, made from an annotation file."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, json_option


@click.command()
@click.argument("dataset")
@click.option(
    "--annotations",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Key points, rows of name:[18 y]:[18 x]; plain or .gz.",
)
@click.option(
    "--split",
    default="test",
    show_default=True,
    help="test: the published sample of 12,000 at most; train: all pairs.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file to write, from,to.",
)
@click.option("--overwrite", is_flag=True, help="Replace another list in --out.")
@json_option
@debug_option
def pairs(
    dataset: str, annotations: Path, split: str, out: Path, overwrite: bool, as_json: bool
) -> int:
    """Make the pair list of DATASET (deepfashion or market1501) by the published rule.

    The order is that of the published files and depends on no library. The names are written as the
    annotation file has them.
    """
    from hashlib import sha256

    from pcdms_bench.suggestions import check_choice
    from pcdms_data.images import write_atomically
    from pcdms_data.layouts.annotation import read_annotation_rows
    from pcdms_data.pair_rule import KNOWN_LISTS, check_names, pair_list_text, published_rows
    from pcdms_data.types import InputError

    check_choice("dataset", dataset, ("deepfashion", "market1501"))
    check_choice("split", split, ("train", "test"))
    annotation = read_annotation_rows(annotations)
    check_names(annotation.names, dataset, str(annotations))
    rows = published_rows(annotation.names, annotation.visible, dataset, split)
    if not len(rows):
        raise InputError(
            f"{annotations} makes no pair: no group has two pictures that show both shoulders and "
            "both hips"
        )
    content = pair_list_text(annotation.written, rows).encode()
    if out.exists() and out.read_bytes() != content and not overwrite:
        raise InputError(f"{out} holds something else: give another --out, or --overwrite")
    write_atomically(out, content)
    digest = sha256(content).hexdigest()
    document = {
        "file": str(out),
        "pictures": len(annotation.names),
        "pairs": len(rows),
        "sha256": digest,
        "known_as": KNOWN_LISTS.get(digest),
    }
    if as_json:
        import json

        click.echo(json.dumps(document, indent=2))
        return 0
    click.echo(f"{len(rows)} pairs of {len(annotation.names)} annotated pictures: {out}")
    click.echo(f"sha256 {digest}")
    known = KNOWN_LISTS.get(digest)
    click.echo(f"identical to {known}" if known else "not one of the published lists")
    return 0
