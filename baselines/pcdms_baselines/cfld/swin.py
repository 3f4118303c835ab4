"""Swin Transformer: features of a picture at four sizes, attention inside shifted windows.

Sources: arXiv 2103.14030; microsoft/Swin-Transformer:models/swin_transformer.py, as the backbone of
YanzuoLu/CFLD:models/*.py. The names of the parts are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, int]

PATCH = 4
MASKED = -100.0
"""Added where cells of a rolled window were no neighbours before it was rolled."""


def windows(x: Tensor, window: Size) -> Tensor:
    """Return (B, h, w, C) cut into windows (B * N, window cells, C)."""
    batch, height, width, channels = x.shape
    high, wide = window
    x = x.view(batch, height // high, high, width // wide, wide, channels)
    return x.transpose(2, 3).reshape(-1, high * wide, channels)


def joined(x: Tensor, window: Size, grid: Size) -> Tensor:
    """Return windows (B * N, window cells, C) put together again as (B, h, w, C)."""
    (high, wide), (height, width) = window, grid
    x = x.view(-1, height // high, width // wide, high, wide, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


def relative_positions(window: Size) -> Tensor:
    """Return int64 (cells, cells): the row of the bias table for each pair of cells."""
    high, wide = window
    rows, columns = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None] + high - 1
    right = columns[:, None] - columns[None] + wide - 1
    return down * (2 * wide - 1) + right


def shift_mask(grid: Size, window: Size, shift: Size) -> Tensor:
    """Return (windows, cells, cells): `MASKED` between cells joined by the roll alone."""
    parts = torch.zeros(1, *grid, 1)
    bands = [
        (slice(0, -whole), slice(-whole, -moved or None), slice(-moved, None) if moved else None)
        for whole, moved in zip(window, shift, strict=True)
    ]
    for number, (rows, columns) in enumerate(product(*bands)):
        if rows is not None and columns is not None:
            parts[:, rows, columns] = number
    labels = windows(parts, window).squeeze(-1)
    return torch.where(labels[:, None] == labels[:, :, None], 0.0, MASKED)


class WindowAttention(nn.Module):
    """Attention among the cells of each window, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, window: Size, heads: int) -> None:
        super().__init__()
        self.heads = heads
        places = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(places, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_positions(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B * N, cells, C) of the same; `mask` (N, cells, cells) is added to the scores."""
        rows, cells, width = x.shape
        query, key, value = (
            self.qkv(x).view(rows, cells, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        index = self.relative_position_index.flatten()
        bias = self.relative_position_bias_table[index].view(cells, cells, self.heads)
        bias = bias.permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(rows // len(mask), 1, 1, 1)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        result: Tensor = self.proj(x.transpose(1, 2).reshape(rows, cells, width))
        return result


class Mlp(nn.Module):
    """Two layers with a GELU between them, four times as wide inside."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class SwinBlock(nn.Module):
    """Window attention and MLP, both residual; the windows lie shifted where `shift` is not 0.

    In training each of both is left out of a share `drop` of the rows (stochastic depth).
    """

    attn_mask: Tensor | None

    def __init__(
        self, width: int, grid: Size, window: Size, shift: Size, heads: int, drop: float = 0.0
    ) -> None:
        super().__init__()
        self.grid, self.window, self.shift, self.drop = grid, window, shift, drop
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, window, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.register_buffer("attn_mask", shift_mask(grid, window, shift) if any(shift) else None)

    def forward(self, x: Tensor) -> Tensor:
        """Return cells (B, h * w, C) of the same shape."""
        batch, cells, width = x.shape
        y = self.norm1(x).view(batch, *self.grid, width)
        down, right = self.shift
        if down or right:
            y = y.roll((-down, -right), dims=(1, 2))
        y = joined(self.attn(windows(y, self.window), self.attn_mask), self.window, self.grid)
        if down or right:
            y = y.roll((down, right), dims=(1, 2))
        x = x + self._kept(y.view(batch, cells, width))
        result: Tensor = x + self._kept(self.mlp(self.norm2(x)))
        return result

    def _kept(self, part: Tensor) -> Tensor:
        """Return the rows that are not left out, stronger by as much as is missing."""
        if not self.training or not self.drop:
            return part
        kept = torch.rand(len(part), 1, 1, device=part.device) >= self.drop
        return part * kept / (1 - self.drop)


class Merging(nn.Module):
    """2 x 2 cells become one of twice the width."""

    def __init__(self, width: int, grid: Size) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, h * w / 4, 2C) of (B, h * w, C)."""
        x = x.view(x.shape[0], *self.grid, x.shape[-1])
        # In the published order: first the rows of a column, then the next column.
        corners = [x[:, row::2, column::2] for column, row in product((0, 1), (0, 1))]
        result: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1).flatten(1, 2)))
        return result


class Stage(nn.Module):
    """Blocks of one size, every second one shifted, and the merging that leads to the next."""

    def __init__(
        self,
        width: int,
        grid: Size,
        window: Size,
        heads: int,
        drops: Sequence[float],
        last: bool,
    ) -> None:
        super().__init__()
        fitted = (min(window[0], grid[0]), min(window[1], grid[1]))
        moved = tuple(w // 2 if w < g else 0 for w, g in zip(fitted, grid, strict=True))
        self.blocks = nn.ModuleList(
            SwinBlock(width, grid, fitted, (moved[0], moved[1]) if odd % 2 else (0, 0), heads, drop)
            for odd, drop in enumerate(drops)
        )
        self.downsample = None if last else Merging(width, grid)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stage's cells, and what the next stage begins with."""
        for block in self.blocks:
            x = block(x)
        return x, x if self.downsample is None else self.downsample(x)


class PatchEmbedding(nn.Module):
    """Picture (B, 3, H, W) -> cells (B, H/4 * W/4, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the cells."""
        result: Tensor = self.norm(self.proj(picture).flatten(2).transpose(1, 2))
        return result


class Swin(nn.Module):
    """Picture -> the features of every stage, as maps (B, C, h, w), before their merging.

    `picture` = (H, W) of the input; each stage halves the grid and doubles the width, and sides
    must divide into windows. The defaults are the published Swin-B: 86,991,864 parameters. `drop`
    is the share of rows without the last block in training; it grows from 0 at the first one.
    """

    def __init__(
        self,
        picture: Size = (256, 256),
        width: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        heads: Sequence[int] = (4, 8, 16, 32),
        window: Size = (16, 16),
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.picture = picture
        self.patch_embed = PatchEmbedding(width)
        self.grids = tuple(
            (picture[0] // PATCH // 2**index, picture[1] // PATCH // 2**index)
            for index in range(len(depths))
        )
        last = max(1, sum(depths) - 1)
        shares = iter([drop * block / last for block in range(sum(depths))])
        self.layers = nn.ModuleList(
            Stage(
                width * 2**index, grid, window, count, list(islice(shares, depth)),
                index + 1 == len(depths),
            )
            for index, (depth, grid, count) in enumerate(
                zip(depths, self.grids, heads, strict=True)
            )
        )  # fmt: skip

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Return one (B, C, h, w) per stage; `picture` (B, 3, H, W) in [-1, 1]."""
        x, features = self.patch_embed(picture), []
        for stage, grid in zip(self.layers, self.grids, strict=True):
            cells, x = stage(x)
            features.append(cells.transpose(1, 2).unflatten(2, grid))
        return features
