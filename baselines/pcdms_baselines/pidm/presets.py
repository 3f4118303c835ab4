"""Sizes of PIDM to train: `tiny` for the embedded people, and the published one.

What `tiny` changes of the published form, so that it learns something in minutes on a CPU:
"""

from __future__ import annotations

from dataclasses import dataclass

from pcdms_baselines.pidm.diffusion import Prediction
from pcdms_baselines.pidm.network import PidmDenoiser, Shape
from pcdms_baselines.pidm.sampling import GUIDANCE, STEPS


@dataclass(frozen=True)
class Preset:
    """The network, how it is taught, and how pictures are drawn with it."""

    shape: Shape
    prediction: Prediction
    dropout: float
    mirror: bool
    steps: int
    guidance: float


PRESETS = {
    "tiny": Preset(
        Shape((32, 48, 64, 96), (False, True, True, True), 12, 20, 12, 128, spare=False),
        "clean", dropout=0.0, mirror=False, steps=10, guidance=1.0,
    ),
    "paper": Preset(
        Shape(spare=False), "noise", dropout=0.1, mirror=True, steps=STEPS, guidance=GUIDANCE
    ),
}  # fmt: skip


def new_network(preset: Preset) -> PidmDenoiser:
    """Return an untrained network; the last convolution of every block starts with zeros."""
    return PidmDenoiser(preset.shape, preset.dropout, preset.prediction)
