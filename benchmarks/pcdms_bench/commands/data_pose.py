"""`pcdms-bench data pose`: key points of pictures that have none, by a real pose estimator."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.options import debug_option, json_option

if TYPE_CHECKING:
    from pcdms_data.pose_estimation.agreement import Agreement
    from pcdms_data.pose_estimation.annotate import Annotated
    from pcdms_data.types import Keypoints


@click.command("pose")
@click.argument("pictures", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, normally keypoints.csv beside the folder of pictures.",
)
@click.option(
    "--format",
    "form",
    default="folder",
    show_default=True,
    help="folder (a table, the layout `folder`) or patn (name: [18 y]: [18 x], -1 missing).",
)
@click.option("--estimator", default="posenet", show_default=True, help="posenet or mediapipe.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the estimator's files [default: the variable PCDMS_WEIGHTS, else the cache].",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Joints with a lower score are missing.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A keypoints.csv of the same pictures: print how many of its joints were found.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="With --compare: the distance in head sizes within which a joint is found.",
)
@click.option("--limit", type=click.IntRange(1), help="The first pictures by name only.")
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Decoding threads."
)
@click.option("--overwrite", is_flag=True, help="Replace --out where it is there.")
@json_option
@debug_option
def pose(
    pictures: Path,
    out: Path | None,
    form: str,
    estimator: str,
    weights: Path | None,
    threshold: float,
    compare: Path | None,
    alpha: float,
    limit: int | None,
    batch_size: int,
    workers: int,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Find the 18 key points of the person in each picture of the folder PICTURES.

    Joints that the estimator is not sure of are missing in the result. Exit 1 when a picture could
    not be read; the others are written.
    """
    from pcdms_bench.progress import Progress
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.images import write_atomically
    from pcdms_data.layouts.folder import read_keypoints
    from pcdms_data.pose_estimation import load_estimator
    from pcdms_data.pose_estimation.annotate import annotate, picture_files
    from pcdms_data.pose_estimation.annotation_files import FORMATS
    from pcdms_data.types import InputError

    if out is None and compare is None:
        raise click.UsageError("nothing to do: give --out FILE.csv, --compare FILE.csv, or both")
    check_choice("format", form, FORMATS)
    if out is not None and out.exists() and not overwrite:
        raise InputError(f"{out} is there already: give another --out, or --overwrite")
    paths = picture_files(pictures)[:limit]
    known = read_keypoints(compare) if compare is not None else None
    with closing(load_estimator(estimator, weights, threshold)) as network, Progress() as progress:
        if out is not None:  # a place that cannot be written is told before the work, not after
            out.parent.mkdir(parents=True, exist_ok=True)
        follow = progress.follow(f"poses by {estimator}")
        result = annotate(paths, network, batch_size, workers, follow)
    if out is not None and result.poses:
        write_atomically(out, FORMATS[form](result.poses).encode())
    summary = _summary(result, network.extractor, out)
    compared = None
    if known is not None and result.poses:
        compared = _compare(result.poses, known, alpha, pictures, compare)
        summary |= _agreement_json(compared, alpha)
    _print(summary, compared, alpha, as_json)
    if result.failures:
        listed = "".join(f"\n  {line}" for line in result.failures)
        click.echo(f"{len(result.failures)} of {len(paths)} pictures left out:{listed}", err=True)
    return int(bool(result.failures))


def _summary(result: Annotated, extractor: str, out: Path | None) -> dict[str, object]:
    seen = [int(pose.visible.sum()) for pose in result.poses.values()]
    return {
        "file": str(out) if out is not None and seen else None,
        "extractor": extractor,
        "pictures": len(seen),
        "without_any_joint": seen.count(0),
        "joints_per_picture": round(sum(seen) / len(seen), 2) if seen else None,
        "failures": list(result.failures),
    }


def _compare(
    poses: dict[str, Keypoints],
    known: dict[str, Keypoints],
    alpha: float,
    pictures: Path,
    table: Path | None,
) -> Agreement:
    from pcdms_data.pose_estimation.agreement import agreement
    from pcdms_data.types import InputError

    common = [name for name in poses if name in known]
    if not common:
        raise InputError(f"{table} names no picture of {pictures}, expected the same file names")
    return agreement(((poses[name], known[name]) for name in common), alpha)


def _agreement_json(result: Agreement, alpha: float) -> dict[str, object]:
    from pcdms_data.types import KEYPOINT_NAMES

    columns = {"found": result.found, "visible": result.visible, "missed": result.missed,
               "added": result.added}  # fmt: skip
    return {
        "alpha": alpha,
        "pckh": result.pckh if result.visible.any() else None,
        "compared": result.pictures,
        "without_head_size": result.skipped,
        "joints": {
            name: {key: int(column[joint]) for key, column in columns.items()}
            for joint, name in enumerate(KEYPOINT_NAMES)
        },
    }


def _print(
    summary: dict[str, object], compared: Agreement | None, alpha: float, as_json: bool
) -> None:
    if as_json:
        import json

        click.echo(json.dumps(summary, indent=2))
        return
    click.echo(
        f"{summary['pictures']} pictures by {summary['extractor']}: "
        f"{summary['joints_per_picture']} of 18 joints on average, "
        f"{summary['without_any_joint']} pictures without any"
    )
    if summary["file"]:
        click.echo(f"written: {summary['file']}")
    if compared is not None:
        from pcdms_data.pose_estimation.agreement import agreement_text

        click.echo(agreement_text(compared, alpha))
