"""The arithmetic that a device can do at most: what a share of the floor is taken of."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

ASSUMED = {"H200": 780e12}
"""Part of a GPU's name -> the project's bf16 rate of it (operations per second), not a product
sheet's."""
_SIDES = {"cuda": 8192, "cpu": 1024, "mps": 4096}


@dataclass(frozen=True)
class Peak:
    """Operations per second: `rate` is what floors are computed from, `matmul` was measured here.

    `source` says whether `rate` is the measured product or an assumed figure.
    """

    rate: float
    matmul: float
    source: str


def peak_of(device: str, dtype: torch.dtype) -> Peak:
    """Measure a large matrix product in `dtype`; of known GPUs the assumed bf16 rate counts."""
    measured = _matmul_rate(device, dtype)
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        for part, rate in ASSUMED.items():
            if part in name:
                return Peak(rate, measured, f"assumed for {part}, bf16")
    kind = str(dtype).removeprefix("torch.")
    return Peak(measured, measured, f"measured here: {kind} matrix product")


def _matmul_rate(device: str, dtype: torch.dtype, repeats: int = 12) -> float:
    """Return the best rate of a square matrix product."""
    side = _SIDES[device.partition(":")[0]]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        wait_for(device)
        started = time.perf_counter()
        left @ right
        wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def wait_for(device: str) -> None:
    """Return when the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
