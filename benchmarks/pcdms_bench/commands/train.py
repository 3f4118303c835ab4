"""`pcdms-bench train`: options in, handed to the training of the harness."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import debug_option, device_option

STAGES = ("encoders", "autoencoder", "prior", "inpaint", "refine", "all")

EXAMPLES = """\b
Examples:
  pcdms-bench train --stage all --preset tiny --dataset people --out my-weights
  pcdms-bench train --stage prior --steps 500 --out my-weights
"""


@click.command(epilog=EXAMPLES)
@click.option("--stage", required=True, help=f"Part to train: {', '.join(STAGES)}.")
@click.option("--preset", default="tiny", show_default=True, help="Model size, tiny or paper.")
@click.option("--dataset", default="people", show_default=True, help="Dataset to train on.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder of a dataset on disk [default: the variable PCDMS_DATA_ROOT].",
)
@click.option("--size", help="Size of an embedded dataset [default: the preset's recipe].")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Model directory to write; an unfinished training there is continued.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Training steps of each part [default: the preset's recipe].",
)
@click.option(
    "--pairs", type=click.IntRange(1), help="Training pairs to use [default: the preset's recipe]."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the training."
)
@click.option("--mixed-precision", default="no", show_default=True, help="no, bf16 or fp16.")
@device_option
@debug_option
def train(
    stage: str,
    preset: str,
    dataset: str,
    root: Path | None,
    size: str | None,
    out: Path,
    steps: int | None,
    pairs: int | None,
    seed: int,
    mixed_precision: str,
    device: str,
) -> int:
    """Train one part of the model on a training split, or all parts one after the other.

    Interrupt at any time: the same command continues from the last checkpoint.
    """
    from pcdms_bench.device import resolve_device
    from pcdms_bench.progress import Progress, State, silence_libraries
    from pcdms_bench.spec import PRESETS, SIZES
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.pairs import DATASETS

    check_choice("stage", stage, STAGES)
    check_choice("preset", preset, PRESETS)
    check_choice("dataset", dataset, DATASETS)
    check_choice("mixed precision", mixed_precision, ("no", "bf16", "fp16"))
    if size is not None:
        check_choice("size", size, SIZES)
    from pcdms_bench.training import TrainingRun, train_parts

    run = TrainingRun(
        preset=preset, dataset=dataset, out=out, root=root, size=size, steps=steps, pairs=pairs,
        seed=seed, device=resolve_device(device), mixed_precision=mixed_precision,
    )  # fmt: skip
    silence_libraries()
    with Progress() as progress:
        tasks: dict[str, State] = {}

        def show(part: str, step: int, steps: int, loss: float) -> None:
            if part not in tasks:
                tasks[part] = progress.follow(f"training {part}")
            tasks[part](step, steps, f"loss {loss:.4f}")

        train_parts(stage, run, show)
    click.echo(str(out))
    return 0
