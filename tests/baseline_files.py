"""Reference data of the published baselines, and small published files made on the spot."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = (
    Path(os.environ.get("PCDMS_GOLDEN", Path(__file__).parents[1] / ".." / "shared" / "golden"))
    / "baselines"
)
needs_golden = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no reference data: set PCDMS_GOLDEN to its folder"
)
TOLERANCE = 2e-4
"""Greatest difference from the official networks that the reference data allow."""


def arrays(path: Path) -> dict[str, torch.Tensor]:
    """The arrays of a file of reference data, float32."""
    with np.load(path, allow_pickle=False) as content:
        return {name: torch.from_numpy(content[name]).float() for name in content.files}


def distance(one: torch.Tensor, two: torch.Tensor) -> float:
    """The greatest difference of two tensors of one shape."""
    assert one.shape == two.shape
    return float((one - two).abs().max())


def filled(network: torch.nn.Module, seed: int = 0, size: float = 0.1) -> torch.nn.Module:
    """The network with seeded weights of about this size, none of them zero, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * size)
    return network.eval()
