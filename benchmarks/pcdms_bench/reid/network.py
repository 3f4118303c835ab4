"""The re-identification network: torchvision's ResNet, pooled, with a batch-norm neck.

The triplet loss sees the pooled features, the classes and the search see them after the neck; the
last stage keeps its resolution. Source: Luo et al. 2019, sections 3.4 and 3.5;
michuanhaohao/reid-strong-baseline:modeling/baseline.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import BasicBlock, ResNet

from pcdms.published.checkpoint_file import read_checkpoint
from pcdms.training.losses import Table, device_of
from pcdms_baselines.published import report
from pcdms_bench.metrics.inception import DEVIATION, MEAN
from pcdms_bench.metrics.networks import exact_float32
from pcdms_data.types import InputError

TRUNKS: dict[str, Callable[[], ResNet]] = {
    "resnet50": lambda: resnet50(weights=None),
    "resnet10": lambda: ResNet(BasicBlock, [1, 1, 1, 1]),
}
"""Name -> the network of torchvision. `resnet10` is ResNet-18 with half of its blocks."""
_HEAD = ("fc.weight", "fc.bias")


class ReidNetwork(nn.Module):
    """A trunk of `TRUNKS`, a batch norm without shift, and a class for each of `persons`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, trunk: str, persons: int) -> None:
        super().__init__()
        found = TRUNKS[trunk]()
        self.width: int = found.fc.in_features
        found.fc = nn.Identity()
        _keep_resolution(found.layer4[0])
        self.trunk = found
        self.neck = nn.BatchNorm1d(self.width)
        self.neck.bias.requires_grad_(False)
        self.classes = nn.Linear(self.width, persons, bias=False)
        nn.init.normal_(self.classes.weight, std=0.001)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def normalised(self, pictures: Tensor) -> Tensor:
        """Return uint8 (B, 3, H, W) as the trunk wants them: ImageNet's mean 0 and deviation 1."""
        return (pictures.float() / 255 - self.mean) / self.deviation

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return pooled features (B, D) and class scores (B, persons) of normalised pictures."""
        features: Tensor = self.trunk(inputs)
        return features, self.classes(self.neck(features))

    def vectors(self, pictures: Tensor) -> Tensor:
        """Return unit vectors float32 (B, D), after the neck, of uint8 pictures (B, 3, H, W)."""
        found = self.neck(self.trunk(self.normalised(pictures)))
        return nn.functional.normalize(found.float(), dim=1)


def make_network(trunk: str, persons: int, start: Path | None, seed: int) -> ReidNetwork:
    """Return an untrained network; `start` is a file of torchvision's for the trunk, None random.

    The class layer of the file is left out; what the file lacks is drawn by `seed`.

    Raises:
        InputError: the file cannot be read safely, or is not of this trunk.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = ReidNetwork(trunk, persons)
    if start is not None:
        state = {key: value for key, value in read_checkpoint(start).items() if key not in _HEAD}
        own = network.trunk.state_dict()
        # Files older than batch counters lack them; nothing is computed from them.
        counters = {key: own[key] for key in own if key.endswith("num_batches_tracked")}
        state = counters | state
        misfit = report(own, state)
        if misfit:
            raise InputError(f"{start}: not torchvision's {trunk}: {misfit}")
        network.trunk.load_state_dict(state)
    return network


def embed(network: ReidNetwork, pictures: Table, chunk: int) -> NDArray[np.float32]:
    """Return the unit vectors float32 (N, D) of all rows of a table of uint8 pictures.

    The network is left in eval mode.
    """
    network.eval()
    device = device_of(network)
    with torch.inference_mode(), exact_float32():
        parts = [
            network.vectors(pictures[rows].to(device)).cpu()
            for rows in torch.arange(len(pictures)).split(chunk)
        ]
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def _keep_resolution(block: nn.Module) -> None:
    """Set the stride of the first block of a stage to 1."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
