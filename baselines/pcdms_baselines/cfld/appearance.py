"""What the source looks like, at several sizes: tokens that join the UNet's queries.

Source: YanzuoLu/CFLD:models/*.py; arXiv 2402.18078, section 3.3 (hybrid-granularity attention). The
names of the parts are those of the published files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn


@dataclass(frozen=True)
class Branch:
    """Tokens for one cross attention: width inside, width outside, heads, and whose features.

    `stage` counts the backbone's stages from the finest; `width_in` is the stage's width.
    """

    stage: int
    width_in: int
    inner: int
    width_out: int
    heads: int


def _branches(stage: int, width_in: int, inner: int, width_out: int) -> tuple[Branch, ...]:
    return (Branch(stage, width_in, inner, width_out, inner // 32),) * 3


PUBLISHED_BRANCHES = (
    *_branches(0, 128, 64, 320), *_branches(1, 256, 128, 640), *_branches(2, 512, 256, 1280),
)  # fmt: skip
PUBLISHED_DEPTH = 4


class AppearanceEncoder(nn.Module):
    """Features of the backbone's stages -> tokens for the UNet's cross attentions on its way up.

    The first branch is for the last of those attentions, next to the UNet's output. The defaults
    are the published ones: 22,549,632 parameters.
    """

    def __init__(
        self, branches: Sequence[Branch] = PUBLISHED_BRANCHES, depth: int = PUBLISHED_DEPTH
    ) -> None:
        super().__init__()
        self.stages = tuple(branch.stage for branch in branches)
        self.zero_conv_ins = nn.ModuleList(
            _zero(nn.Conv2d(branch.width_in, branch.inner, 1)) for branch in branches
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(_block(branch) for _ in range(depth)) for branch in branches
        )
        self.zero_conv_outs = nn.ModuleList(
            _zero(nn.Conv2d(branch.inner, branch.width_out, 1)) for branch in branches
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one (B, h * w, width) per branch; `features` are (B, C, h, w), one per stage."""
        parts = zip(self.stages, self.zero_conv_ins, self.blocks, self.zero_conv_outs, strict=True)
        tokens = []
        for stage, entry, blocks, way_out in parts:
            x = entry(features[stage])
            size = x.shape[-2:]
            x = x.flatten(2).transpose(1, 2)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x)
            x = way_out(x.transpose(1, 2).unflatten(2, size))
            tokens.append(x.flatten(2).transpose(1, 2))
        return tokens


def _block(branch: Branch) -> nn.Module:
    """Return two self attentions and a feed-forward part."""
    return BasicTransformerBlock(
        branch.inner, branch.heads, branch.inner // branch.heads, double_self_attention=True
    )


def _zero(convolution: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution with weights of zero: training begins with the UNet as it was."""
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
