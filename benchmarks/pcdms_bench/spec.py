"""A run's specification: what decides the pictures, and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from pcdms_bench.suggestions import unknown
from pcdms_data.types import InputError

SIZES = ("smoke", "mini", "full")
SPLITS = ("test", "val", "train")
PRESETS = ("tiny", "paper")
SELECTIONS = ("first", "mean", "oracle-ssim")
NULLS = ("published", "trained")
FINAL_SIGMAS = ("sigma_min", "zero")
DTYPES = ("float32", "bfloat16", "float16")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class RunSpec:
    """The choices behind the pictures of one run folder.

    Protocols, metrics, limit, batch size and device are absent on purpose: they do not change a
    picture. A method that does not use a choice has it empty (None or ""), so that changing an
    option which cannot change its pictures does not generate them again.
    """

    dataset: str
    """Dataset in the spelling of the command line."""
    size: str
    """Size of an embedded dataset (`smoke`, `mini`, `full`); empty for a dataset on disk."""
    data_seed: int
    """Seed of an embedded dataset."""
    split: str
    resolution: str
    """Output frame `HxW` in pixels, in which the pictures are stored."""
    method: str
    stages: str
    """Stages joined by `+` in pipeline order."""
    preset: str
    weights: str
    """First 8 hex digits of the SHA-256 over the method's weight files."""
    seed: int
    samples: int
    selection: str
    """Which sample of a stage the next stage and the scores take."""
    steps: int | None
    guidance: float | None
    guidance_rescale: float | None
    null: str
    final_sigma: str
    dtype: str
    chunk: int | None
    """Pairs per forward pass; the last pass is padded to it."""
    refine_over: str
    """`METHOD@RUN` whose pictures the stage refine reads; empty for the run's own."""
    convention: str = ""
    """How the dataset's pictures were made (`lowres_crop`, `highres_resize`); empty for people."""
    guidance_interval: str = ""
    """Part of the time in which guidance acts, `FROM-TO`; empty for all of it."""
    prior_steps: int | None = None
    """Steps of the stage `prior` where they are not the weights' own."""
    channels_last: bool = False
    compile: str = ""
    """Mode of `torch.compile`; other kernels differ in the last bits."""

    def canonical_json(self) -> str:
        """Return the one JSON text of these values: sorted keys, no blanks, ASCII.

        A field with a default is left out at its default: one that is added later does not rename
        the folders of earlier runs.
        """
        values = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def hash8(self) -> str:
        """First 8 hex digits of the SHA-256 of the canonical JSON; names the run folder."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()[:8]

    @property
    def frame(self) -> tuple[int, int]:
        """The output frame (H, W) in pixels."""
        return parse_resolution(self.resolution)

    def to_json(self) -> str:
        """Return the text of `spec.json`: the fields in their order, one a line."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "spec.json") -> RunSpec:
        """Return the specification in `text`; raises InputError on any missing or unknown key."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"{where} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise InputError(f"{where} holds {type(values).__name__}, expected a JSON object")
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                raise InputError(unknown("key", key, names, where))
        missing = [
            field.name
            for field in fields(cls)
            if field.name not in values and field.default is MISSING
        ]
        if missing:
            raise InputError(f"{where} lacks {', '.join(missing)}")
        for field in fields(cls):
            if field.name in values:
                values[field.name] = _typed(values[field.name], str(field.type), field.name, where)
        return cls(**values)


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "float | None": (float, int, type(None)),
}


def _typed(value: object, kind: str, name: str, where: str) -> object:
    """Return `value` of the annotated type; bool is not an int, an int is a fine float."""
    if isinstance(value, bool) != (kind == "bool") or not isinstance(value, _TYPES[kind]):
        raise InputError(f"{where}: {name} is {value!r}, expected {kind}")
    return float(value) if kind.startswith("float") and isinstance(value, int) else value


def read_spec(path: Path) -> RunSpec:
    """Return the specification stored in a `spec.json` file."""
    try:
        return RunSpec.from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def parse_resolution(text: str) -> tuple[int, int]:
    """Return (H, W) of `HxW`; raises InputError unless both are whole numbers from 1 to 4096."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        height, width = int(parts[0]), int(parts[1])
        if 1 <= height <= 4096 and 1 <= width <= 4096:
            return height, width
    raise InputError(f"resolution {text!r}: expected HEIGHTxWIDTH, for example 96x64")
