"""Perceptual distances on deep features: LPIPS and its shift-tolerant variant ST-LPIPS.

Both compare unit-length features of some layers and weigh the squared difference of every channel
(Zhang et al. 2018; Ghildyal and Liu 2022). The feature side is separate from the comparison, so a
target's features are computed once for all methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_data.types import InputError

SMALLEST = 32
"""Pixels a side that pictures need at least."""
CHANNELS = (64, 192, 384, 256, 256)
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""The networks' input is (x - SHIFT) / SCALE per channel, x in [-1, 1]."""
CONVOLUTIONS = (
    (3, 64, 11, 2),
    (64, 192, 5, 2),
    (192, 384, 3, 1),
    (384, 256, 3, 1),
    (256, 256, 3, 1),
)
"""Input and output channels, kernel and padding of AlexNet's five convolutions."""

Filled = TypeVar("Filled", bound=nn.Module)


class Blur(nn.Module):
    """Binomial 3x3 filter with stride 2 over maps with 2 reflected border pixels on every side."""

    filter: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filter", torch.outer(line, line).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, (H + 3) // 2, (W + 3) // 2)."""
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.filter, stride=2, groups=x.shape[1])


class PerceptualNetwork(nn.Module, ABC):
    """A backbone's maps and one linear head each; input (B, 3, H, W) in [-1, 1].

    Subclasses say what the maps are (`maps`). Pictures need `SMALLEST` pixels a side.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ParameterList(nn.Parameter(torch.zeros(c)) for c in channels)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])

    @abstractmethod
    def maps(self, h: Tensor) -> list[Tensor]:
        """Return the backbone's maps (B, C, h, w) of shifted and scaled pictures."""

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the maps, each position scaled to length 1 over its channels.

        Raises InputError on pictures that are too small for the network.
        """
        if min(x.shape[2:]) < SMALLEST:
            raise InputError(
                f"a perceptual distance of {x.shape[2]}x{x.shape[3]} pictures, expected at least "
                f"{SMALLEST} pixels a side"
            )
        found = self.maps((x - self.shift) / self.scale)
        return [h / (torch.linalg.vector_norm(h, dim=1, keepdim=True) + 1e-10) for h in found]

    def compare(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """Return the distances (B,) of two results of `features`: 0 for equal, usually below 1."""
        total = torch.zeros(len(first[0]), device=first[0].device)
        for a, b, head in zip(first, second, self.heads, strict=True):
            total += torch.einsum("bchw,c->b", (a - b) ** 2, head) / (a.shape[2] * a.shape[3])
        return total

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances (B,) of two batches of pictures in [-1, 1]."""
        return self.compare(self.features(first), self.features(second))


class PerceptualAlexNet(PerceptualNetwork):
    """AlexNet's five convolutions.

    With `shift_tolerant` every stride is taken by a `Blur` after a dense layer: the first
    convolution has stride 1, is blurred before and after its pooling, and so on (ST-LPIPS).
    """

    def __init__(self, shift_tolerant: bool) -> None:
        super().__init__(CHANNELS)
        self.shift_tolerant = shift_tolerant
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, 4 if first and not shift_tolerant else 1, padding)
            for first, (inputs, outputs, kernel, padding) in zip(
                (True, False, False, False, False), CONVOLUTIONS, strict=True
            )
        )
        if shift_tolerant:
            self.blurs = nn.ModuleList(Blur(channels) for channels in (64, 64, 192))

    def maps(self, h: Tensor) -> list[Tensor]:
        """Return the five layers' maps after their ReLU."""
        found: list[Tensor] = []
        for i, convolution in enumerate(self.convolutions):
            if i in (1, 2):
                h = self._pool(h, i)
            h = convolution(h)
            if i == 0 and self.shift_tolerant:
                h = self.blurs[0](h)
            h = F.relu(h)
            found.append(h)
        return found

    def _pool(self, h: Tensor, layer: int) -> Tensor:
        if not self.shift_tolerant:
            return F.max_pool2d(h, 3, 2)
        blurred: Tensor = self.blurs[layer](F.max_pool2d(h, 3, 1))
        return blurred


def fill(network: Filled, found: Mapping[str, Tensor], where: str) -> Filled:
    """Load exact keys and shapes into `network` and freeze it; InputError with one line."""
    try:
        network.load_state_dict(dict(found), strict=True)
    except RuntimeError as error:
        raise InputError(f"{where}: {' '.join(str(error).split())}") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def expect_keys(found: Mapping[str, Tensor], expected: set[str], where: Path) -> None:
    """Raise InputError naming what is missing and what is too much."""
    missing, surplus = sorted(expected - set(found)), sorted(set(found) - expected)
    if missing or surplus:
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"surplus {', '.join(surplus)}"] if surplus else []
        raise InputError(f"{where}: {'; '.join(parts)}")


def load_st_lpips(path: Path) -> PerceptualAlexNet:
    """Return ST-LPIPS on AlexNet from a safetensors file with the published names.

    Half-precision tensors are cast up. Raises InputError on other keys or shapes.
    """
    from safetensors.torch import load_file

    source = {key: value.float() for key, value in load_file(path).items()}
    convolutions = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
    expected = {f"net.{name}.{part}" for name in convolutions for part in ("weight", "bias")}
    expect_keys(source, expected | {f"lin{i}.model.1.weight" for i in range(5)}, path)
    network = PerceptualAlexNet(shift_tolerant=True)
    state = {k: v for k, v in network.state_dict().items() if k.startswith(("blurs", "s"))}
    for i, name in enumerate(convolutions):
        for part in ("weight", "bias"):
            state[f"convolutions.{i}.{part}"] = source[f"net.{name}.{part}"]
        state[f"heads.{i}"] = source[f"lin{i}.model.1.weight"].flatten()
    return fill(network, state, str(path))
