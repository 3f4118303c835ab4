"""`pcdms-bench reid`: re-identification trained with and without generated pictures."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdms_bench.commands.dataset_options import root_option, size_option
from pcdms_bench.commands.options import debug_option, device_option, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcdms_bench.reid.cells import CellResult
    from pcdms_bench.reid.experiment import Experiment

EXAMPLES = """\b
Examples:
  pcdms-bench run --dataset people-street --split train --methods limb-warp --limit 2000 \\
      --metrics l1 --out runs/train
  pcdms-bench reid --dataset people-street --runs runs/train --fractions 20,100 --out runs/reid
  pcdms-bench table reid --runs runs/reid
"""
HEADINGS = ("share", "generated of", "real", "generated", "mAP", "Rank-1", "Rank-5", "Rank-10")
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(epilog=EXAMPLES)
@click.option(
    "--dataset", default="people-street", show_default=True, help="people-street or market1501."
)
@root_option
@size_option
@click.option(
    "--runs",
    default="",
    help="Comma-separated run folders on the training split, or folders with some "
    "[default: none, real pictures only].",
)
@click.option(
    "--fractions",
    default="20,40,60,80,100",
    show_default=True,
    help="Percentages of the real training pictures, drawn per person by seed.",
)
@click.option(
    "--generated",
    "rule",
    default="all",
    show_default=True,
    help="Which generated pictures join a share: all whose source is kept, or rest (one for each "
    "real picture left out).",
)
@click.option("--preset", default="tiny", show_default=True, help="Network size, tiny or paper.")
@click.option(
    "--start-from",
    "start",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of torchvision's ImageNet weights for the network [default: a random start].",
)
@click.option("--steps", type=click.IntRange(2), help="Training steps [default: the preset's].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--repeat-seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Train with this many seeds from --seed on, and give mean and deviation over them.",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("runs/reid"),
    show_default=True,
    help="Folder of the results.",
)
@click.option("--dry-run", is_flag=True, help="Print how many pictures each cell has, and stop.")
@device_option
@json_option
@debug_option
def reid(
    dataset: str, root: Path | None, size: str, runs: str, fractions: str, rule: str, preset: str,
    start: Path | None, steps: int | None, seed: int, repeat_seeds: int, out: Path, dry_run: bool,
    device: str, as_json: bool,
) -> int:  # fmt: skip
    """Train a re-identification network on shares of the real pictures, alone and with generated.

    Writes OUT/reid.csv (mAP and Rank-1 of each network) and a folder per network. A finished
    network is not trained again; an interrupted command goes on where it stopped.
    """
    from pcdms.training.accelerators import process_number
    from pcdms_bench.progress import Progress
    from pcdms_bench.reid.experiment import ReidRequest, plan_experiment, run_experiment
    from pcdms_bench.reid.subsets import parse_fractions
    from pcdms_data.types import InputError

    if process_number()[1] > 1:
        raise InputError("reid trains in one process, expected no launcher of several")
    request = ReidRequest(
        dataset=dataset, root=root, size=size,
        runs=tuple(Path(part.strip()) for part in runs.split(",") if part.strip()),
        fractions=parse_fractions(fractions), rule=rule, out=out, preset=preset, start=start,
        steps=steps, seed=seed, repeat_seeds=repeat_seeds, device=device,
    )  # fmt: skip
    with Progress(silent=as_json) as progress:
        experiment = plan_experiment(request, progress)
        if dry_run:
            _print_plan(experiment, as_json)
            return 0
        results = run_experiment(experiment, progress, lambda one: _say(one, as_json))
    if as_json:
        rows = [
            {**asdict(one.row), "rates": one.rates, "seconds": one.seconds} for one in results
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_table(experiment, results)
        click.echo(str(out / "reid.csv"))
    return 0


def _print_plan(experiment: Experiment, as_json: bool) -> None:
    """Print the cells of a command; nothing was written."""
    cells = [
        {
            "cell": cell.name, "real_pictures": len(cell.real),
            "generated_pictures": len(cell.generated),
        }
        for cell in experiment.cells
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(cells, indent=2))
        return
    _print_common(experiment)
    for one in cells:
        click.echo(
            f"{one['cell']}: {one['real_pictures']} real and {one['generated_pictures']} "
            "generated pictures"
        )


def _print_common(experiment: Experiment) -> None:
    setting = experiment.setting
    click.echo(
        f"{setting.dataset}: {setting.label}; {setting.askable} queries against "
        f"{len(setting.gallery.shown)} pictures"
    )
    for method, persons in experiment.covered.items():
        click.echo(f"{method} has pictures of {persons} of {len(setting.persons)} persons")


def _say(result: CellResult, as_json: bool) -> None:
    """Tell, on stderr, that a cell is finished."""
    if as_json or not result.trained:
        return
    row = result.row
    click.echo(
        f"{row.fraction} % {row.method} seed {row.seed}: mAP {row.map:.1f}, {result.seconds:.0f} s",
        err=True,
    )


def _print_table(experiment: Experiment, results: Sequence[CellResult]) -> None:
    """Print a line per share and method, the mean over seeds; scores in percent."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    _print_common(experiment)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in (
        "share",
        "generated of",
        "real",
        "generated",
        "mAP",
        "Rank-1",
        "Rank-5",
        "Rank-10",
    ):
        table.add_column(name, justify="left" if name == "generated of" else "right")
    groups: dict[tuple[int, str], list[CellResult]] = {}
    for one in results:
        groups.setdefault((one.row.fraction, one.row.method), []).append(one)
    for (fraction, method), own in groups.items():
        known = [one for one in own if one.row.map is not None]
        rows = [one.row for one in own]
        table.add_row(
            f"{fraction} %",
            method,
            _over([float(row.real_pictures) for row in rows], 0),
            _over([float(row.generated_pictures) for row in rows], 0),
            _over([one.row.map or 0.0 for one in known]),
            *(_over([one.rates[rank] for one in known]) for rank in (1, 5, 10)),
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 140))
    console.print(table)
    for reason in dict.fromkeys(one.row.reason for one in results if one.row.reason):
        click.echo(reason)


def _over(values: Sequence[float], digits: int = 1) -> str:
    """Return the mean over seeds, with the deviation of the sample where they differ."""
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(set(values)) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"
