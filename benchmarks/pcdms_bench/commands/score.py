"""`pcdms-bench score`: score run folders again, or pictures made elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, device_option, json_option

EXAMPLES = """\b
Examples:
  pcdms-bench score runs/people-test/pcdms/0123abcd --metrics ssim,psnr
  pcdms-bench score my-pictures --targets their-targets --out my-scores.csv
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="Target pictures, paired with those in DIR by name without extension.",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="With --targets: label maps of the persons (above 0), by the same names.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="With --targets: training pictures for the set metrics.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="With --targets: leave out what is missing or cannot be decoded.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Re-scoring a run of a dataset on disk: its folder, if it moved.",
)
@click.option(
    "--protocol",
    "protocols",
    default="standard",
    show_default=True,
    help="Comma-separated protocols.",
)
@click.option("--metrics", default="all", show_default=True, help="Comma-separated metrics.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --targets: write the rows to this CSV file.",
)
@device_option
@json_option
@debug_option
def score(
    folder: Path,
    targets: Path | None,
    masks: Path | None,
    reference: Path | None,
    allow_missing: bool,
    root: Path | None,
    protocols: str,
    metrics: str,
    out: Path | None,
    device: str,
    as_json: bool,
) -> int:
    """Score the run folders in DIR again, or the pictures in DIR against --targets."""
    from pcdms_bench.commands.outcome import print_rows
    from pcdms_bench.device import resolve_device
    from pcdms_bench.metrics.catalog import METRICS, usual_metrics
    from pcdms_bench.progress import Progress
    from pcdms_bench.protocols import PROTOCOLS
    from pcdms_bench.rescoring import PictureFolders, rescore_runs, score_folders
    from pcdms_bench.run_folder import write_rows
    from pcdms_bench.suggestions import split_names
    from pcdms_data.types import InputError

    recipes = split_names("protocol", protocols, PROTOCOLS)
    names = split_names("metric", metrics, METRICS, usual_metrics())
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected run folders or pictures")
    if targets is None:
        if masks or reference or allow_missing or out:
            raise click.UsageError(
                "--masks, --reference, --allow-missing and --out belong to --targets"
            )
        with Progress(silent=as_json) as progress:
            rows, whole = rescore_runs(
                folder, root, recipes, names, resolve_device(device), progress
            )
    else:
        folders = PictureFolders(folder, targets, masks, reference)
        rows = [
            row for name in recipes for row in score_folders(folders, name, names, allow_missing)
        ]
        whole = True
    if out is not None:
        write_rows(out, rows)
    print_rows(rows, as_json)
    return 0 if whole else 1
