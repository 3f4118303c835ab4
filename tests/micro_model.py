"""A complete PCDMs of a few thousand weights: the published structure, sizes made for tests.

Every weight is random and none is left at zero, so that a condition that is dropped, doubled or
misplaced changes the result.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tiny_pairs import STANDING

from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import EncoderInput, PipelineConfig
from pcdms.presets import Preset
from pcdms.schedulers import LatentSchedule
from pcdms_data.types import Batch, K

FRAME = (32, 16)
CELLS = (8, 4)
WIDTH = 16
TOKEN_WIDTH = 12
GOLDEN = Path(
    os.environ.get("PCDMS_GOLDEN", Path(__file__).parents[1] / ".." / "shared" / "golden")
)


def unet(in_channels: int, label_width: int | None) -> dict:
    label = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": label_width}
    return {
        "sample_size": 8,
        "in_channels": in_channels,
        "out_channels": 4,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "block_out_channels": [8, 16],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": [1, 2],
        "use_linear_projection": True,
        **({} if label_width is None else label),
    }


MICRO = Preset(
    pipeline=PipelineConfig(
        name="micro",
        frame=FRAME,
        image_encoder=EncoderInput(first_resize=(32, 32), size=16),
        source_encoder=EncoderInput(first_resize=None, size=16),
        inpaint_schedule=LatentSchedule(),
        refine_schedule=LatentSchedule(prediction_type="sample"),
        prior_steps=4,
        steps=3,
        guidance=2.0,
    ),
    prior={
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "embedding_dim": WIDTH,
        "pose_hidden": 8,
    },
    inpaint_unet=unet(9, WIDTH),
    refine_unet=unet(8, None),
    pose_channels=(4, 6, 8),
    token_hidden=10,
    vae={
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "block_out_channels": [8, 8, 8],
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 32,
    },
    image_encoder={
        "hidden_size": 12,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "patch_size": 8,
        "image_size": 16,
        "projection_dim": WIDTH,
        "hidden_act": "gelu",
    },
    source_encoder={
        "hidden_size": TOKEN_WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 8,
        "image_size": 16,
    },
)


def randomise(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give every constant weight (zeros, ones) some spread; return the module in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.numel() > 1 and weight.std() == 0:
                weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return module.eval()


@cache
def part(name: str) -> torch.nn.Module:
    """One part of the micro model, built once per process; tests must not change it."""
    torch.manual_seed(11)
    return randomise(getattr(MICRO, f"build_{name}")(), 12)


PARTS = ("prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder")


@cache
def pipeline() -> PCDMsPipeline:
    return PCDMsPipeline(MICRO.pipeline, **{name: part(name) for name in PARTS})


def make_batch(count: int, seed: int = 0) -> Batch:
    """`count` pairs of random pictures and poses in the micro frame, each with its own id."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (2, count, 3, *FRAME)).astype(np.uint8)
    standing = STANDING / np.array([176 / FRAME[1], 256 / FRAME[0]], dtype=np.float32)
    xy = (standing + rng.normal(0, 1.5, (2, count, K, 2))).astype(np.float32)
    visible = rng.random((2, count, K)) < 0.9
    ids = tuple(f"s{seed}p{i}_to_t{i}" for i in range(count))
    return Batch(ids, pictures[0], pictures[1], xy[0], xy[1], visible[0], visible[1])


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    """The pairs `rows` of `batch`, in that order."""
    return Batch(
        tuple(batch.pair_ids[i] for i in rows),
        batch.source[rows],
        batch.target[rows],
        batch.source_xy[rows],
        batch.target_xy[rows],
        batch.source_visible[rows],
        batch.target_visible[rows],
    )
