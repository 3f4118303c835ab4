"""A published checkpoint into a model directory, with autoencoder and encoders where given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pcdms.model_directory import Given, check_fit, empty_part, load_part, missing_parts, save_part
from pcdms.pipeline_config import EncoderInput, PipelineConfig, load_pipeline_config
from pcdms.presets import PRESETS
from pcdms.published.importing import Imported, read_published
from pcdms.published.keys import PublishedStage
from pcdms.schedulers import LatentSchedule
from pcdms.stages import PARTS
from pcdms_data.types import InputError

DEMO = replace(
    PRESETS["paper"].pipeline,
    name="demo",
    inpaint_schedule=LatentSchedule(sampler="ddim"),
    steps=50,
)
"""The authors' simplified demo: stage `inpaint` alone, DDIM in 50 steps.

Source: tencent-ailab/PCDMs:pcdms_kaggle_demo.ipynb.
"""


@dataclass(frozen=True, eq=False)
class DirectoryReport:
    """What an import left: the model's facts, the parts written, and those still missing."""

    imported: Imported
    part: str
    written: tuple[str, ...]
    missing: tuple[str, ...]
    pipeline: PipelineConfig


def import_to_directory(
    path: Path,
    stage: PublishedStage,
    out: Path,
    config: Path | None = None,
    trust_pickle: bool = False,
    given: Given | None = None,
    frame: tuple[int, int] | None = None,
) -> DirectoryReport:
    """Write the model of a published checkpoint below `out` and report.

    `out` may hold other parts already; `pipeline.json` is written for the published model where
    there is none. `given` = {part: folder} is converted and written too. `frame` = (H, W) is the
    size of the pictures that the checkpoint was trained on, 512x512 unless given. Nothing is
    written when something does not fit.
    """
    pipeline = _pipeline_of(out, stage, frame)
    imported = read_published(path, stage, config, trust_pickle)
    part: str = "inpaint" if stage == "demo" else stage
    parts: dict[str, Any] = {part: imported.model}
    half: dict[str, bool] = {part: imported.dtypes == ("float16",)}
    for name in given or {}:
        parts[name] = load_part(out, name, given)
        half[name] = False
    if "image_encoder" in parts:
        pipeline = _with_input(pipeline, parts["image_encoder"].config.image_size)
    check_fit(pipeline, _beside(out, parts), out)
    out.mkdir(parents=True, exist_ok=True)
    for name, model in parts.items():
        save_part(out, name, model, half[name])
    pipeline.save(out / "pipeline.json")
    needed = ("inpaint", "vae", "source_encoder") if stage == "demo" else PARTS
    return DirectoryReport(
        imported, part, tuple(parts), tuple(missing_parts(out, needed)), pipeline
    )


def _pipeline_of(out: Path, stage: PublishedStage, frame: tuple[int, int] | None) -> PipelineConfig:
    """Return the configuration of the directory, or that of the published model."""
    published = DEMO if stage == "demo" else PRESETS["paper"].pipeline
    path = out / "pipeline.json"
    pipeline = load_pipeline_config(path) if path.is_file() else published
    for name in ("inpaint", "refine"):
        field = f"{name}_schedule"
        own, wanted = getattr(pipeline, field), getattr(published, field)
        if stage in (name, "demo") and own != wanted:
            raise InputError(
                f"{path}: its {field} is not that of the published {stage} checkpoint: "
                "give another --out"
            )
    if frame is None:
        return pipeline
    for side in frame:
        if side % 8:
            raise InputError(f"frame {frame[0]}x{frame[1]}: expected multiples of 8")
    return replace(pipeline, frame=frame)


def _with_input(pipeline: PipelineConfig, size: int) -> PipelineConfig:
    """Return the configuration that feeds the image encoder the size it was made for."""
    return replace(pipeline, image_encoder=EncoderInput(pipeline.image_encoder.first_resize, size))


def _beside(out: Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parts, those of the directory without weights, so that widths can be compared."""
    known = dict(parts)
    for name in set(PARTS) - set(missing_parts(out)) - set(parts):
        known[name] = empty_part(out, name)
    return {name: known.get(name) for name in PARTS}
