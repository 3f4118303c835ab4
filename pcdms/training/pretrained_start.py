"""Starts the stages at pretrained networks: Stable Diffusion's UNet, Kandinsky's prior.

As published, whatever has another shape than the pretrained weight stays random, and with it the
UNet's whole first convolution, because it has more input channels. The better variant keeps what
that convolution knows and gives the new channels zeros, so that training begins at the pretrained
network's own output. Source: tencent-ailab/PCDMs:stage{1,2,3}_train_*.py (`from_pretrained(...,
ignore_mismatched_sizes=True)`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pcdms.inpaint import InpaintModel
from pcdms.model_directory import weight_files
from pcdms.part_sources import local_folder
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms_data.types import InputError

Start = Literal["published", "padded"]
STARTS: tuple[Start, ...] = get_args(Start)
FIRST_CONVOLUTION = "conv_in.weight"


@dataclass(frozen=True)
class StartReport:
    """What became of each weight of the network, by its name there."""

    copied: tuple[str, ...]
    padded: tuple[str, ...]
    """First channels copied, the others zero."""
    misshapen: tuple[str, ...]
    """Pretrained weight of another shape: left as it was initialised."""
    new: tuple[str, ...]
    """Not in the pretrained network: left as it was initialised."""
    unused: tuple[str, ...]
    """Weights of the pretrained network that this one has no place for."""


def start_at_pretrained(
    model: PriorTransformer | InpaintModel | RefineModel,
    source: str | Path,
    start: Start = "padded",
    download: bool = False,
) -> StartReport:
    """Copy the weights of a pretrained network into `model`, in place.

    `source` is a folder with config.json and safetensors, or a hub id in the local cache, of a
    Stable Diffusion 2.1 (sub-folder `unet`) or a Kandinsky 2.2 prior (sub-folder `prior`); or the
    folder of the same part in a model directory, whose training then goes on.

    Raises:
        InputError: the source is missing or unreadable, or no weight of it fits.
    """
    place = "prior" if isinstance(model, PriorTransformer) else "unet"
    target: nn.Module = model if isinstance(model, PriorTransformer) else model.unet
    files = (f"{place}/config.json", f"{place}/diffusion_pytorch_model.safetensors")
    folder = local_folder(source, files, download)
    folder = folder / place if (folder / place).is_dir() else folder
    state: dict[str, Tensor] = {}
    for file in weight_files(folder):
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: cannot be read ({error})") from None
    if any(name.startswith("unet.") for name in state):  # a part of ours, not the UNet alone
        target = model
    report = copy_weights(target, state, start)
    if not report.copied:
        raise InputError(f"{folder}: no weight fits, expected the pretrained network of {place}")
    return report


@torch.no_grad()
def copy_weights(
    target: nn.Module, state: Mapping[str, Tensor], start: Start = "padded"
) -> StartReport:
    """Copy the weights of `state` that have the name and shape of one of `target`, in place.

    `start="padded"` also fills the first convolution (out, more channels, k, k): the pretrained
    input channels come first, as the noisy latent does in the network's input.
    """
    if start not in STARTS:
        raise InputError(f"unknown start {start!r}, expected one of {', '.join(STARTS)}")
    copied, padded, misshapen, new = [], [], [], []
    own = target.state_dict()
    for name, value in own.items():
        if name not in state:
            new.append(name)
        elif state[name].shape == value.shape:
            value.copy_(state[name])
            copied.append(name)
        elif start == "padded" and name == FIRST_CONVOLUTION and _fits(state[name], value):
            value.zero_()
            value[:, : state[name].shape[1]] = state[name].to(value.dtype)
            padded.append(name)
        else:
            misshapen.append(name)
    unused = tuple(name for name in state if name not in own)
    return StartReport(tuple(copied), tuple(padded), tuple(misshapen), tuple(new), unused)


def _fits(pretrained: Tensor, own: Tensor) -> bool:
    """Whether two convolutions differ in nothing but more input channels of the second."""
    same = pretrained.shape[0] == own.shape[0] and pretrained.shape[2:] == own.shape[2:]
    return same and pretrained.shape[1] < own.shape[1]
