"""Starts the autoencoder's encoder at principal components of picture patches.

From random weights a small autoencoder spends thousands of CPU steps before it carries colour. Here
the stock `AutoencoderKL` encoder begins as the linear map that keeps the most variance: each latent
cell holds the first C principal components of its patch, and training goes on from there.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

_CONSTANT = 10.0
"""Height of the constant channels that fix the last group norm's scale."""


def patch_components(pixels: Tensor, factor: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (3 f f,), components (count, 3 f f) and their spread (count,).

    `pixels` (N, 3, H, W) in [-1, 1]; a patch is ordered channel, row, column.
    """
    patches = functional.unfold(pixels, factor, stride=factor).transpose(1, 2)
    flat = patches.reshape(-1, patches.shape[-1]).double()
    mean = flat.mean(0)
    covariance = torch.cov((flat - mean).T)
    values, vectors = torch.linalg.eigh(covariance)
    order = values.argsort(descending=True)[:count]
    return mean.float(), vectors[:, order].T.float(), values[order].sqrt().float()


@torch.no_grad()
def start_at_components(vae: AutoencoderKL, pixels: Tensor) -> None:
    """Set the encoder of `vae` to the principal components of `pixels` (N, 3, H, W) in [-1, 1].

    Every residual branch starts at zero, the shortcuts carry the pixels of a patch as channels, and
    two channels per component (value and negative) pass the last activation unchanged, because
    silu(x) - silu(-x) = x.
    """
    config: Any = vae.config
    channels, groups = config["block_out_channels"], config["norm_num_groups"]
    latent = config["latent_channels"]
    levels = len(channels)
    mean, components, spread = patch_components(pixels, 2 ** (levels - 1), latent)
    encoder: Any = vae.encoder
    _clear(encoder.conv_in)
    for colour in range(3):
        encoder.conv_in.weight[colour, colour, 1, 1] = 1
    encoder.conv_in.bias[3] = 1  # a constant, carried to the end
    carried = 3
    for level, block in enumerate(encoder.down_blocks):
        for resnet in block.resnets:
            _close(resnet)
        if level < levels - 1:
            conv = block.downsamplers[0].conv
            _clear(conv)
            for channel in range(carried):
                for place in range(4):
                    conv.weight[channel * 4 + place, channel, place // 2, place % 2] = 1
            conv.weight[4 * carried, carried, 0, 0] = 1
            carried *= 4
    for resnet in encoder.mid_block.resnets:
        _close(resnet)
    _project(encoder, mean, components / spread[:, None], carried, groups)
    _clear(encoder.conv_out)
    per_group = channels[-1] // groups
    for index in range(latent):
        plus = (index % groups) * per_group + 2 * (index // groups)
        encoder.conv_out.weight[index, plus, 1, 1] = 1
        encoder.conv_out.weight[index, plus + 1, 1, 1] = -1
        encoder.conv_out.bias[latent + index] = -6  # log variance
    quant: Any = vae.quant_conv
    quant.weight.copy_(torch.eye(2 * latent)[:, :, None, None])
    quant.bias.zero_()


def _project(encoder: Any, mean: Tensor, rows: Tensor, carried: int, groups: int) -> None:
    """Let the last level's shortcut compute the components and the last norm keep their scale."""
    shortcut = encoder.down_blocks[-1].resnets[0].conv_shortcut
    _clear(shortcut)
    width = shortcut.weight.shape[0]
    per_group = width // groups
    for index, row in enumerate(rows):
        plus = (index % groups) * per_group + 2 * (index // groups)
        for sign, channel in ((1.0, plus), (-1.0, plus + 1)):
            shortcut.weight[channel, :carried, 0, 0] = sign * row[_order(carried)]
            shortcut.bias[channel] = -sign * (row @ mean)
    for group in range(groups):
        last = (group + 1) * per_group - 1
        shortcut.weight[last, carried, 0, 0] = _CONSTANT
        shortcut.weight[last - 1, carried, 0, 0] = -_CONSTANT
    encoder.conv_norm_out.weight.fill_(_CONSTANT * (2 / per_group) ** 0.5)
    encoder.conv_norm_out.bias.zero_()


def _order(carried: int) -> Tensor:
    """Return, for each carried channel, its position in a patch ordered channel, row, column.

    Each downsampling makes channel c into 4 c + place, so the first one holds the finest place.
    """
    side = round((carried // 3) ** 0.5)
    positions = torch.arange(3 * side * side).reshape(3, side, side)
    while positions.shape[-1] > 1:
        height = positions.shape[-1] // 2
        grid = positions.reshape(-1, height, 2, height, 2)
        positions = grid.permute(0, 2, 4, 1, 3).reshape(-1, height, height)
    return positions.flatten()


def _clear(layer: Any) -> None:
    layer.weight.mul_(0.02)
    layer.bias.zero_()


def _close(resnet: Any) -> None:
    """Make a residual block pass its input on: zero branch, copying shortcut."""
    resnet.conv2.weight.zero_()
    resnet.conv2.bias.zero_()
    if resnet.conv_shortcut is not None:
        _clear(resnet.conv_shortcut)
        for channel in range(min(resnet.conv_shortcut.weight.shape[:2])):
            resnet.conv_shortcut.weight[channel, channel, 0, 0] = 1
