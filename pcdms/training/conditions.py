"""Dropped conditions in training, for guidance in sampling: defined here for every stage.

Which null condition a training teaches is one choice: what the released sampler feeds (zeros, the
mode `published` of sampling), or what the released training fed (zero pixel tensors through the
encoders, the mode `trained`). In the published code the two agree in no stage.
Source: tencent-ailab/PCDMs:src/dataset/stage{1,2,3}_dataset.py and src/pipelines/*.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pcdms.training.diffusion import draw_latents


@dataclass(frozen=True, eq=False)
class NullConditions:
    """What the frozen parts say of a zero pixel tensor.

    `tokens` (T, Dt), `embedding` (D,), `coarse` (2C, h, w): moments of the mid-grey picture. A
    stage reads its own: `prior` the embedding, `inpaint` also the tokens, `refine` the moments.
    """

    tokens: Tensor
    embedding: Tensor
    coarse: Tensor


def dropped(rows: int, probability: float, generator: torch.Generator) -> Tensor:
    """Return bool (rows,), each True with `probability`."""
    return torch.rand(rows, generator=generator) < probability


@dataclass(frozen=True, eq=False)
class Dropout:
    """Drops conditions with `probability`; `null` None teaches the mode `published`."""

    probability: float = 0.1
    null: NullConditions | None = None

    def prior(
        self,
        source: Tensor,
        source_pose: Tensor,
        target_pose: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Drop source embedding (B, D) and both poses (B, 2K), each on its own.

        A dropped pose is zero in both modes.
        """
        embedding = torch.zeros(()) if self.null is None else self.null.embedding.float()
        drop = [dropped(len(source), self.probability, generator)[:, None] for _ in range(3)]
        return (
            torch.where(drop[0], embedding, source),
            torch.where(drop[1], 0.0, source_pose),
            torch.where(drop[2], 0.0, target_pose),
        )

    def inpaint(
        self, tokens: Tensor, embedding: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Drop target embedding (B, D) and source tokens (B, T, Dt); return them and null rows.

        `published`: the embedding alone, and independently all of it after the projection (the
        rows that are returned). `trained`: embedding and tokens independently, before it.
        """
        alone = dropped(len(tokens), self.probability, generator)
        other = dropped(len(tokens), self.probability, generator)
        if self.null is None:
            return tokens, torch.where(alone[:, None], 0.0, embedding), other
        null_tokens = self.null.tokens.to(tokens.dtype)
        return (
            torch.where(other[:, None, None], null_tokens, tokens),
            torch.where(alone[:, None], self.null.embedding.float(), embedding),
            None,
        )

    def refine(self, coarse: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Drop coarse latents (B, C, h, w); return them and the rows whose tokens are null too.

        `trained`: the coarse picture alone becomes mid-grey, the tokens are never dropped.
        """
        null = dropped(len(coarse), self.probability, generator)
        mask = null[:, None, None, None]
        if self.null is None:
            return torch.where(mask, 0.0, coarse), null
        grey = self.null.coarse.expand(len(coarse), *self.null.coarse.shape)
        return torch.where(mask, draw_latents(grey, generator), coarse), None
