"""The unconditional branch of guidance: one function per stage, in two modes.

`published` is what the released sampler feeds, `trained` what the released training produces when
it drops a condition; in the published code the two agree in no stage.
Source: tencent-ailab/PCDMs:src/pipelines/*, src/dataset/*.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pcdms.inpaint import InpaintModel
from pcdms.refine import RefineModel

NullMode = Literal["published", "trained"]
NULL_MODES: tuple[NullMode, ...] = ("published", "trained")


def inpaint_null(
    model: InpaintModel,
    mode: NullMode,
    source_tokens: Tensor,
    target_embedding: Tensor,
    null_tokens: Tensor | None,
    null_embedding: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return context (B, T+1, width) and label (B, D) without a condition.

    `published`: zeros after the projection; the zero label still passes the class embedding. A
    model without the embedding token (the demo) projects zero tokens instead, as its own script
    does. `trained`: what `null_tokens` (B or 1, T, Dt) and `null_embedding` (B or 1, D) project
    to, those of the zero pixel tensor. Pose, mask and masked latent are never dropped.
    """
    if mode == "trained":
        if null_tokens is None or null_embedding is None:
            raise ValueError("null='trained' needs null_tokens and null_embedding")
        return model.context(
            null_tokens.expand_as(source_tokens), null_embedding.expand_as(target_embedding)
        )
    if not model.config["embedding_token"]:
        return model.context(torch.zeros_like(source_tokens), torch.zeros_like(target_embedding))
    every = torch.ones(len(source_tokens), dtype=torch.bool, device=source_tokens.device)
    return model.context(source_tokens, target_embedding, every)


def refine_null(
    model: RefineModel,
    mode: NullMode,
    source_tokens: Tensor,
    coarse_latents: Tensor,
    null_tokens: Tensor | None,
    null_coarse_latents: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return context (B, T, width) and coarse latents (B, C, h, w) without a condition.

    `published`: both are zero. `trained`: the projection of `null_tokens` (B or 1, T, Dt) and
    `null_coarse_latents` (B or 1, C, h, w), the latent of a mid-grey picture.
    """
    if mode == "trained":
        if null_tokens is None or null_coarse_latents is None:
            raise ValueError("null='trained' needs null_tokens and null_coarse_latents")
        context = model.context(null_tokens.expand_as(source_tokens))
        return context, null_coarse_latents.expand_as(coarse_latents)
    every = torch.ones(len(source_tokens), dtype=torch.bool, device=source_tokens.device)
    return model.context(source_tokens, every), torch.zeros_like(coarse_latents)
