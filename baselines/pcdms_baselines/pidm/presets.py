"""Sizes of PIDM to train: `tiny` for the embedded people, and the published one.

What makes it PIDM stays in `tiny`: the pose joined to the noisy picture, and the source by cross
attention to its encoder's features alone, level by level from 24 rows down. What it changes of the
published form, so that it learns something in 45 minutes of one CPU core:

- cells of 4 x 4 pixels are its positions (`canvas.py`), the pose has half the size, 3 levels;
- it predicts the clean picture, not the noise; no learned variance, so no variational term;
- signal to noise is divided by 6: with the published schedule the colours of a small picture shine
  through the noise at most times, and the source was hardly looked at;
- no dropout, no mirroring, rows of 8; another start of the weights (`new_network`);
- five steps without guidance draw a picture.

Both leave out the published growing and cropping of pictures by up to 5 %, and the weights that
nothing uses, which several processes could not train.
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
    """The network, how it is taught, and how pictures are drawn with it.

    `mirror`: half of the training rows are mirrored. `lively`: another start, see `new_network`.
    """

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
