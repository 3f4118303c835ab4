"""What the shapes of a published checkpoint say about its network, and what a config must say.

Every size is read off the tensors. Attention heads, norm groups and the like leave no trace in a
shape: they come from a configuration in diffusers' own names, else they are the published ones.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor

from pcdms.presets import PRESETS
from pcdms_data.types import InputError

State = Mapping[str, Tensor]
Config = Mapping[str, Any]

PRIOR_OPTIONS = ("clip_mean", "clip_std", "dropout")
_INNER_PROJECTION = re.compile(r"attentions\.\d+\.proj_in\.weight$")


@dataclass
class Arguments:
    """Constructor arguments, and which of them neither shapes nor the configuration told."""

    values: dict[str, Any]
    assumed: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments taken from the published model."""


def _agreed(state: State, *places: tuple[str, int], prefix: str = "") -> int:
    """Return the length on which most of these (name, axis) agree.

    Several weights vote, so that a misshapen one is reported as such and does not set the size.
    InputError names the weights where none of them is there.
    """
    votes = [
        state[key].shape[axis]
        for key, axis in places
        if key in state and -state[key].dim() <= axis < state[key].dim()
    ]
    if not votes:
        names = ", ".join(dict.fromkeys(prefix + key for key, _ in places))
        raise InputError(f"lacks {names}, from which its sizes are read")
    return Counter(votes).most_common(1)[0][0]


def _count(state: State, pattern: str) -> int:
    """Return 1 + the largest number that `pattern` (one group) finds in the names, else 0."""
    found = [int(match[1]) for key in state if (match := re.match(pattern, key))]
    return max(found) + 1 if found else 0


def _has(state: State, start: str) -> bool:
    return any(key.startswith(start) for key in state)


def prior_arguments(state: State, config: Config) -> Arguments:
    """Return the arguments of `PriorTransformer` for a state dict with the published names."""
    width = _agreed(
        state, ("proj_in.weight", 0), ("positional_embedding", -1), ("norm_out.weight", 0)
    )
    embedding = _agreed(
        state, ("proj_in.weight", 1), ("proj_to_clip_embeddings.weight", 0),
        ("embedding_proj.weight", 1),
    )  # fmt: skip
    first = "pose_encoder.net.0"
    hidden = _agreed(
        state, (f"{first}.weight", 0), (f"{first}.bias", 0), ("pose_encoder.net.3.weight", 0)
    )
    pose_width = _agreed(state, (f"{first}.weight", 1), ("pose_encoder1.net.0.weight", 1))
    heads, head_width = config.get("num_attention_heads"), config.get("attention_head_dim")
    assumed = {}
    if heads is None:
        heads = PRESETS["paper"].prior["num_attention_heads"]
        if head_width is not None and width % head_width == 0:
            heads = width // head_width
        else:
            assumed["num_attention_heads"] = heads
    if width % heads or (head_width is not None and head_width * heads != width):
        raise InputError(
            f"a width of {width} is not {heads} heads of {head_width or 'equal width'}: give "
            "num_attention_heads and attention_head_dim in a configuration (--config)"
        )
    values = {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "num_layers": _count(state, r"transformer_blocks\.(\d+)\."),
        "embedding_dim": embedding,
        "pose_width": pose_width,
        "pose_hidden": hidden,
    }
    values |= {key: config[key] for key in PRIOR_OPTIONS if config.get(key) is not None}
    return Arguments(values, assumed)


def projection_arguments(state: State) -> dict[str, int]:
    """Return `token_width` and `token_hidden` of the token projection."""
    first = "image_proj_model_p.net.0"
    hidden = _agreed(
        state, (f"{first}.weight", 0), (f"{first}.bias", 0), ("image_proj_model_p.net.3.weight", 0)
    )
    return {"token_width": _agreed(state, (f"{first}.weight", 1)), "token_hidden": hidden}


def pose_channels(state: State) -> tuple[int, ...]:
    """Return the channels of the pose network: its first layer, then every second one."""
    blocks = _count(state, r"pose_proj\.blocks\.(\d+)\.")
    layers = ["conv_in", *(f"blocks.{index}" for index in range(blocks)), "conv_out"]
    names = [f"pose_proj.{layer}" for layer in layers]
    return tuple(
        _agreed(
            state, (f"{names[i]}.weight", 0), (f"{names[i]}.bias", 0), (f"{names[i + 1]}.weight", 1)
        )
        for i in range(0, len(names) - 1, 2)
    )


