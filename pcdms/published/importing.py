"""`import_published`: from a published checkpoint to a model, strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcdms.inpaint import InpaintModel
from pcdms.prior import PriorTransformer
from pcdms.published.checkpoint_file import read_checkpoint
from pcdms.published.keys import STAGES, PublishedStage, likely_stage, renamed, report
from pcdms.published.sizes import (
    Arguments,
    pose_channels,
    prior_arguments,
    projection_arguments,
    unet_arguments,
)
from pcdms.refine import RefineModel
from pcdms_data.types import InputError

PublishedModel = PriorTransformer | InpaintModel | RefineModel


@dataclass(frozen=True, eq=False)
class Imported:
    """A model read from a published checkpoint, and what is known of its file."""

    model: PublishedModel
    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    """Number types found in the file, such as `float16`."""
    assumed: dict[str, Any]
    """Settings that neither the shapes nor the configuration told: the published ones."""


def import_published(
    path: str | Path,
    stage: PublishedStage,
    config: Mapping[str, Any] | str | Path | None = None,
    trust_pickle: bool = False,
) -> PublishedModel:
    """Return the model of a published checkpoint, float32, in eval mode.

    Args:
        path: DeepSpeed container or plain state dict (also safetensors), any file name.
        stage: `prior`, `inpaint`, `refine` or `demo`; `demo` gives an `InpaintModel` without class
            embedding and embedding token.
        config: what shapes cannot tell (attention heads, norm groups, block types), a dict or JSON
            file in diffusers' own names; unknown and null entries are ignored. Default: the
            published values. Sizes always come from the shapes.
        trust_pickle: allow a file that holds more than tensors; loading it runs its code.

    Raises:
        InputError: the file cannot be read, or weights are missing, surplus or misshapen; the
            message lists them.
    """
    return read_published(path, stage, config, trust_pickle).model


def read_published(
    path: str | Path,
    stage: PublishedStage,
    config: Mapping[str, Any] | str | Path | None = None,
    trust_pickle: bool = False,
) -> Imported:
    """As `import_published`, with what is known of the file."""
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}, expected one of {', '.join(STAGES)}")
    path = Path(path)
    options = _options(config)
    stored = read_checkpoint(path, trust_pickle)
    state = renamed(stored, stage)
    try:
        model, assumed = _empty_model(state, stage, options)
    except (InputError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"{path}: {error}{_hint(stored, stage)}") from None
    problems = report(model.state_dict(), state)
    if problems:
        raise InputError(f"{path} is no {stage} checkpoint: {problems}{_hint(stored, stage)}")
    # Copies: the file is mapped into memory and may vanish while the model lives on.
    floats = {key: value.to(torch.float32, copy=True) for key, value in state.items()}
    model.load_state_dict(floats, strict=True, assign=True)
    kinds = {str(value.dtype).removeprefix("torch.") for value in state.values()}
    count = sum(value.numel() for value in state.values())
    return Imported(model.eval(), len(state), count, tuple(sorted(kinds)), assumed)


def _options(config: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """Return the configuration's entries; raises InputError where the file is no JSON object."""
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    try:
        values = json.loads(Path(config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{config}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{config}: holds {type(values).__name__}, expected a JSON object")
    return values


def _empty_model(
    state: Mapping[str, Tensor], stage: PublishedStage, options: Mapping[str, Any]
) -> tuple[PublishedModel, dict[str, Any]]:
    """Return the model without weights (on the meta device) and the settings that were assumed."""
    with torch.device("meta"):
        if stage == "prior":
            arguments = prior_arguments(state, options)
            return PriorTransformer(**arguments.values), arguments.assumed
        unet: Arguments = unet_arguments(
            state, options, label=stage == "inpaint", mask=stage != "refine"
        )
        projection = projection_arguments(state)
        if stage == "refine":
            return RefineModel(unet.values, **projection), unet.assumed
        model = InpaintModel(
            unet.values, pose_channels(state), **projection, embedding_token=stage == "inpaint"
        )
        return model, unet.assumed


def _hint(stored: Mapping[str, Tensor], stage: PublishedStage) -> str:
    """Return what to try where the names are those of another stage, else nothing."""
    found = likely_stage(stored)
    if found in (None, stage):
        return ""
    return f"; its names are those of stage {found}"
