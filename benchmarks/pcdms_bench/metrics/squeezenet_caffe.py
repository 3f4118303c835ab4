"""The Caffe training of SqueezeNet 1.1, ImageNet: the extractor of `fd_squeezenet_caffe`.

Its file is the user's. It is another network than torchvision's SqueezeNet 1.1, whose heads LPIPS
has, so no LPIPS can be made of it.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pcdms_bench.metrics.squeezenet import FIRES, SqueezeNet, names
from pcdms_bench.metrics.user_networks import SQUEEZENET_SHA256, SQUEEZENET_WIDTH
from pcdms_data.types import InputError

ARRAYS = 52


class SqueezeNetCaffe(nn.Module):
    """Input float32 (B, 3, 227, 227), BGR, 0..255 minus the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = SqueezeNet()
        self.classifier = nn.Conv2d(SQUEEZENET_WIDTH, 1000, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of fire9 (B, 512), float32, not negative."""
        taps: list[Tensor] = self.trunk(x)
        return taps[-1].mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return ImageNet logits (B, 1000)."""
        return torch.relu(self.classifier(self.trunk(x)[-1])).mean((2, 3))


def load_squeezenet_caffe(path: Path) -> SqueezeNetCaffe:
    """Return the network in eval mode with the values of `path`, a NumPy archive.

    Any archive with the known 52 arrays and values will do, however it was packed. Raises
    InputError on another file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], "<f4") for name in sorted(stored.files)}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path} is not a NumPy archive: {type(error).__name__}") from error
    digest = hashlib.sha256()
    for values in arrays.values():
        digest.update(np.ascontiguousarray(values).tobytes())
    if digest.hexdigest() != SQUEEZENET_SHA256 or len(arrays) != ARRAYS:
        raise InputError(
            f"{path} holds {len(arrays)} arrays with SHA-256 {digest.hexdigest()[:16]}..., "
            f"expected {ARRAYS} with {SQUEEZENET_SHA256[:16]}...: not SqueezeNet 1.1 of Caffe"
        )
    source = {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}
    fires = [f"fire{i + 2}" for i in range(len(FIRES))]
    state = {
        own: source[theirs] for own, theirs in names("conv1", fires, "squeeze1x1", "trunk.").items()
    }
    for part in ("weight", "bias"):
        state[f"classifier.{part}"] = source[f"conv10.{part}"]
    network = SqueezeNetCaffe()
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
