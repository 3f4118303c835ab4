"""A user's folder of an image encoder, as transformers saves it: what it holds, before loading."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.types import InputError

WEIGHTS = "model.safetensors"
WIDTH_KEYS = {"clip": "projection_dim", "dinov2": "hidden_size"}
"""Model family -> the setting that is the width of its embedding."""


@dataclass(frozen=True)
class EncoderSettings:
    """Side of the input in pixels, width of the embedding, and `<layers>x<hidden>`."""

    side: int
    width: int
    shape: str


def encoder_settings(folder: Path, family: str) -> EncoderSettings:
    """Return the settings of the model in `folder`, of `family` `clip` or `dinov2`.

    A full CLIP model (text and pictures) counts by its vision part. Raises InputError where
    `config.json` or the weights are missing or belong to another family.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        found = str(config.get("model_type", ""))
        vision = config
        if found == "clip":
            vision = {"projection_dim": config.get("projection_dim"), **config["vision_config"]}
            vision["projection_dim"] = config.get("projection_dim") or vision["projection_dim"]
        settings = (
            EncoderSettings(
                int(vision["image_size"]),
                int(vision[WIDTH_KEYS[family]]),
                f"{int(vision['num_hidden_layers'])}x{int(vision['hidden_size'])}",
            )
            if found.startswith(family)
            else None
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as a model's settings: {type(error).__name__} {error}"
        ) from error
    if settings is None:
        raise InputError(f"{path}: model_type {found!r}, expected {family}")
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS} not found, expected the model's weights")
    return settings
