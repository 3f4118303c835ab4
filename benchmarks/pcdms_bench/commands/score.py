"""`pcdms-bench score`: score run folders or a bundle again, or pictures made elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pcdms_bench.commands.options import debug_option, device_option, json_option

if TYPE_CHECKING:
    from pcdms_bench.folder_scores import FolderRequest
    from pcdms_bench.result_folder import Square

EXAMPLES = """\b
Examples:
  pcdms-bench score runs/people-test/pcdms/0123abcd --metrics ssim,psnr
  pcdms-bench score my-pictures --targets their-targets --out my-scores.csv
  pcdms-bench score results --dataset deepfashion --root data --naming gfla --protocol standard,gfla
  pcdms-bench score sheets --naming patn --protocol patn
  pcdms-bench score their-bundle.zip
"""

DATASET_OPTIONS = ("split", "size", "resolution", "layout", "limit")
FOLDER_OPTIONS = (
    "masks", "reference", "naming", "square", "tile", "method", "author_resized",
    "allow_missing", "out",
)  # fmt: skip
BUNDLE_OPTIONS = ("root", "device", "tolerance", "as_json", "debug")
"""What a bundle takes: it is scored as it was, so nothing else can be chosen."""


@click.command(epilog=EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    help="Score the pictures in DIR against these; names pair them as --naming says.",
)
@click.option(
    "--dataset",
    help="Score the pictures in DIR against the targets of this dataset's pairs.",
)
@click.option(
    "--naming",
    help="How the files in DIR are called; `pcdms-bench list namings` shows them [default: auto].",
)
@click.option(
    "--square",
    help="Square pictures of targets that are not square: squashed (stretched), padded (between "
    "plain columns), or auto, which looks at the columns [default: auto].",
)
@click.option(
    "--tile", type=click.IntRange(1), help="Tile of the sheets to score [default: the naming's]."
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk; re-scoring a run: its folder, if it moved.",
)
@click.option("--split", help="With --dataset: test, val or train [default: test].")
@click.option("--size", help="With --dataset: size of an embedded one [default: mini].")
@click.option("--resolution", help="With --dataset: HEIGHTxWIDTH of its pairs.")
@click.option("--layout", help="With --dataset: its layout on disk [default: found by looking].")
@click.option("--limit", type=click.IntRange(1), help="With --dataset: its first pairs only.")
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="With --targets: label maps of the persons (above 0), by the targets' names.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Training pictures for the set metrics [default: the dataset's].",
)
@click.option("--method", help="Name of the method in the rows [default: the folder's].")
@click.option(
    "--author-resized",
    is_flag=True,
    help="Whoever collected the pictures resized them; the rows say so.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out what is missing, surplus or cannot be decoded; n says how many are left.",
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
    "--set-intervals",
    is_flag=True,
    help="Intervals of set metrics (FID and its kin) also where they take minutes.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    help="With a bundle: relative difference from a stored number that still agrees "
    "[default: 0.0001].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the rows of a folder of pictures to this CSV file.",
)
@device_option
@json_option
@debug_option
def score(
    folder: Path,
    protocols: str,
    metrics: str,
    set_intervals: bool,
    root: Path | None,
    tolerance: float | None,
    out: Path | None,
    device: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Score the run folders in DIR again, pictures that were made elsewhere, or a bundle.

    Where DIR is a bundle (a .zip of `report --bundle`), every hash is verified, its pictures are
    scored as they were, and every number is set beside the stored one; exit code 1 where one
    differs. Pictures are compared with --targets, with the pairs of --dataset, or with the target
    on the same sheet where the --naming is one of sheets.
    """
    from pcdms_bench.commands.outcome import print_rows
    from pcdms_bench.device import resolve_device
    from pcdms_bench.metrics.catalog import METRICS, usual_metrics
    from pcdms_bench.progress import Progress
    from pcdms_bench.protocols import protocol_names
    from pcdms_bench.run_folder import write_rows
    from pcdms_bench.suggestions import split_names
    from pcdms_data.types import InputError

    if folder.is_file() and folder.suffix.lower() == ".zip":
        from pcdms_bench.commands.confirmation import score_bundle

        _refuse_choices(click.get_current_context())
        return score_bundle(folder, root, device, tolerance, as_json)
    if tolerance is not None:
        raise click.UsageError("--tolerance: only with a bundle")
    recipes = protocol_names(protocols)
    names = split_names("metric", metrics, METRICS, usual_metrics())
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected run folders, pictures or a bundle")
    _check_options(options, root, out)
    whole = True
    with Progress(silent=as_json) as progress:
        if options["targets"] or options["dataset"] or options["naming"]:
            from pcdms_bench.folder_scores import score_folder

            request = replace(_request(folder, root, options), set_intervals=set_intervals)
            rows = score_folder(request, recipes, names, resolve_device(device), progress)
        else:
            from pcdms_bench.rescoring import rescore_runs

            rows, whole = rescore_runs(
                folder, root, recipes, names, resolve_device(device), progress, set_intervals
            )
    if out is not None:
        write_rows(out, rows)
    print_rows(rows, as_json)
    return 0 if whole else 1


def _refuse_choices(context: click.Context) -> None:
    """Refuse options that would change how a bundle is scored."""
    given = [
        f"--{name.replace('_', '-').replace('protocols', 'protocol')}"
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        and name not in ("folder", *BUNDLE_OPTIONS)
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: a bundle is scored as it was")


def _check_options(options: dict[str, Any], root: Path | None, out: Path | None) -> None:
    """Refuse options that have no meaning together."""
    pictures = bool(options["targets"] or options["dataset"] or options["naming"])
    if options["targets"] and options["dataset"]:
        raise click.UsageError("--targets and --dataset both name the targets: give one")
    given = {name for name, value in {**options, "out": out}.items() if value}
    lost = [name for name in FOLDER_OPTIONS if name in given] if not pictures else []
    if not options["dataset"]:
        lost += [name for name in DATASET_OPTIONS if name in given]
        lost += ["root"] if pictures and root else []
    if lost:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in lost)
        place = "--dataset" if pictures else "--targets, --dataset or --naming"
        raise click.UsageError(f"{words}: only with {place}")
    if options["masks"] and not options["targets"]:
        raise click.UsageError("--masks: only with --targets; a dataset has its own")


def _request(folder: Path, root: Path | None, options: dict[str, Any]) -> FolderRequest:
    """Return what the options ask for."""
    from pcdms_bench.folder_scores import DatasetTargets, FolderRequest
    from pcdms_bench.naming import AUTO, NAMINGS
    from pcdms_bench.result_folder import SQUARES
    from pcdms_bench.spec import SIZES, SPLITS, parse_resolution
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.pairs import DATASETS

    naming, square = options["naming"] or AUTO, options["square"] or "auto"
    check_choice("naming", naming, (AUTO, *NAMINGS))
    check_choice("kind of square", square, SQUARES)
    targets: DatasetTargets | Path | None = options["targets"]
    if options["dataset"]:
        resolution = options["resolution"]
        targets = DatasetTargets(
            check_choice("dataset", options["dataset"], DATASETS),
            root,
            check_choice("split", options["split"] or "test", SPLITS),
            check_choice("size", options["size"] or "mini", SIZES),
            parse_resolution(resolution) if resolution else None,
            options["layout"],
            options["limit"],
        )
    return FolderRequest(
        folder, targets, naming, cast("Square", square), options["tile"], options["masks"],
        options["reference"], options["method"] or "", options["author_resized"],
        options["allow_missing"],
    )  # fmt: skip
