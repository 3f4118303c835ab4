"""The training of CFLD from pairs: networks, loss and rows of a preset, and what ships of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcdms_baselines.cfld.losses import CfldLoss, Encode
from pcdms_baselines.cfld.presets import PRESETS, config_of, new_network, smallest_cell
from pcdms_baselines.cfld.pretrained_start import start_at_pretrained
from pcdms_baselines.cfld.training_rows import LatentRows, PictureRows
from pcdms_baselines.training import Aid, Aids, Size, Training, check_canvas
from pcdms_baselines.vae_roundtrip import load_autoencoder
from pcdms_data.types import InputError, Pair

NEEDS: Mapping[str, tuple[Aid, ...]] = {"tiny": ("vae",), "paper": ("vae",)}

CANVAS: Size = (256, 256)
LATENT_FRAME: Size = (512, 512)


def prepare(preset: str, pairs: Sequence[Pair], frame: Size, aids: Aids) -> Training:
    """Return the training of a preset on pictures of `frame`.

    `tiny` works on the frame itself, with latents kept in memory; `paper` on squares, starting at
    the pretrained networks that lie beside the autoencoder.
    """
    assert aids.vae is not None  # the preset needs it
    chosen, vae = PRESETS[preset], load_autoencoder(aids.vae).to(aids.device).requires_grad_(False)
    tiny = preset == "tiny"
    canvas = frame if tiny else CANVAS
    check_canvas(canvas, smallest_cell(chosen))
    _check_latents(vae, chosen.unet["in_channels"], aids.vae)
    network = new_network(chosen, canvas)
    if not tiny:
        start_at_pretrained(network, aids.vae.parent)

    def export(module: nn.Module) -> tuple[Mapping[str, Tensor], Mapping[str, object]]:
        return module.state_dict(), config_of(chosen, frame, canvas)

    if tiny:
        return Training(network, CfldLoss(chosen.drops), LatentRows(pairs, frame, vae), export)
    loss = CfldLoss(chosen.drops, _encoder(vae))
    return Training(network, loss, PictureRows(pairs, canvas, LATENT_FRAME), export)


def _encoder(vae: Any) -> Encode:
    """Return what draws scaled latents of pictures."""

    @torch.no_grad()
    def encode(pictures: Tensor, generator: torch.Generator) -> Tensor:
        found = vae.encode(pictures).latent_dist
        noise = torch.randn(found.mean.shape, generator=generator).to(found.mean.device)
        scaled: Tensor = (found.mean + found.std * noise) * vae.config["scaling_factor"]
        return scaled

    return encode


def _check_latents(vae: Any, channels: int, folder: Path) -> None:
    found = vae.config["latent_channels"]
    if found != channels:
        raise InputError(f"{folder}: latents of {found} channels, expected {channels}")
