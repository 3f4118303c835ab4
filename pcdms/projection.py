"""The small networks that bring conditions into a UNet: source tokens, and what `null` means.

Source: PCDMs section 3.3; tencent-ailab/PCDMs:stage2_train_inpaint_model.py (ImageProjModel_p).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImageProjection(nn.Module):
    """Projects the source encoder's tokens (B, T, Dt) to context tokens (B, T, context width)."""

    def __init__(self, token_width: int, hidden: int, context_width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(token_width, hidden),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, context_width),
            nn.Dropout(0.0),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, T, context width)."""
        return self.net(tokens)


def zero_rows(values: Tensor, null_rows: Tensor | None) -> Tensor:
    """Return `values` (B, ...) with the rows marked in `null_rows` (B,) set to exact zero."""
    if null_rows is None:
        return values
    keep = ~null_rows.reshape(-1, *([1] * (values.dim() - 1)))
    return torch.where(keep, values, torch.zeros((), dtype=values.dtype, device=values.device))
