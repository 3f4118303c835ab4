"""The Caffe training of SqueezeNet 1.1, ImageNet: the extractor of `fd_squeezenet_caffe`.

Its file is the user's. It is another network than torchvision's SqueezeNet 1.1, whose heads LPIPS
has, so no LPIPS can be made of it.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcdms_bench.metrics.squeezenet import FIRES, SqueezeNet, names
from pcdms_bench.user_weights import find_user_file
from pcdms_data.images import resize
from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_bench.metrics.networks import FeatureNetwork

VALUES_SHA256 = "0b1ff879977a15082a8c13b44cd196f7009badc2f60ed491eb280ca1569ed4a6"
"""SHA-256 of all values, little-endian float32, arrays in the order of their sorted names."""
ARRAYS = 52
SIDE = 227
WIDTH = 512
MEAN_BGR = (104.0, 117.0, 123.0)


class SqueezeNetCaffe(nn.Module):
    """Input float32 (B, 3, 227, 227), BGR, 0..255 minus `MEAN_BGR`."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = SqueezeNet()
        self.classifier = nn.Conv2d(WIDTH, 1000, 1)

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
    if digest.hexdigest() != VALUES_SHA256 or len(arrays) != ARRAYS:
        raise InputError(
            f"{path} holds {len(arrays)} arrays with SHA-256 {digest.hexdigest()[:16]}..., "
            f"expected {ARRAYS} with {VALUES_SHA256[:16]}...: not SqueezeNet 1.1 of Caffe"
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


def open_network(device: str) -> FeatureNetwork:
    """Return SqueezeNet-Caffe, pooled 512-d: whole pictures stretched to 227x227 by PIL bicubic."""
    from pcdms_bench.metrics.networks import FeatureNetwork, chunk_for, exact_float32, to_planes

    network = load_squeezenet_caffe(find_user_file("squeezenet_caffe")).to(device)
    mean = torch.tensor(MEAN_BGR, device=device)[:, None, None]

    def features(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        stretched = np.stack([resize(p, (SIDE, SIDE), "pil-bicubic-u8") for p in pictures])
        with torch.inference_mode(), exact_float32():
            found = network.features(to_planes(stretched, device).flip(1) - mean)
            return found.cpu().numpy()

    return FeatureNetwork(
        f"squeezenet_caffe@{VALUES_SHA256[:8]}",
        f"stretch{SIDE}-pil-bicubic",
        WIDTH,
        chunk_for(device, 4),
        features,
    )
