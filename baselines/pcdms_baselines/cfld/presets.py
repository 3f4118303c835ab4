"""Sizes of CFLD to train: `tiny` for the embedded people, and the published one.

Source of `paper`: YanzuoLu/CFLD:defaults/deepfashion.py, pose_transfer_train.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import UNet2DConditionModel

from pcdms_baselines.cfld.ancestral import (
    PUBLISHED_GUIDANCE,
    PUBLISHED_SCHEDULE,
    PUBLISHED_STEPS,
    Schedule,
)
from pcdms_baselines.cfld.appearance import (
    PUBLISHED_BRANCHES,
    PUBLISHED_DEPTH,
    AppearanceEncoder,
    Branch,
)
from pcdms_baselines.cfld.decoder import Decoder
from pcdms_baselines.cfld.losses import PUBLISHED_DROPS, Drops
from pcdms_baselines.cfld.network import Cfld, ConditionNetwork
from pcdms_baselines.cfld.pose_encoder import PUBLISHED_WIDTHS, PoseEncoder
from pcdms_baselines.cfld.swin import PATCH, Size, Swin
from pcdms_baselines.cfld.unet import PUBLISHED, query_attentions, with_queries


@dataclass(frozen=True)
class Preset:
    """Sizes of the networks, how they are trained, and how they are sampled.

    `backbone_drop`: stochastic depth of the backbone in training.
    `frozen`: only the condition network and the keys and values of the UNet's way up are trained,
    as published; otherwise everything is, because nothing pretrained comes with it.
    """

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: Size
    branches: tuple[Branch, ...]
    branch_depth: int
    pose_widths: tuple[int, ...]
    queries: int
    token_width: int
    decoder_depth: int
    decoder_heads: int
    unet: dict[str, Any]
    schedule: Schedule = PUBLISHED_SCHEDULE
    drops: Drops = PUBLISHED_DROPS
    steps: int = PUBLISHED_STEPS
    guidance: float = PUBLISHED_GUIDANCE
    backbone_drop: float = 0.0
    frozen: bool = False


_TINY = Preset(
    width=32,
    depths=(2, 2, 2),
    heads=(1, 2, 4),
    window=(6, 4),
    branches=(*(Branch(0, 32, 32, 64, 2),) * 2, *(Branch(1, 64, 64, 96, 2),) * 2),
    branch_depth=1,
    pose_widths=(64, 96),
    queries=16,
    token_width=96,
    decoder_depth=2,
    decoder_heads=3,
    unet={
        "sample_size": 24, "in_channels": 8, "out_channels": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (64, 96, 80), "layers_per_block": 1,
        "cross_attention_dim": 96, "attention_head_dim": 2, "norm_num_groups": 16,
    },
    schedule=Schedule("sample", "trailing"),
    drops=Drops(tokens=0.1, appearance=0.05, pose=0.05),
    steps=2,
    guidance=1.0,
)  # fmt: skip

_PAPER = Preset(
    width=128,
    depths=(2, 2, 18, 2),
    heads=(4, 8, 16, 32),
    window=(16, 16),
    branches=PUBLISHED_BRANCHES,
    branch_depth=PUBLISHED_DEPTH,
    pose_widths=PUBLISHED_WIDTHS,
    queries=16,
    token_width=768,
    decoder_depth=8,
    decoder_heads=24,
    unet=PUBLISHED,
    backbone_drop=0.2,
    frozen=True,
)

PRESETS = {"tiny": _TINY, "paper": _PAPER}
"""`tiny` (a choice of this project) keeps the structure: shifted windows, tokens from learned
queries, appearance tokens in the queries of two sizes, pose residuals. It predicts the clean
latents, which few steps suit, and loses its residuals in some rows, so that guidance is learned
without a pretrained UNet."""


def new_network(preset: Preset, canvas: Size) -> Cfld:
    """Return untrained networks for source and poses of `canvas` = (H, W)."""
    backbone = Swin(
        canvas, preset.width, preset.depths, preset.heads, preset.window, preset.backbone_drop
    )
    last = backbone.grids[-1]
    decoder = Decoder(
        preset.queries,
        preset.token_width,
        last[0] * last[1],
        preset.width * 2 ** (len(preset.depths) - 1),
        preset.decoder_depth,
        preset.decoder_heads,
    )
    condition = ConditionNetwork(
        backbone,
        AppearanceEncoder(preset.branches, preset.branch_depth),
        PoseEncoder(widths=preset.pose_widths),
        decoder,
    )
    network = Cfld(condition, with_queries(UNet2DConditionModel(**preset.unet)), preset.schedule)
    if preset.frozen:
        freeze(network)
    return network


def freeze(network: Cfld) -> None:
    """Hold the UNet still but for keys and values of the attentions that get appearance tokens."""
    learned = tuple(
        f"{name}.to_{part}.weight" for name in query_attentions(network.model) for part in "kv"
    )
    for name, parameter in network.model.named_parameters():
        parameter.requires_grad_(name in learned)


def config_of(preset: Preset, frame: Size, canvas: Size) -> dict[str, object]:
    """Return what shapes cannot tell of a network of `new_network`, and how it is sampled."""
    return {
        "frame": list(frame),
        "canvas": list(canvas),
        "steps": preset.steps,
        "guidance": preset.guidance,
        "prediction": preset.schedule.prediction,
        "spacing": preset.schedule.spacing,
        "cond": {
            "img_size": list(canvas),
            "window_size": list(preset.window),
            "heads": [branch.heads for branch in preset.branches],
            "decoder_heads": preset.decoder_heads,
        },
        "unet": {
            "attention_heads": preset.unet["attention_head_dim"],
            "norm_num_groups": preset.unet["norm_num_groups"],
        },
    }


def smallest_cell(preset: Preset) -> int:
    """Return of what the sides of a canvas must be multiples: the backbone's coarsest cell."""
    return PATCH * 2 ** (len(preset.depths) - 1)
