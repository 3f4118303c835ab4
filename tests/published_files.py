"""Checkpoints in the format of the authors, with the random weights of the micro model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from micro_model import MICRO, part

CONFIGS = {
    "prior": {"num_attention_heads": 2, "attention_head_dim": 8, "num_embeddings": 2},
    # As an older library writes it: sizes of another model, nulls, an unknown entry.
    "unet": {
        "_class_name": "UNet2DConditionModel", "norm_num_groups": 4, "attention_head_dim": [1, 2],
        "in_channels": 4, "num_attention_heads": None, "an_entry_of_another_version": 7,
    },
}  # fmt: skip


def config_of(stage: str) -> dict:
    return CONFIGS["prior" if stage == "prior" else "unet"]


def published_state(stage: str, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """The micro model's weights under the names of the authors' file of a stage."""
    module = part("inpaint" if stage == "demo" else stage)
    state = {key: value.detach().to(dtype) for key, value in module.state_dict().items()}
    if stage == "demo":
        state = {
            key.replace("image_proj_model_p.", "image_proj_model."): value
            for key, value in state.items()
            if "class_embedding" not in key
        }
    return {key: value.clone() for key, value in state.items()}


def save_published(
    path: Path, stage: str, dtype: torch.dtype = torch.float16, plain: bool = False
) -> Path:
    """Write a checkpoint file, a DeepSpeed container unless `plain`."""
    state = published_state(stage, dtype)
    container = {"module": state, "epoch": 3, "last_global_step": 12, "skipped_steps": 0}
    torch.save(state if plain else container, path)
    return path


def save_config(path: Path, stage: str) -> Path:
    path.write_text(json.dumps(config_of(stage)))
    return path


def save_parts(root: Path, names: tuple[str, ...] = ("vae", "image_encoder", "source_encoder")):
    """Write parts of the micro model as folders of their own, as a user would have them."""
    for name in names:
        part(name).save_pretrained(root / name)
    return root


FRAME = MICRO.pipeline.frame
