"""The SSIM recipes of the field, each choice a field: they differ by more than methods do.

Sources: the scripts that `protocols.py` names. Radius = int(3.5 sigma + 0.5), taps = 2 radius + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class SsimVariant:
    """One SSIM recipe, applied per channel and averaged over the map, channels and pictures."""

    window: Literal["gaussian", "uniform"]
    taps: int
    """Width of the window in pixels, odd; a border of taps // 2 pixels is left out of the mean."""
    sigma: float
    """Standard deviation of the Gaussian window in pixels; 0 for the uniform one."""
    covariance: Literal["population", "sample"]
    data_range: float | None
    """Range of the values; None: maximum minus minimum of the prediction, all channels."""
    scale: float
    """What a pixel of 255 is when it enters: 255.0 or 1.0."""
    k1: float = 0.01
    k2: float = 0.03
    arithmetic: Literal["float64", "float32"] = "float64"
    """float32 is within 2e-6 of float64 and about twice as fast."""


SSIM_G15 = SsimVariant("gaussian", 11, 1.5, "population", 255.0, 255.0)
"""`ssim_g15` with the fixed range of `standard`."""
SSIM_G15_OWN = replace(SSIM_G15, data_range=None)
"""`ssim_g15` of the published scripts: the range is that of the prediction."""
SSIM_G12_OWN = SsimVariant("gaussian", 9, 1.2, "population", None, 255.0)
"""`ssim_g12`: PIDM and PCDMs."""
SSIM_WIN51 = SsimVariant("uniform", 51, 0.0, "sample", 1.0, 1.0)
"""`ssim_win51`: uniform 51x51, sample covariance, on [0, 1]."""
