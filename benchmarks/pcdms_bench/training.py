"""Training composed: options checked against what they could act on, then one part after another.

The parts are in `training_parts.py`; the loop itself (`pcdms.training.loop`) knows no dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pcdms.method import PRETRAINED
from pcdms.null_conditions import NullMode
from pcdms.part_sources import given_parts
from pcdms.presets import PRESETS
from pcdms.training.pretrained_start import Start
from pcdms.training.recipes import NETWORKS_OF, RECIPES, Recipe
from pcdms.training.settings import TrainSettings
from pcdms_data.types import InputError

Report = Callable[[str, int, int, float], None]
"""(part, step, steps, loss) after every step."""

Say = Callable[[str], None]
"""Shows one line, such as the size of a cache before it is built."""

STAGES_OF = {
    "known_weight": ("inpaint",),
    "person_weight": ("inpaint", "refine"),
    "min_snr": ("prior", "inpaint", "refine"),
    "null": ("prior", "inpaint", "refine"),
    "drop": ("prior", "inpaint", "refine"),
    "noise_offset": ("prior", "inpaint", "refine"),
    "coarse": ("refine",),
    "cache": ("prior", "inpaint", "refine"),
    "cache_only": ("prior", "inpaint", "refine"),
    "start_from": ("prior", "inpaint", "refine"),
    "validate_every": ("autoencoder", "prior", "inpaint", "refine"),
}
"""Options that act in some stages only; given for others they are an error."""


@dataclass(frozen=True)
class TrainingRun:
    """One training: what is trained on what, how, and where the model directory grows.

    None takes the value of the preset's recipe. `warmup` None with another number of `steps` is at
    most a tenth of them. `given` are parts that lie elsewhere (`--vae`, `--encoders`).
    """

    preset: str
    dataset: str
    out: Path
    root: Path | None = None
    size: str | None = None
    steps: int | None = None
    pairs: int | None = None
    seed: int = 0
    device: str = "cpu"
    mixed_precision: str = "no"
    learning_rate: float | None = None
    batch_size: int | None = None
    warmup: int | None = None
    schedule: str | None = None
    ema_decay: float | None = None
    save_every: int | None = None
    accumulation: int = 1
    recompute: bool = False
    known_weight: float | None = None
    person_weight: float | None = None
    min_snr: float | None = None
    null: NullMode | None = None
    drop: float | None = None
    noise_offset: float | None = None
    coarse: str | None = None
    given: tuple[tuple[str, Path], ...] = ()
    start_from: str | None = None
    start: Start = "padded"
    cache: Path | None = None
    cache_only: bool = False
    tracker: str | None = None
    validate_every: int | None = None
    validation_pairs: int | None = None
    validation_split: str | None = None
    fresh: bool = False

    def settings(self, network: str) -> TrainSettings:
        """Return the settings of one network: the recipe's with this run's changes."""
        return self.changed(RECIPES[self.preset].settings[network])

    def changed(self, recipe: TrainSettings) -> TrainSettings:
        """Return settings with this run's changes."""
        steps = self.steps or recipe.steps
        warmup = recipe.warmup if self.steps is None else min(recipe.warmup, steps // 10)
        changes = {
            name: getattr(self, name)
            for name in ("learning_rate", "batch_size", "schedule", "ema_decay", "save_every")
            if getattr(self, name) is not None
        }
        return replace(
            recipe,
            steps=steps,
            warmup=warmup if self.warmup is None else self.warmup,
            seed=recipe.seed + self.seed,
            mixed_precision=self.mixed_precision,
            accumulation=self.accumulation,
            recompute=self.recompute,
            **changes,
        )

    def recipe(self) -> Recipe:
        """Return the recipe with this run's changes of the losses."""
        recipe = RECIPES[self.preset]
        names = {field.name for field in fields(Recipe)} & set(STAGES_OF)
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(recipe, **changes)


def train_parts(
    stage: str, run: TrainingRun, progress: Report | None = None, say: Say | None = None
) -> None:
    """Train one part, or all in order, into the model directory `run.out`.

    Each part leaves its weights under `out/<part>` and its checkpoint, losses, validation and a
    line of facts under `out/training`. Running again continues. Every process of a launcher calls
    this.

    Raises:
        InputError: unknown names, options that could not act, a part that this one needs is
            missing, or other settings than those of the checkpoint.
    """
    stages = planned_stages(stage, run)
    check_options(stages, run)
    from pcdms_bench.training_parts import Trainer

    trainer = Trainer(run, progress, say)
    for part in stages:
        trainer.train(part)


def given_to_training(vae: str | None, encoders: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Return (part, folder) of what `--vae` and `--encoders` name; `shipped` is the package's own.

    Raises:
        InputError: a folder or cached model does not exist or holds no such part.
    """
    folders: list[str | Path] = [PRETRAINED if name == "shipped" else name for name in encoders]
    return tuple(given_parts(PRETRAINED if vae == "shipped" else vae, folders).items())


def planned_stages(stage: str, run: TrainingRun) -> list[str]:
    """Return the stages that `stage` stands for, in order, without those that are given."""
    if run.preset not in PRESETS:
        raise InputError(f"unknown preset {run.preset!r}, expected one of {', '.join(PRESETS)}")
    settings = RECIPES[run.preset].settings
    known = [name for name, nets in NETWORKS_OF.items() if set(nets) <= set(settings)]
    if stage not in (*known, "all"):
        raise InputError(
            f"preset {run.preset!r} does not train {stage!r}, "
            f"expected one of {', '.join(known)} or all"
        )
    if stage != "all":
        return [stage]
    given = {name for name, _ in run.given}
    return [name for name in known if not given & set(NETWORKS_OF[name])]


def check_options(stages: list[str], run: TrainingRun) -> None:
    """Raise InputError for an option that is out of range or has nothing to act on."""
    for name, where in STAGES_OF.items():
        if getattr(run, name) not in (None, False) and not set(stages) & set(where):
            raise InputError(
                f"--{name.replace('_', '-')} acts in stage {', '.join(where)}, "
                f"not in {', '.join(stages)}: leave it out"
            )
    for part, folder in run.given:
        if any(part in NETWORKS_OF[stage] for stage in stages):
            raise InputError(f"{folder}: the part {part!r} is given and to be trained, choose one")
    people = run.dataset.startswith("people")
    if people and run.root is not None:
        raise InputError(f"--root acts on datasets on disk, not on {run.dataset!r}: leave it out")
    if not people and run.size is not None:
        raise InputError(
            f"--size acts on the embedded people, not on {run.dataset!r}: leave it out"
        )
    if "encoders" in stages and not people:
        raise InputError(
            f"the encoders of preset {run.preset!r} learn labels that only the renderer of the "
            f"embedded people knows: on {run.dataset!r} give others with --encoders DIR, or the "
            "shipped ones with --encoders shipped"
        )
    _check_company(stages, run)
    _check_ranges(run)


def _check_company(stages: list[str], run: TrainingRun) -> None:
    """Refuse options that need, or exclude, another one."""
    if run.validate_every is None and (run.validation_pairs or run.validation_split):
        raise InputError("--validation-pairs and --validation-split need --validate-every")
    if run.start_from is not None and len(stages) > 1:
        raise InputError("--start-from acts on one stage: name it with --stage")
    if run.cache_only and (run.tracker or run.validate_every):
        raise InputError("--cache-only trains nothing: leave out --tracker and --validate-every")


def _check_ranges(run: TrainingRun) -> None:
    for name, low, high in (
        ("drop", 0.0, 1.0),
        ("known_weight", 0.0, None),
        ("person_weight", 0.0, None),
        ("noise_offset", 0.0, None),
    ):
        value = getattr(run, name)
        if value is not None and not (value >= low and (high is None or value < high)):
            most = "" if high is None else f" and below {high:g}"
            raise InputError(f"--{name.replace('_', '-')} {value}: expected {low:g} or more{most}")
    if run.min_snr is not None and not run.min_snr > 0:
        raise InputError(f"--min-snr {run.min_snr}: expected a number above 0, for example 5")