def unet_arguments(whole: State, config: Config, label: bool, mask: bool) -> Arguments:
    """Return `UNet2DConditionModel` arguments for the weights below `unet.`.

    `label`: whether the stage has a class embedding (of the target's embedding). `mask`: whether
    its input holds the mask of a canvas.
    """
    state = {k.removeprefix("unet."): v for k, v in whole.items() if k.startswith("unet.")}
    published = PRESETS["paper"].inpaint_unet
    known = set(inspect.signature(UNet2DConditionModel.__init__).parameters)
    values = {key: value for key, value in config.items() if key in known and value is not None}
    values |= _unet_sizes(state, config, label, mask)
    assumed = {}
    if values.get("attention_head_dim") is None and values.get("num_attention_heads") is None:
        values["attention_head_dim"] = assumed["attention_head_dim"] = published[
            "attention_head_dim"
        ]
    if values.get("norm_num_groups") is None:
        values["norm_num_groups"] = assumed["norm_num_groups"] = published["norm_num_groups"]
    values.setdefault("sample_size", published["sample_size"])
    _check_divisors(values)
    return Arguments(values, assumed)


def _unet_sizes(state: State, config: Config, label: bool, mask: bool) -> dict[str, Any]:
    """Return the arguments that names and shapes alone decide."""

    def agreed(*places: tuple[str, int]) -> int:
        return _agreed(state, *places, prefix="unet.")

    def level(index: int) -> int:
        name = f"down_blocks.{index}.resnets.0.conv"
        return agreed((f"{name}1.weight", 0), (f"{name}1.bias", 0), (f"{name}2.weight", 0))

    levels = _count(state, r"down_blocks\.(\d+)\.")
    depth = [_count(state, rf"down_blocks\.{i}\.resnets\.(\d+)\.") for i in range(levels)]
    crossed = [_has(state, f"down_blocks.{i}.attentions.") for i in range(levels)]
    raised = [_has(state, f"up_blocks.{i}.attentions.") for i in range(levels)]
    channels = agreed(("conv_out.weight", 0), ("conv_out.bias", 0))
    context = agreed(*((key, 1) for key in state if key.endswith(".attn2.to_k.weight")))
    flat = [state[key].dim() == 2 for key in state if _INNER_PROJECTION.search(key)]
    sizes: dict[str, Any] = {
        "in_channels": 2 * channels + int(mask),
        "out_channels": channels,
        "block_out_channels": [level(index) for index in range(levels)],
        "layers_per_block": depth[0] if len(set(depth)) == 1 else depth,
        "cross_attention_dim": context,
        "use_linear_projection": 2 * sum(flat) > len(flat),
        "class_embed_type": "projection" if label else None,
        "projection_class_embeddings_input_dim": None,
    }
    if label:
        width = ("class_embedding.linear_1.weight", 1)
        sizes["projection_class_embeddings_input_dim"] = (
            agreed(width) if width[0] in state else context
        )
    if not config.get("down_block_types"):
        sizes["down_block_types"] = [
            "CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossed
        ]
    if not config.get("up_block_types"):
        sizes["up_block_types"] = [
            "CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in raised
        ]
    deep = _transformer_layers(state, levels, crossed)
    return sizes | ({} if deep is None else {"transformer_layers_per_block": deep})


def _transformer_layers(
    state: State, levels: int, crossed: Sequence[bool]
) -> int | list[int] | None:
    """Return the transformer layers of each level, one number where all have the same."""
    middle = _count(state, r"mid_block\.attentions\.0\.transformer_blocks\.(\d+)\.")
    each = [
        _count(state, rf"down_blocks\.{i}\.attentions\.0\.transformer_blocks\.(\d+)\.")
        if crossed[i]
        else middle
        for i in range(levels)
    ]
    return each[0] if len({*each, middle}) == 1 else each


def _check_divisors(values: Mapping[str, Any]) -> None:
    """Raise InputError where heads or groups do not divide the channels they belong to."""
    channels: list[int] = values["block_out_channels"]
    groups = values["norm_num_groups"]
    for count in channels:
        if count % groups:
            raise InputError(
                f"{groups} norm groups do not divide {count} channels: give norm_num_groups in a "
                "configuration (--config)"
            )
    heads = values.get("num_attention_heads") or values["attention_head_dim"]
    each = [heads] * len(channels) if isinstance(heads, int) else list(heads)
    if len(each) != len(channels) or any(c % h for c, h in zip(channels, each, strict=False)):
        raise InputError(
            f"attention heads {each} do not fit levels of {channels} channels: give "
            "attention_head_dim in a configuration (--config)"
        )
