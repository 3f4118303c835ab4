"""Training of a baseline through the same loop as the stages of `pcdms`: `train --method NAME`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save

from pcdms.training.loop import train
from pcdms.training.settings import TrainSettings
from pcdms_baselines.learned import CONFIG, WEIGHTS
from pcdms_baselines.training import TRAINABLE, Aid, Aids, trainable
from pcdms_bench.model_files import weights_directory
from pcdms_bench.suggestions import check_choice
from pcdms_bench.training import STAGES_OF, Report, TrainingRun
from pcdms_data.images import write_atomically
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError

SETTINGS = {
    "dptn": {
        "tiny": TrainSettings(steps=6000, batch_size=16, learning_rate=1e-3, weight_decay=0.0),
        "paper": TrainSettings(
            steps=600_000, batch_size=32, learning_rate=2e-4, weight_decay=0.0, warmup=0,
            schedule="linear", ema_decay=0.0, save_every=5000,
        ),
    },
    "cfld": {
        "tiny": TrainSettings(steps=4000, batch_size=8, learning_rate=1e-3),
        "paper": TrainSettings(
            steps=45_500, batch_size=224, learning_rate=1e-4, weight_decay=0.0, warmup=1000,
            schedule="constant", ema_decay=0.0, save_every=5000, mixed_precision="fp16",
        ),
    },
    "pidm": {
        "tiny": TrainSettings(steps=14_000, batch_size=8, learning_rate=1e-3, weight_decay=0.0),
        "paper": TrainSettings(
            steps=956_000, batch_size=64, learning_rate=2e-5, weight_decay=0.0, warmup=5000,
            schedule="constant", ema_decay=0.9999, save_every=5000,
        ),
    },
}  # fmt: skip
"""Settings by method and preset. DPTN's published training counts epochs, 100 at the full rate and
100 falling to 0, with another optimiser for the discriminator at a tenth of the rate. CFLD's warms
up from a tenth of the rate and falls to a tenth at epoch 50 of 100, which no schedule here does.
PIDM's is 300 epochs of 101,966 pairs in both directions, 64 rows a step."""

TINY_PAIRS = 12_000
TINY_FRAME = (96, 64)


def train_baseline(
    method: str, run: TrainingRun, perceptual: Path | None = None, progress: Report | None = None
) -> None:
    """Train a baseline and leave `config.json` and `model.safetensors` in `run.out`.

    `run --method-weights METHOD=OUT` uses the folder. `perceptual` is torchvision's VGG-19, which
    the preset `paper` of DPTN compares pictures with; methods that work in latents use the
    autoencoder of `--vae`, for the preset `tiny` the shipped one. The checkpoint, `loss.csv` and
    facts are below `out/training/METHOD`; running again continues. Every process of a launcher
    calls this.

    Raises:
        InputError: unknown names, options that act on `pcdms` only, or no training pairs.
    """
    check_choice("method to train", method, tuple(TRAINABLE))
    recipe = trainable(method)
    needs = recipe.NEEDS[run.preset]
    _check_options(method, run, needs, perceptual)
    settings = run.changed(SETTINGS[method][run.preset])
    tiny = run.preset == "tiny"
    pairs = load_pairs(
        run.dataset, root=run.root, split="train", resolution=TINY_FRAME if tiny else None,
        size=run.size or "full", limit=run.pairs or (TINY_PAIRS if tiny else None),
    )  # fmt: skip
    if not len(pairs):
        raise InputError(f"dataset {run.dataset!r} has no training pairs")
    torch.manual_seed(settings.seed)
    aids = Aids(run.device, perceptual, _autoencoder(method, run) if "vae" in needs else None)
    training = recipe.prepare(run.preset, list(pairs), pairs.resolution, aids)
    result = train(
        training.module, training.loss, training.rows, settings,
        run.out / "training" / method, run.device,
        (lambda step, steps, value: progress(method, step, steps, value)) if progress else None,
        None, run.tracker, run.fresh,
    )  # fmt: skip
    if PartialState().is_main_process:
        facts = {
            "dataset": run.dataset, "pairs": len(pairs), "preset": run.preset, **asdict(settings),
            "loss": result.loss, "seconds": result.seconds_total,
        }  # fmt: skip
        _write_json(run.out / "training" / method / "facts.json", facts)
        state, config = training.export(training.module)
        # Copies: two names of one tensor cannot share their memory in this format.
        halves = {
            name: value.to("cpu", torch.float16 if value.is_floating_point() else value.dtype)
            for name, value in state.items()
        }
        stored = save({name: value.clone().contiguous() for name, value in halves.items()})
        write_atomically(run.out / WEIGHTS, stored)
        _write_json(run.out / CONFIG, config)


def _autoencoder(method: str, run: TrainingRun) -> Path:
    """Return the folder of the autoencoder in whose latents a method works."""
    folder = dict(run.given).get("vae") or weights_directory(run.preset, None) / "vae"
    if not folder.is_dir():
        raise InputError(
            f"preset {run.preset!r} of {method} works in the latents of an autoencoder: --vae DIR"
        )
    return folder


def _check_options(
    method: str, run: TrainingRun, needs: tuple[Aid, ...], perceptual: Path | None
) -> None:
    """Raise InputError for options that have nothing to act on here, or are lacking."""
    for name in (*STAGES_OF, "recompute"):
        if getattr(run, name) not in (None, False):
            option = {"recompute": "gradient-checkpointing"}.get(name, name.replace("_", "-"))
            raise InputError(f"--{option} acts on pcdms, not on {method}: leave it out")
    idle = [part for part, _ in run.given if part != "vae" or "vae" not in needs]
    if idle:
        raise InputError(
            f"{' and '.join(idle)} given with --vae or --encoders: {method} has no use for that, "
            "leave it out"
        )
    people = run.dataset.startswith("people")
    if people and run.root is not None:
        raise InputError(f"--root acts on datasets on disk, not on {run.dataset!r}: leave it out")
    if not people and run.size is not None:
        raise InputError(f"--size acts on the embedded people, not on {run.dataset!r}")
    if "perceptual" in needs and perceptual is None:
        raise InputError(
            f"preset {run.preset!r} of {method} compares pictures with VGG-19: give torchvision's "
            "file with --perceptual vgg19-dcbb9e9d.pth"
        )
    if "perceptual" not in needs and perceptual is not None:
        raise InputError(
            f"--perceptual does nothing in preset {run.preset!r} of {method}: leave it out"
        )


def _write_json(path: Path, values: object) -> None:
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())
