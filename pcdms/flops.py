"""Floating point operations of a preset, counted on the meta device: nothing is computed or stored.

One multiplication with its addition counts as two; matrix products, convolutions and attention
count, everything else is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pcdms.presets import Preset
from pcdms.stages import parse_stages


def count_flops(call: Callable[[], object]) -> int:
    """Return the floating point operations of one call of a network."""
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        call()
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class PieceFlops:
    """Operations of one forward pass at batch 1; `wide` is the canvas of source and target."""

    prior: int
    image_encoder: int
    source_encoder: int
    projection: int
    pose: int
    inpaint: int
    refine: int
    encode_wide: int
    decode_wide: int
    encode: int
    decode: int


def piece_flops(preset: Preset, frame: tuple[int, int] | None = None) -> PieceFlops:
    """Return what each piece of a preset costs for pictures of `frame` (H, W), its own by default.

    `inpaint` and `refine` are the UNets alone; the projection is that of the source's tokens.
    """
    height, width = frame or preset.pipeline.frame
    with torch.device("meta"):
        return PieceFlops(
            *_condition_flops(preset, height, width), *_picture_flops(preset, height, width)
        )


def _condition_flops(preset: Preset, height: int, width: int) -> tuple[int, int, int, int, int]:
    """Count prior, the two encoders and the two projections; the caller sets the device."""
    prior, inpaint = preset.build_prior().eval(), preset.build_inpaint().eval()
    embedding, pose = _row(prior.config["embedding_dim"]), _row(prior.config["pose_width"])
    clip, dino = preset.build_image_encoder().eval(), preset.build_source_encoder().eval()
    settings = preset.pipeline
    size, other = settings.image_encoder.size, settings.source_encoder.size
    tokens = _tokens(preset)
    return (
        count_flops(lambda: prior(embedding, _time(), embedding, pose, pose)),
        count_flops(lambda: clip(pixel_values=torch.empty(1, 3, size, size))),
        count_flops(lambda: dino(pixel_values=torch.empty(1, 3, other, other))),
        count_flops(lambda: inpaint.image_proj_model_p(tokens)),
        count_flops(lambda: inpaint.pose_proj(torch.empty(1, 3, height, 2 * width))),
    )


def _picture_flops(preset: Preset, height: int, width: int) -> tuple[int, int, int, int, int, int]:
    """Count the UNets and the autoencoder; the caller sets the device."""
    inpaint, refine = preset.build_inpaint().eval(), preset.build_refine().eval()
    vae: Any = preset.build_vae().eval()
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    channels, h, w = vae.config["latent_channels"], height // factor, width // factor
    label = _row(inpaint.unet.config["cross_attention_dim"])
    context = inpaint.image_proj_model_p(_tokens(preset))
    features = torch.empty(1, inpaint.unet.config["block_out_channels"][0], h, 2 * w)
    wide, narrow = (torch.empty(1, channels, h, columns) for columns in (2 * w, w))
    with_label = torch.cat([context, label[:, None]], dim=1)
    canvas = torch.empty(1, 2 * channels + 1, h, 2 * w)
    both = torch.empty(1, 2 * channels, h, w)
    return (
        count_flops(lambda: inpaint.denoise(canvas, _time(), with_label, label, features)),
        count_flops(lambda: refine.denoise(both, _time(), context)),
        count_flops(lambda: vae.encode(torch.empty(1, 3, height, 2 * width))),
        count_flops(lambda: vae.decode(wide)),
        count_flops(lambda: vae.encode(torch.empty(1, 3, height, width))),
        count_flops(lambda: vae.decode(narrow)),
    )


def _row(width: int) -> Tensor:
    return torch.empty(1, width)


def _time() -> Tensor:
    return torch.zeros(1, dtype=torch.long)


def _tokens(preset: Preset) -> Tensor:
    patches = preset.pipeline.source_encoder.size // preset.source_encoder["patch_size"]
    return torch.empty(1, patches**2 + 1, preset.source_encoder["hidden_size"])


def pair_flops(
    pieces: PieceFlops,
    stages: str = "prior+inpaint+refine",
    samples: int = 1,
    prior_steps: int = 20,
    steps: int = 20,
    guided: bool = True,
) -> dict[str, int]:
    """Return {stage: operations} of one pair.

    Each stage runs its encoder and encodes its picture once; the samples share that. Guidance
    doubles the rows of the UNets.
    """
    rows = steps * samples * (2 if guided else 1)
    tokens = pieces.source_encoder + pieces.projection
    each = {
        "prior": pieces.image_encoder + prior_steps * pieces.prior,
        "truth": pieces.image_encoder,
        "inpaint": tokens + pieces.pose + pieces.encode_wide + rows * pieces.inpaint
        + samples * pieces.decode_wide,
        "refine": tokens + pieces.encode + rows * pieces.refine + samples * pieces.decode,
    }  # fmt: skip
    return {stage: each[stage] for stage in parse_stages(stages)}
