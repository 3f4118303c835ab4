"""Parity values of published scoring scripts, and the network behind their LPIPS."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

GOLDEN = Path(os.environ.get("PCDMS_GOLDEN", "../shared/golden")) / "metrics"
PAIRS = {"p00": "p00_a_to_p00_b", "p06": "p06_a_to_p06_b", "p09": "p09_a_to_p09_b"}
"""Name in the stored values -> generated picture; the target is the part after `_to_`."""


def stored(name):
    """Return one file of stored values."""
    return json.loads((GOLDEN / name).read_text())


def picture_files(key):
    """Return generated picture and target of a pair."""
    made = PAIRS[key]
    return GOLDEN / "generated" / f"{made}.png", GOLDEN / "target" / f"{made.split('_to_')[1]}.png"


def write_backbone(path):
    """Write the random AlexNet behind the stored LPIPS values as a state dict of torchvision's."""
    import torch

    with np.load(GOLDEN / "lpips_alex_random_backbone.npz", allow_pickle=False) as found:
        state = {}
        for layer in (0, 3, 6, 8, 10):
            name = f"features.{layer}"
            levels = found[f"{name}.weight.levels"].astype(np.float32)
            scaled = levels * found[f"{name}.weight.scale"]
            state[f"{name}.weight"] = torch.from_numpy(scaled)
            state[f"{name}.bias"] = torch.from_numpy(found[f"{name}.bias"])
    torch.save(state, path)
    return path
