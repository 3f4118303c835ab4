"""`pipeline.json`: how the parts of one model directory are used together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pcdms.schedulers import LatentSchedule
from pcdms_data.types import InputError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class EncoderInput:
    """Preprocessing of one encoder: Pillow bicubic to `first_resize` (H, W), then to size x size.

    The published code stretches to 512 x 512 first and lets CLIPImageProcessor shrink that to 224;
    `first_resize=None` goes to the square at once. CLIP's mean and standard deviation in both.
    """

    first_resize: tuple[int, int] | None
    size: int


@dataclass(frozen=True)
class PipelineConfig:
    """Frame, preprocessing, schedules and sampling defaults of a model directory.

    `frame` = (H, W) of the pictures the model reads and writes. `steps` and `guidance` are the
    defaults of the stages `inpaint` and `refine` (guidance acts above 1).
    """

    name: str
    frame: tuple[int, int]
    image_encoder: EncoderInput
    source_encoder: EncoderInput
    inpaint_schedule: LatentSchedule
    refine_schedule: LatentSchedule
    prior_steps: int = 20
    steps: int = 20
    guidance: float = 2.0
    pose_drawing: str = "openpose18"

    def save(self, path: Path) -> None:
        """Write the configuration as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def _strict(kind: type, values: Any, path: Path) -> dict[str, Any]:
    """Return `values` if they are exactly fields of `kind`; raises InputError naming the others."""
    names = {f.name for f in fields(kind)}
    if not isinstance(values, dict) or not set(values) <= names:
        surplus = sorted(set(values) - names) if isinstance(values, dict) else values
        raise InputError(f"{path}: unknown entries {surplus} for {kind.__name__}")
    return values


def load_pipeline_config(path: Path) -> PipelineConfig:
    """Return the configuration in `path`; raises InputError on a missing or surplus entry."""
    try:
        values = _strict(PipelineConfig, json.loads(path.read_text(encoding="utf-8")), path)
        for name in ("image_encoder", "source_encoder"):
            entry = _strict(EncoderInput, values[name], path)
            first = entry["first_resize"]
            values[name] = EncoderInput(tuple(first) if first else None, int(entry["size"]))
        for name in ("inpaint_schedule", "refine_schedule"):
            values[name] = LatentSchedule(**_strict(LatentSchedule, values[name], path))
        values["frame"] = (int(values["frame"][0]), int(values["frame"][1]))
        return PipelineConfig(**values)
    except FileNotFoundError:
        raise InputError(f"{path}: not found, expected a model directory with this file") from None
    except (json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: not a pipeline configuration ({error})") from None
