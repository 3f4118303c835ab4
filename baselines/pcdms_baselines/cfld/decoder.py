"""The source in a few tokens, which take the place of the UNet's text.

Source: YanzuoLu/CFLD:models/*.py; arXiv 2402.18078, section 3.2 (perception-refined decoder). The
names of the parts are those of the published files.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn


class DecoderBlock(BasicTransformerBlock):
    """The queries look at the picture, then at each other; their positions are added twice."""

    def forward(self, x: Tensor, picture: Tensor, positions: Tensor) -> Tensor:
        """Return queries (B, Q, D) of the same shape; `picture` (B, T, E), `positions` (Q, D)."""
        x = x + positions
        x = x + self.attn2(self.norm2(x), encoder_hidden_states=picture)
        x = x + positions
        x = x + self.attn1(self.norm1(x))
        result: Tensor = x + self.ff(self.norm3(x))
        return result


class Decoder(nn.Module):
    """Coarsest features (B, T, E) of the source -> tokens (B, Q, D).

    The defaults are the published ones: 97,712,128 parameters.
    """

    def __init__(
        self,
        queries: int = 16,
        width: int = 768,
        cells: int = 64,
        width_in: int = 1024,
        depth: int = 8,
        heads: int = 24,
    ) -> None:
        super().__init__()
        self.query_feat = nn.Parameter(torch.randn(queries, width))
        self.pos_embed = nn.Parameter(torch.randn(queries, width))
        self.kv_pos_embed = nn.Parameter(torch.zeros(1, cells, width_in))
        nn.init.trunc_normal_(self.kv_pos_embed, std=0.02)
        self.blocks = nn.ModuleList(
            DecoderBlock(width, heads, width // heads, cross_attention_dim=width_in)
            for _ in range(depth)
        )

    def forward(self, cells: Tensor) -> Tensor:
        """Return the tokens (B, Q, D)."""
        picture = cells + self.kv_pos_embed
        x = self.query_feat.expand(len(cells), -1, -1)
        for block in self.blocks:
            x = block(x, picture, self.pos_embed)
        return x
