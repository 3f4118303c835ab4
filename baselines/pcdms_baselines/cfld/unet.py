"""The UNet of CFLD: Stable Diffusion 1.5's, with residuals for the pose and for the appearance.

Sources: YanzuoLu/CFLD:models/*.py; arXiv 2402.18078, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn import functional as F

PUBLISHED: dict[str, Any] = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4,
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
    "cross_attention_dim": 768, "attention_head_dim": 8, "norm_num_groups": 32,
}  # fmt: skip
"""`UNet2DConditionModel` arguments: 859,520,964 parameters. `attention_head_dim` counts heads."""


class AddedQuery:
    """Attention processor that adds the tokens of one branch to the projected query.

    `branch` None is for the attentions that get nothing.
    """

    def __init__(self, branch: int | None) -> None:
        self.branch = branch

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        appearance: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return (B, T, C) of tokens (B, T, C); the names of the arguments are the library's."""
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.to_q(hidden_states)
        if appearance is not None and self.branch is not None:
            query = query + appearance[self.branch]
        query, key, value = (
            part.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (query, attn.to_k(seen), attn.to_v(seen))
        )
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        result: Tensor = attn.to_out[0](x.transpose(1, 2).flatten(2))
        return result


def query_attentions(unet: UNet2DConditionModel) -> list[str]:
    """Return the names of the cross attentions on the way up, that next to the output first."""
    names = [name for name, part in unet.named_modules() if isinstance(part, Attention)]
    # In the order in which they are run, which that of the names is not.
    return [name for name in names if name.startswith("up_blocks.") and name.endswith(".attn2")][
        ::-1
    ]


def with_queries(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return the same UNet, whose attentions now take appearance tokens."""
    branches = {name: branch for branch, name in enumerate(query_attentions(unet))}
    for name, part in unet.named_modules():
        if isinstance(part, Attention):
            part.set_processor(AddedQuery(branches.get(name)))
    return unet


def predict(
    unet: UNet2DConditionModel,
    latents: Tensor,
    time: Tensor,
    tokens: Tensor,
    pose: Sequence[Tensor] | None = None,
    appearance: Sequence[Tensor] | None = None,
) -> Tensor:
    """Return the output (B, C, h, w) of a UNet of `with_queries`; None leaves residuals out."""
    result: Tensor = unet(
        latents,
        time,
        tokens,
        cross_attention_kwargs=None if appearance is None else {"appearance": appearance},
        down_intrablock_additional_residuals=None if pose is None else list(pose),
        return_dict=False,
    )[0]
    return result
