"""Sizes: one table of presets. `paper` and `tiny` are the same code with other numbers.

Source of `paper`: PCDMs section 4.1; tencent-ailab/PCDMs (all training scripts) and the public
configurations of stable-diffusion-2-1-base, OpenCLIP ViT-H/14 and DINOv2-giant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
)

from pcdms.inpaint import InpaintModel
from pcdms.pipeline_config import EncoderInput, PipelineConfig
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms.schedulers import LatentSchedule


@dataclass(frozen=True)
class Preset:
    """Constructor arguments of every part of one model size, and how the parts are used."""

    pipeline: PipelineConfig
    prior: dict[str, Any]
    inpaint_unet: dict[str, Any]
    refine_unet: dict[str, Any]
    pose_channels: tuple[int, ...]
    token_hidden: int
    vae: dict[str, Any]
    image_encoder: dict[str, Any]
    source_encoder: dict[str, Any]
    refine_residual: bool = False

    def build_prior(self) -> PriorTransformer:
        """Return a randomly initialised prior."""
        return PriorTransformer(**self.prior)

    def build_inpaint(self) -> InpaintModel:
        """Return a randomly initialised inpainting stage."""
        return InpaintModel(
            self.inpaint_unet,
            self.pose_channels,
            self.source_encoder["hidden_size"],
            self.token_hidden,
        )

    def build_refine(self) -> RefineModel:
        """Return a randomly initialised refining stage."""
        return RefineModel(
            self.refine_unet,
            self.source_encoder["hidden_size"],
            self.token_hidden,
            self.refine_residual,
        )

    def build_vae(self) -> AutoencoderKL:
        """Return a randomly initialised autoencoder."""
        return AutoencoderKL(**self.vae)

    def build_image_encoder(self) -> CLIPVisionModelWithProjection:
        """Return a randomly initialised image encoder (global embedding)."""
        return CLIPVisionModelWithProjection(CLIPVisionConfig(**self.image_encoder))

    def build_source_encoder(self) -> Dinov2Model:
        """Return a randomly initialised source encoder (tokens)."""
        return Dinov2Model(Dinov2Config(**self.source_encoder))


def _unet(
    channels: tuple[int, ...],
    heads: tuple[int, ...],
    attention: tuple[bool, ...],
    in_channels: int,
    latent_channels: int,
    context: int,
    layers: int,
    groups: int,
    sample_size: int,
    label_width: int | None,
) -> dict[str, Any]:
    """Return `UNet2DConditionModel` arguments in the manner of Stable Diffusion 2.1."""
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)]
    arguments: dict[str, Any] = {
        "sample_size": sample_size,
        "in_channels": in_channels,
        "out_channels": latent_channels,
        "down_block_types": down,
        "up_block_types": up,
        "block_out_channels": list(channels),
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "cross_attention_dim": context,
        "attention_head_dim": list(heads),
        "use_linear_projection": True,
    }
    if label_width is not None:
        arguments["class_embed_type"] = "projection"
        arguments["projection_class_embeddings_input_dim"] = label_width
    return arguments


_SD21 = {
    "channels": (320, 640, 1280, 1280),
    "heads": (5, 10, 20, 20),
    "attention": (True, True, True, False),
    "latent_channels": 4,
    "context": 1024,
    "layers": 2,
    "groups": 32,
    "sample_size": 64,
}

_PAPER = Preset(
    pipeline=PipelineConfig(
        name="paper",
        frame=(512, 512),
        image_encoder=EncoderInput(first_resize=(512, 512), size=224),
        source_encoder=EncoderInput(first_resize=(512, 512), size=224),
        inpaint_schedule=LatentSchedule(),
        refine_schedule=LatentSchedule(),
        prior_steps=20,
        steps=20,
        guidance=2.0,
    ),
    prior={
        "num_attention_heads": 32,
        "attention_head_dim": 64,
        "num_layers": 20,
        "embedding_dim": 1024,
    },
    inpaint_unet=_unet(**_SD21, in_channels=9, label_width=1024),  # type: ignore[arg-type]
    refine_unet=_unet(**_SD21, in_channels=8, label_width=None),  # type: ignore[arg-type]
    pose_channels=(16, 32, 96, 256),
    token_hidden=768,
    vae={
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
        "scaling_factor": 0.18215,
    },
    image_encoder={
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 224,
        "projection_dim": 1024,
        "hidden_act": "gelu",
    },
    source_encoder={
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "patch_size": 14,
        "image_size": 518,
        "use_swiglu_ffn": True,
    },
)

_TINY_LATENT = 8
_TINY_CONTEXT = 128

_TINY = Preset(
    pipeline=PipelineConfig(
        name="tiny",
        frame=(96, 64),
        image_encoder=EncoderInput(first_resize=None, size=64),
        source_encoder=EncoderInput(first_resize=None, size=96),
        inpaint_schedule=LatentSchedule(prediction_type="sample"),
        refine_schedule=LatentSchedule(prediction_type="sample"),
        prior_steps=10,
        steps=2,
        guidance=1.0,
    ),
    prior={
        "num_attention_heads": 4,
        "attention_head_dim": 40,
        "num_layers": 4,
        "embedding_dim": _TINY_CONTEXT,
        "pose_hidden": 128,
    },
    inpaint_unet=_unet(
        channels=(64, 128, 160),
        heads=(2, 4, 5),
        attention=(False, True, True),
        in_channels=2 * _TINY_LATENT + 1,
        latent_channels=_TINY_LATENT,
        context=_TINY_CONTEXT,
        layers=1,
        groups=16,
        sample_size=24,
        label_width=_TINY_CONTEXT,
    ),
    refine_unet=_unet(
        channels=(48, 96, 128),
        heads=(2, 3, 4),
        attention=(False, True, True),
        in_channels=2 * _TINY_LATENT,
        latent_channels=_TINY_LATENT,
        context=_TINY_CONTEXT,
        layers=1,
        groups=16,
        sample_size=24,
        label_width=None,
    ),
    pose_channels=(16, 32, 64),
    refine_residual=True,
    token_hidden=128,
    vae={
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "block_out_channels": [32, 64, 96],
        "layers_per_block": 1,
        "latent_channels": _TINY_LATENT,
        "norm_num_groups": 8,
        "sample_size": 96,
        "mid_block_add_attention": False,
    },
    image_encoder={
        "hidden_size": 160,
        "intermediate_size": 640,
        "num_hidden_layers": 4,
        "num_attention_heads": 5,
        "patch_size": 8,
        "image_size": 64,
        "projection_dim": _TINY_CONTEXT,
        "hidden_act": "gelu",
    },
    source_encoder={
        "hidden_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 5,
        "mlp_ratio": 4,
        "patch_size": 8,
        "image_size": 96,
    },
)

PRESETS: dict[str, Preset] = {"tiny": _TINY, "paper": _PAPER}
"""Every preset by its name on the command line."""
