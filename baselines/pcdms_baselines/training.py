"""What a trainable baseline hands to the training loop: module, loss, rows, and what ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from pcdms_data.types import InputError, Pair

Size = tuple[int, int]
Aid = Literal["perceptual", "vae"]


class TrainingRows(Protocol):
    """Training rows by number."""

    def __len__(self) -> int:
        """Return how many rows an epoch has."""

    def fetch(self, rows: Tensor) -> Any:
        """Return the batch of the rows with these numbers, int64 (B,), as the loss expects it."""


@dataclass(frozen=True)
class Aids:
    """Frozen networks that a training is given.

    `perceptual` is torchvision's VGG-19, `vae` the folder of a diffusers AutoencoderKL.
    """

    device: str = "cpu"
    perceptual: Path | None = None
    vae: Path | None = None


@dataclass(frozen=True)
class Training:
    """One training, ready for the loop.

    `loss(module, batch, generator)` is the mean over the batch's rows and draws everything from
    the generator; `export(module)` gives the weights that ship by name, and their `config.json`:
    `frame` and `canvas` as [H, W], and what shapes cannot tell.
    """

    module: nn.Module
    loss: Callable[[nn.Module, Any, torch.Generator], Tensor]
    rows: TrainingRows
    export: Callable[[nn.Module], tuple[Mapping[str, Tensor], Mapping[str, object]]]


class Trainable(Protocol):
    """The module `training` of a method that can be trained."""

    NEEDS: Mapping[str, tuple[Aid, ...]]
    """Preset -> the aids without which it cannot be trained; its keys are the presets."""

    def prepare(self, preset: str, pairs: Sequence[Pair], frame: Size, aids: Aids) -> Training:
        """Return the training of a preset on pictures of `frame` = (H, W), weights fresh.

        Fresh weights come from torch's global generator, which the caller seeds. Raises
        InputError where the frame does not suit the network.
        """


TRAINABLE = {name: f"pcdms_baselines.{name}.training" for name in ("dptn", "cfld", "pidm")}
"""Method -> the module with its training."""


def trainable(name: str) -> Trainable:
    """Return the training of a method of `TRAINABLE`."""
    return cast("Trainable", import_module(TRAINABLE[name]))


def check_canvas(canvas: Size, cell: int) -> None:
    """Raise InputError unless both sides are multiples of `cell`."""
    if canvas[0] % cell or canvas[1] % cell:
        raise InputError(f"pictures of {canvas[0]}x{canvas[1]}: expected multiples of {cell}")
