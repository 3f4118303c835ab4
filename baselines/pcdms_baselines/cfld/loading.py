"""The published files of CFLD: one with the conditions, one with the UNet, or both in one.

Source: YanzuoLu/CFLD:pose_transfer_train.py (accelerate writes `pytorch_model.bin` and
`pytorch_model_1.bin`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from diffusers import UNet2DConditionModel
from torch import nn

from pcdms_baselines.cfld.ancestral import schedule_of
from pcdms_baselines.cfld.appearance import AppearanceEncoder, Branch
from pcdms_baselines.cfld.decoder import Decoder
from pcdms_baselines.cfld.network import Cfld, ConditionNetwork
from pcdms_baselines.cfld.pose_encoder import FOLD, PoseEncoder
from pcdms_baselines.cfld.swin import PATCH, Size, Swin
from pcdms_baselines.cfld.unet import with_queries
from pcdms_baselines.checkpoint_file import State
from pcdms_baselines.published import Options, PublishedForm, count, length
from pcdms_data.types import InputError

UNET = "model."
"""What the names of the UNet's weights begin with."""
HEAD_WIDTH = 32
"""Published width of a head in decoder and appearance encoder."""


def fit(state: State, options: Options) -> tuple[nn.Module, State]:
    """Return the network without weights, and the weights under its names.

    With the weights of both files the whole `Cfld`, with those of one that network alone.
    `options["cond"]` and `options["unet"]` tell what shapes cannot: `img_size` and `window_size`
    (int or [H, W]), `heads` of each branch, `decoder_heads`; `attention_heads` and
    `norm_num_groups` of the UNet. `prediction` and `spacing` are those of the schedule.
    """
    inside = {key.removeprefix(UNET): v for key, v in state.items() if key.startswith(UNET)}
    if len(inside) == len(state):
        return _unet(inside, _part(options, "unet")), inside
    condition = _condition(state, _part(options, "cond"))
    if not inside:
        return condition, state
    return Cfld(condition, _unet(inside, _part(options, "unet")), schedule_of(options)), state


FORM = PublishedForm(entries=(), fit=fit, files=("pytorch_model.bin", "pytorch_model_1.bin"))


def _part(options: Options, name: str) -> Mapping[str, Any]:
    part = options.get(name, {})
    if not isinstance(part, Mapping):
        raise InputError(f"the configuration's {name} is {part!r}, expected an object")
    return part


def _unet(state: State, options: Mapping[str, Any]) -> UNet2DConditionModel:
    levels = count(state, "down_blocks.")
    widths = [
        length(state, *(
            (f"down_blocks.{level}.resnets.{index}.conv2.weight", 0) for index in (0, 1)
        ))
        for level in range(levels)
    ]  # fmt: skip
    attended = [bool(count(state, f"down_blocks.{level}.attentions.")) for level in range(levels)]
    tokens = "mid_block.attentions.0.transformer_blocks.0.attn2.to_"
    projection = state.get("mid_block.attentions.0.proj_in.weight")
    try:
        return with_queries(UNet2DConditionModel(
            in_channels=length(state, ("conv_in.weight", 1)),
            out_channels=length(state, ("conv_out.weight", 0), ("conv_out.bias", 0)),
            down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attended],
            up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in attended[::-1]],
            block_out_channels=widths,
            layers_per_block=count(state, "down_blocks.0.resnets."),
            cross_attention_dim=length(state, (f"{tokens}k.weight", 1), (f"{tokens}v.weight", 1)),
            attention_head_dim=options.get("attention_heads", 8),
            norm_num_groups=options.get("norm_num_groups", 32),
            use_linear_projection=projection is not None and projection.dim() == 2,
        ))  # fmt: skip
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise InputError(f"no UNet of {widths} channels can be made: {error}") from None


def _condition(state: State, options: Mapping[str, Any]) -> ConditionNetwork:
    backbone = _backbone(state, options)
    return ConditionNetwork(
        backbone, _appearance(state, options), _pose(state), _decoder(state, options)
    )


def _backbone(state: State, options: Mapping[str, Any]) -> Swin:
    before = "backbone.layers."
    tables = [
        f"{before}{stage}.blocks.0.attn.relative_position_bias_table"
        for stage in range(count(state, before))
    ]
    cells = length(state, ("decoder.kv_pos_embed", 1))
    side = isqrt(cells) * PATCH * 2 ** (len(tables) - 1)
    return Swin(
        picture=_size(options, "img_size", side),
        width=length(state, ("backbone.patch_embed.proj.weight", 0)),
        depths=[count(state, f"{before}{stage}.blocks.") for stage in range(len(tables))],
        heads=[length(state, (table, 1)) for table in tables],
        window=_size(options, "window_size", (isqrt(length(state, (tables[0], 0))) + 1) // 2),
    )


def _appearance(state: State, options: Mapping[str, Any]) -> AppearanceEncoder:
    before = "appearance_encoder."
    width = length(state, ("backbone.patch_embed.proj.weight", 0))
    number = count(state, f"{before}zero_conv_ins.")
    heads = options.get("heads", [None] * number)
    if not isinstance(heads, list) or len(heads) != number:
        given = len(heads) if isinstance(heads, list) else heads
        raise InputError(f"the configuration has heads for {given} branches, expected {number}")
    branches = []
    for branch in range(number):
        entry, way_out = (f"{before}zero_conv_{way}.{branch}.weight" for way in ("ins", "outs"))
        wide = length(state, (entry, 1))
        inner = length(state, (entry, 0), (way_out, 1))
        divided = heads[branch] or max(1, inner // HEAD_WIDTH)
        _check_heads(inner, divided)
        branches.append(
            Branch(
                stage=(max(1, wide // width)).bit_length() - 1,
                width_in=wide,
                inner=inner,
                width_out=length(state, (way_out, 0)),
                heads=divided,
            )
        )
    return AppearanceEncoder(branches, count(state, f"{before}blocks.0."))


def _pose(state: State) -> PoseEncoder:
    before = "pose_encoder."
    widths = [
        length(state, (f"{before}resnets.{index}.conv2.weight", 0))
        for index in range(count(state, f"{before}resnets."))
    ]
    return PoseEncoder(length(state, (f"{before}conv_in.weight", 1)) // FOLD**2, widths)


def _decoder(state: State, options: Mapping[str, Any]) -> Decoder:
    query, cells = "decoder.query_feat", "decoder.kv_pos_embed"
    width = length(state, (query, 1))
    heads = options.get("decoder_heads") or max(1, width // HEAD_WIDTH)
    _check_heads(width, heads)
    return Decoder(
        queries=length(state, (query, 0)),
        width=width,
        cells=length(state, (cells, 1)),
        width_in=length(state, (cells, 2)),
        depth=count(state, "decoder.blocks."),
        heads=heads,
    )


def _size(options: Mapping[str, Any], name: str, square: int) -> Size:
    """Return the configured (H, W) of `name`, without one a square of this side."""
    given = options.get(name) or square
    sides = [given, given] if isinstance(given, int) else given
    try:
        height, width = (int(side) for side in sides)
    except (TypeError, ValueError):
        raise InputError(f"the configuration's {name} is {given!r}, expected [H, W]") from None
    return height, width


def _check_heads(width: int, heads: object) -> None:
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise InputError(f"a width of {width} cannot be split into {heads} heads")
