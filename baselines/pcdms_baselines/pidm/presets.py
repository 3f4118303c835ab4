"""Sizes of PIDM to train: `tiny` for the embedded people, and the published one.

What `tiny` changes of the published form, so that it learns something in minutes on a CPU:
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from pcdms_baselines.pidm.blocks import StyleAttention
from pcdms_baselines.pidm.diffusion import Process
from pcdms_baselines.pidm.network import PidmDenoiser, Shape
from pcdms_baselines.pidm.sampling import GUIDANCE, STEPS


@dataclass(frozen=True)
class Preset:
    """The network, how it is taught, and how pictures are drawn with it."""

    shape: Shape
    process: Process
    dropout: float
    mirror: bool
    steps: int
    guidance: float
    lively: bool = False


PRESETS = {
    "tiny": Preset(
        Shape((48, 64, 96), (True, True, True), 48, 80, 48, time=128, spare=False),
        Process("clean", shift=6.0), dropout=0.0, mirror=False, steps=5, guidance=1.0,
        lively=True,
    ),
    "paper": Preset(
        Shape(spare=False), Process(), dropout=0.1, mirror=True, steps=STEPS, guidance=GUIDANCE
    ),
}  # fmt: skip


def new_network(preset: Preset) -> PidmDenoiser:
    """Return an untrained network; the last convolution of every block starts with zeros.

    Where the preset says so other weights keep the size of what passes through them, and what
    attention finds counts from the start: the published start needs more steps than a CPU has.
    """
    network = PidmDenoiser(preset.shape, preset.dropout, preset.process)
    if preset.lively:
        for module in network.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.weight.any():
                _start(module.weight, 1.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in network.modules():
            if isinstance(module, StyleAttention):
                _start(module.to_q.weight, 1.5)
                _start(module.to_kv.weight[: module.to_q.out_channels], 1.5)
                _start(module.proj_out2.weight, 0.3)
    return network


def _start(weight: Tensor, gain: float) -> None:
    """Draw weights that multiply the deviation of what passes through them by `gain`."""
    nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()))
