"""The pose transformer of DPTN: what the self-reconstruction knows, carried to the target pose.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:models/PTM.py; arXiv 2203.07910.
Norms act per channel over all positions of a picture, and positions carry no code.
"""

from __future__ import annotations

from torch import Tensor, nn

from pcdms_baselines.dptn.blocks import activation


class TokenNorm(nn.InstanceNorm1d):
    """Instance norm of tokens (B, T, C): each channel over the T positions, affine."""

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)


def _attention(width: int, heads: int) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(width, heads, batch_first=True)


def _attend(attention: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    result: Tensor = attention(query, key, value, need_weights=False)[0]
    return result


class ContextBlock(nn.Module):
    """Context augment block: self attention, then a feed-forward layer; tokens (B, T, C)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = _attention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = TokenNorm(width), TokenNorm(width)
        self.activation = activation()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        tokens = self.norm1(tokens + _attend(self.self_attn, tokens, tokens, tokens))
        forwarded = self.linear2(self.activation(self.linear1(tokens)))
        result: Tensor = self.norm2(tokens + forwarded)
        return result


class TransferBlock(nn.Module):
    """Texture transfer block: asks the other task where to look, and takes the source from there.

    The keys are the context tokens of the self-reconstruction, the values the source's features.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = _attention(width, heads)
        self.multihead_attn = _attention(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = TokenNorm(width), TokenNorm(width)
        self.norm3 = TokenNorm(width)
        self.activation = activation()

    def forward(self, tokens: Tensor, context: Tensor, texture: Tensor) -> Tensor:
        """Return tokens of the same shape; `context` and `texture` are (B, T, C) too."""
        tokens = self.norm1(tokens + _attend(self.self_attn, tokens, tokens, tokens))
        tokens = self.norm2(tokens + _attend(self.multihead_attn, tokens, context, texture))
        forwarded = self.linear2(self.activation(self.linear1(tokens)))
        result: Tensor = self.norm3(tokens + forwarded)
        return result


class _Contexts(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ContextBlock(width, heads, hidden) for _ in range(layers))

    def forward(self, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens


class _Transfers(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransferBlock(width, heads, hidden) for _ in range(layers))
        self.norm = TokenNorm(width)

    def forward(self, tokens: Tensor, context: Tensor, texture: Tensor) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens, context, texture)
        result: Tensor = self.norm(tokens)
        return result


class PoseTransformer(nn.Module):
    """Feature maps (B, C, h, w) of both tasks and of the source -> map of the target task."""

    def __init__(self, width: int, heads: int, contexts: int, transfers: int, hidden: int) -> None:
        super().__init__()
        self.encoder = _Contexts(contexts, width, heads, hidden)
        self.decoder = _Transfers(transfers, width, heads, hidden)

    def forward(self, reconstruction: Tensor, target: Tensor, source: Tensor) -> Tensor:
        """Return the target's features (B, C, h, w) with the source's texture in place."""
        context = self.encoder(_tokens(reconstruction))
        tokens: Tensor = self.decoder(_tokens(target), context, _tokens(source))
        return tokens.transpose(1, 2).reshape(target.shape)


def _tokens(features: Tensor) -> Tensor:
    """Return a map (B, C, h, w) as tokens (B, h*w, C)."""
    return features.flatten(2).transpose(1, 2)
