"""How the networks run on the device: memory layout and compilation.

Both change a result in its last bits (other kernels, other fusions), so they are options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from pcdms_data.types import InputError

CompileMode = Literal["", "default", "reduce-overhead", "max-autotune"]
COMPILE_MODES: tuple[str, ...] = get_args(CompileMode)

_DENOISED = ("inpaint", "refine")
_CONVOLUTIONAL = (*_DENOISED, "vae")


@dataclass(frozen=True)
class Execution:
    """Memory layout of convolutions, and the mode of `torch.compile` ("": networks as they are).

    `channels_last` is the layout that tensor cores want. The mode `reduce-overhead` replays CUDA
    graphs, which needs a GPU to make a difference. Chunks are padded, so that a network is compiled
    once per number of rows.
    """

    channels_last: bool = False
    compile: CompileMode = ""

    def check(self) -> None:
        """Raise InputError for an unknown mode."""
        if self.compile not in COMPILE_MODES:
            raise InputError(
                f"unknown compile mode {self.compile!r}, expected one of "
                f"{', '.join(mode for mode in COMPILE_MODES if mode)}"
            )

    def apply(self, name: str, part: nn.Module) -> nn.Module:
        """Prepare a part of a model directory in place, and return it; names of weights stay."""
        self.check()
        if self.channels_last and name in _CONVOLUTIONAL:
            # `nn.Module.to` knows the keyword, the library's override in between does not.
            nn.Module.to(part, memory_format=torch.channels_last)
        if self.compile:
            for network in _networks(name, part):
                network.compile(mode=self.compile, fullgraph=True, dynamic=False)
        return part


def _networks(name: str, part: Any) -> list[Any]:
    """Return the networks of a part that are worth compiling: those that run in every step."""
    if name in _DENOISED:
        return [part.unet]
    if name == "vae":
        return [part.encoder, part.decoder]
    return [part] if name == "prior" else []
