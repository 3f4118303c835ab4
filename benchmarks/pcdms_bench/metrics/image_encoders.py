"""CLIP and DINOv2 of transformers as functions from normalised pictures to embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pcdms_bench.metrics.encoder_folders import WEIGHTS, encoder_settings
from pcdms_data.types import InputError

Embed = Callable[[torch.Tensor], torch.Tensor]
"""Normalised float32 (B, 3, S, S) -> (B, D)."""


def load_clip(folder: Path, device: str) -> Embed:
    """Return the projected embedding of a CLIP vision model."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
    # A full CLIP says it outside the part that describes its vision model.
    config.projection_dim = encoder_settings(folder, "clip").width
    model = _load(CLIPVisionModelWithProjection, folder, config).to(device)
    return lambda pixels: model(pixel_values=pixels).image_embeds


def load_dinov2(folder: Path, device: str) -> Embed:
    """Return the class token of a DINOv2 model after its final norm."""
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config.from_pretrained(folder, local_files_only=True)
    model = _load(Dinov2Model, folder, config).to(device)
    return lambda pixels: model(pixel_values=pixels).pooler_output


def _load(kind: Any, folder: Path, config: Any) -> Any:
    """Return a model in eval mode; every weight must be in the folder's safetensors file."""
    try:
        with _quiet():
            model, report = kind.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True,
                output_loading_info=True, dtype=torch.float32,
            )  # fmt: skip
    except Exception as error:  # the library raises many kinds
        raise InputError(f"{folder}: {' '.join(str(error).split())[:300]}") from error
    missing = sorted(report["missing_keys"])
    if missing or report["mismatched_keys"]:
        names = ", ".join(missing[:3]) or "of other shapes"
        raise InputError(f"{folder / WEIGHTS} does not fit config.json: missing {names}")
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from listing the weights that are not needed; what lacks is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
