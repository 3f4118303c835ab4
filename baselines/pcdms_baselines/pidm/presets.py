"""Sizes of PIDM to train: `tiny` for the embedded people, and the published one.

What `tiny` changes of the published form, so that it learns something in minutes on a CPU:
"""

from __future__ import annotations

from dataclasses import dataclass

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


PRESETS = {
    "tiny": Preset(
        Shape((48, 64, 96), (True, True, True), 48, 80, 48, time=128, spare=False),
        Process("clean", shift=6.0), dropout=0.0, mirror=False, steps=5, guidance=1.0,
    ),
    "paper": Preset(
        Shape(spare=False), Process(), dropout=0.1, mirror=True, steps=STEPS, guidance=GUIDANCE
    ),
}  # fmt: skip


def new_network(preset: Preset) -> PidmDenoiser:
    """Return an untrained network; the last convolution of every block starts with zeros."""
    return PidmDenoiser(preset.shape, preset.dropout, preset.process)
