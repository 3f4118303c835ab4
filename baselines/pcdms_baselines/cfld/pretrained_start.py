"""Where the published training starts: Stable Diffusion's UNet and a Swin-B of ImageNet.

Sources: YanzuoLu/CFLD:pose_transfer_train.py, models/*.py (bias tables of another window are
resized); microsoft/Swin-Transformer:utils.py.
"""

from __future__ import annotations

from math import isqrt
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_baselines.cfld.network import Cfld
from pcdms_baselines.cfld.swin import Swin
from pcdms_baselines.checkpoint_file import State, read_state
from pcdms_baselines.published import report
from pcdms_data.types import InputError

UNET_FILE = Path("unet") / "diffusion_pytorch_model.safetensors"
SWIN_FILE = Path("swin") / "swin_base_patch4_window12_384_22kto1k.pth"

TABLE = ".relative_position_bias_table"
COMPUTED = (".relative_position_index", ".attn_mask")
BEYOND = ("norm.", "head.")
"""Parts of a classifier that follow the last stage."""


def start_at_pretrained(network: Cfld, folder: Path) -> None:
    """Copy the weights of both pretrained networks, which lie in `folder`, into `network`.

    The folder is laid out as the authors' `pretrained_models`: Stable Diffusion 1.5's `vae` and
    `unet`, and `swin` with the file of Swin-B (384 pixels, windows of 12).

    Raises:
        InputError: a file is missing, or does not fit; the message lists the names.
    """
    unet_file, swin_file = folder / UNET_FILE, folder / SWIN_FILE
    for file in (unet_file, swin_file):
        if not file.is_file():
            raise InputError(
                f"{file}: no such file, expected beside the autoencoder: the published training "
                f"starts at {UNET_FILE} of Stable Diffusion 1.5 and at {SWIN_FILE}"
            )
    try:
        unet = load_file(unet_file)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{unet_file}: cannot be read ({error})") from None
    _copy(network.model, unet, unet_file)
    _copy(network.backbone, fitted(network.backbone, read_state(swin_file, ("model",))), swin_file)


def fitted(backbone: Swin, state: State) -> State:
    """Return a classifier's weights as those of the backbone: windows resized, the end dropped."""
    own = backbone.state_dict()
    kept = {
        name: value
        for name, value in state.items()
        if not name.startswith(BEYOND) and not name.endswith(COMPUTED)
    }
    for name, value in kept.items():
        if name.endswith(TABLE) and name in own:
            kept[name] = resized(value, len(own[name]))
    return kept | {name: value for name, value in own.items() if name.endswith(COMPUTED)}


def resized(table: Tensor, places: int) -> Tensor:
    """Return a bias table of square windows (N, heads) for windows with `places` positions."""
    before, after = isqrt(len(table)), isqrt(places)
    if before == after:
        return table
    square = table.T.reshape(1, -1, before, before)
    square = F.interpolate(square, size=(after, after), mode="bicubic")
    return square.reshape(-1, places).T.contiguous()


@torch.no_grad()
def _copy(network: nn.Module, state: State, file: Path) -> None:
    problems = report(network.state_dict(), state)
    if problems:
        raise InputError(f"{file} does not fit: {problems}")
    network.load_state_dict(state)
