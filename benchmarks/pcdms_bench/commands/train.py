"""`pcdms-bench train`: options in, handed to the training of the harness."""

from __future__ import annotations

from pathlib import Path

import click

from pcdms_bench.commands.options import (
    debug_option,
    device_option,
    encoders_option,
    vae_option,
)

STAGES = ("encoders", "autoencoder", "prior", "inpaint", "refine", "all")
SHIPPED = "shipped"
FOLDER = click.Path(path_type=Path, file_okay=False)
COUNT = click.IntRange(1)

EXAMPLES = """\b
Examples:
  pcdms-bench train --stage all --preset tiny --dataset people --out my-weights
  pcdms-bench train --method dptn --preset tiny --out dptn-tiny
  pcdms-bench train --stage prior --dataset folder --root my-data --encoders shipped --out w
  accelerate launch --config_file CONFIG -m pcdms_bench train --stage inpaint --preset paper
      --dataset deepfashion --root DIR --vae VAE --encoders DIR --out w
Ready-made configurations for accelerate lie in the package: pcdms/configs/*.yaml.
"""


@click.command(epilog=EXAMPLES)
@click.option("--stage", help=f"Part of pcdms to train: {', '.join(STAGES)}.")
@click.option("--method", help="Train a baseline instead; an unknown name lists them.")
@click.option("--preset", default="tiny", show_default=True, help="Model size, tiny or paper.")
@click.option("--dataset", default="people", show_default=True, help="Dataset to train on.")
@click.option("--root", type=FOLDER, help="Folder of a dataset on disk [default: PCDMS_DATA_ROOT].")
@click.option("--size", help="Size of an embedded dataset [default: the preset's recipe].")
@click.option(
    "--out",
    type=FOLDER,
    required=True,
    help="Model directory to write; an unfinished training there is continued.",
)
@click.option("--fresh", is_flag=True, help="Begin anew: delete the checkpoint of the part first.")
@click.option("--pairs", type=COUNT, help="Training pairs to use [default: the recipe].")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--steps", type=COUNT, help="Training steps of each part [default: the recipe].")
@click.option(
    "--batch-size",
    type=COUNT,
    help="Rows per step, over all processes and micro-batches [default: the recipe].",
)
@click.option(
    "--accumulation",
    type=COUNT,
    help="Micro-batches per step and process [default: the launcher's, or 1].",
)
@click.option("--learning-rate", type=float, help="Full learning rate [default: the recipe].")
@click.option("--schedule", help="cosine, linear or constant, after the warm-up [default: recipe].")
@click.option("--warmup", type=click.IntRange(0), help="Steps of linear warm-up [default: recipe].")
@click.option(
    "--ema",
    "ema_decay",
    type=float,
    help="Decay of the averaged weights that ship; 0 keeps none [default: the recipe].",
)
@click.option("--mixed-precision", help="no, bf16 or fp16 [default: the launcher's, or no].")
@click.option(
    "--gradient-checkpointing",
    "recompute",
    is_flag=True,
    help="Less memory, more time: compute activations twice.",
)
@click.option("--save-every", type=COUNT, help="Steps between checkpoints [default: the recipe].")
@click.option("--drop", type=float, help="Probability of dropped conditions [default: recipe].")
@click.option(
    "--null",
    help="Null condition taught: published (what the released sampler feeds) "
    "or trained (what the released training fed) [default: the recipe].",
)
@click.option("--noise-offset", type=float, help="Shift of the noise [default: the recipe].")
@click.option("--min-snr", type=float, help="Cap of the signal-to-noise weight, for example 5.")
@click.option("--known-weight", type=float, help="Weight of the source's half in stage inpaint.")
@click.option("--person-weight", type=float, help="Weight added on the person (needs masks).")
@click.option(
    "--coarse",
    help="Coarse pictures of stage refine from the target's embedding: truth "
    "(as published) or prior (as in use) [default: the recipe].",
)
@click.option(
    "--perceptual",
    type=click.Path(path_type=Path, dir_okay=False),
    help="torchvision's VGG-19, for --method dptn --preset paper.",
)
@click.option("--start-from", help="Pretrained network to start at: folder or cached hub id.")
@click.option(
    "--start",
    default="padded",
    show_default=True,
    help="How: published (first convolution anew) or padded (copied, new channels 0).",
)
@vae_option
@encoders_option
@click.option("--cache", type=FOLDER, help="Folder of the caches [default: OUT/training/cache].")
@click.option("--cache-only", is_flag=True, help="Build the stage's caches and stop.")
@click.option("--tracker", help="Tracker of accelerate by name, for example tensorboard.")
@click.option("--validate-every", type=COUNT, help="Steps between pictures and scores.")
@click.option("--validation-pairs", type=COUNT, help="How many pairs they show [default: 8].")
@click.option("--validation-split", help="Split of these pairs [default: val, else test].")
@device_option
@debug_option
def train(
    stage: str | None, method: str | None, preset: str, dataset: str, root: Path | None,
    size: str | None, out: Path, fresh: bool, pairs: int | None, seed: int,
    steps: int | None, batch_size: int | None,
    accumulation: int | None, learning_rate: float | None, schedule: str | None,
    warmup: int | None, ema_decay: float | None, mixed_precision: str | None, recompute: bool,
    save_every: int | None, drop: float | None, null: str | None, noise_offset: float | None,
    min_snr: float | None, known_weight: float | None, person_weight: float | None,
    coarse: str | None, perceptual: Path | None,
    start_from: str | None, start: str, vae: str | None,
    encoders: tuple[str, ...], cache: Path | None, cache_only: bool, tracker: str | None,
    validate_every: int | None, validation_pairs: int | None, validation_split: str | None,
    device: str,
) -> int:  # fmt: skip
    """Train one part of the model on a training split, or all parts one after the other.

    Interrupt at any time: the same command continues from the last checkpoint. Several processes
    are started with `accelerate launch -m pcdms_bench train ...`; a step then has the same rows in
    all, shared out. What the frozen parts say of the pictures is computed once and cached.
    """
    from pcdms_bench.device import resolve_device
    from pcdms_bench.progress import Progress, State, silence_libraries
    from pcdms_bench.spec import NULLS, PRESETS, SIZES
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.pairs import DATASETS

    _check_wanted(stage, method, perceptual)
    check_choice("preset", preset, PRESETS)
    check_choice("dataset", dataset, DATASETS)
    for name, value, choices in (
        ("mixed precision", mixed_precision, ("no", "bf16", "fp16")),
        ("size", size, SIZES),
        ("schedule", schedule, ("cosine", "linear", "constant")),
        ("null", null, NULLS),
        ("coarse", coarse, ("truth", "prior")),
        ("start", start, ("published", "padded")),
    ):
        if value is not None:
            check_choice(name, value, choices)
    from pcdms.training.accelerators import (
        agreed_accumulation,
        agreed_precision,
        check_tracker,
        connected,
        process_number,
    )
    from pcdms_bench.training import TrainingRun, given_to_training, train_parts

    check_tracker(tracker)
    run = TrainingRun(
        preset=preset, dataset=dataset, out=out, root=root, size=size, steps=steps, pairs=pairs,
        seed=seed, device=resolve_device(device), mixed_precision=agreed_precision(mixed_precision),
        learning_rate=learning_rate, batch_size=batch_size, warmup=warmup, schedule=schedule,
        ema_decay=ema_decay, save_every=save_every, accumulation=agreed_accumulation(accumulation),
        recompute=recompute, known_weight=known_weight, person_weight=person_weight,
        min_snr=min_snr, null=null,  # type: ignore[arg-type]
        drop=drop, noise_offset=noise_offset, coarse=coarse,
        given=given_to_training(vae, encoders), start_from=start_from,
        start=start,  # type: ignore[arg-type]
        cache=cache, cache_only=cache_only, tracker=tracker, validate_every=validate_every,
        validation_pairs=validation_pairs, validation_split=validation_split, fresh=fresh,
    )  # fmt: skip
    silence_libraries()
    first = process_number()[0] == 0
    with connected(), Progress(silent=not first) as progress:
        tasks: dict[str, State] = {}

        def show(part: str, step: int, steps: int, loss: float) -> None:
            if part not in tasks:
                title = part if part.startswith("cache") else f"training {part}"
                tasks[part] = progress.follow(title)
            tasks[part](step, steps, f"loss {loss:.4f}" if loss else "")

        if stage is not None:
            train_parts(stage, run, show, lambda line: click.echo(line, err=True))
        else:
            from pcdms_bench.training_baseline import train_baseline

            train_baseline(str(method), run, perceptual, show)
    if first:
        click.echo(str(out))
    return 0


def _check_wanted(stage: str | None, method: str | None, perceptual: Path | None) -> None:
    """Raise InputError unless one thing is to be trained, and with options that act on it."""
    from pcdms_bench.suggestions import check_choice
    from pcdms_data.types import InputError

    if (stage is None) == (method is None):
        raise InputError("expected --stage, or --method for another method than pcdms")
    if stage is not None:
        check_choice("stage", stage, STAGES)
        if perceptual is not None:
            raise InputError("--perceptual acts with --method: leave it out")
