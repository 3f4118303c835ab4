"""The networks behind metrics: one table, opened by metric name, features on uint8 pictures.

Every network here takes uint8 pictures (B, H, W, 3), RGB, and does its own scaling; which one it
is, with the digest of its weights, is in `label` and ends up in the row's `extractor`. Float32
throughout, on the device that was asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.weights_store import file_digest, find_weights
from pcdms_data.types import InputError

if TYPE_CHECKING:
    import torch

    from pcdms_bench.metrics.efficientnet_lite0 import EfficientNetLite0
    from pcdms_bench.metrics.perceptual import PerceptualAlexNet

Pixels = NDArray[np.uint8]
STLPIPS_FILE = Path(__file__).parent.parent / "weights" / "stlpips_alex.safetensors"
LPIPS_HEADS = "weights/v0.1/alex.pth"


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A network for Frechet distances."""

    label: str
    """`<network>@<first 8 hex digits of the SHA-256 of its weights>`."""
    preprocessing: str
    width: int
    chunk: int
    """Pictures per forward pass."""
    features: Callable[[Pixels], NDArray[np.float32]]
    """uint8 (B, H, W, 3) -> float32 (B, width)."""


@dataclass(frozen=True, eq=False)
class DistanceNetwork:
    """A network for perceptual distances; `features` of a picture can be kept and reused."""

    label: str
    preprocessing: str
    chunk: int
    features: Callable[[Pixels], list[torch.Tensor]]
    """uint8 (B, H, W, 3) -> maps (B, C, h, w) of each layer."""
    compare: Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], NDArray[np.float64]]
    """Two results of `features` -> distances (B,)."""


def to_planes(pictures: Pixels, device: str) -> torch.Tensor:
    """Return uint8 (B, H, W, 3) as float32 (B, 3, H, W) in 0..255, channels last in memory."""
    import torch

    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise InputError(f"pictures {pictures.dtype} {pictures.shape}, expected uint8 (B, H, W, 3)")
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keep a GPU from rounding the inputs of its products to ten bits (TF32), its default."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before


def _chunk(device: str, small: int) -> int:
    """Return pictures per pass: few on a CPU, whose caches they should fit in."""
    return small if device == "cpu" else 64


def _open_efficientnet(device: str) -> FeatureNetwork:
    """EfficientNet-Lite0, pooled 1280-d.

    The whole picture is stretched to 224x224 by PIL's bicubic filter (persons stand upright in
    frames that a centre crop would behead), then (x - 128) / 128.
    """
    from pcdms_bench.metrics.efficientnet_lite0 import (
        SHA256,
        SIDE,
        WIDTH,
        load_efficientnet_lite0,
        weights_path,
    )
    from pcdms_data.images import resize

    path = weights_path()
    digest = file_digest(path)
    if digest != SHA256:
        raise InputError(f"{path} has SHA-256 {digest[:16]}..., expected {SHA256[:16]}...")
    network: EfficientNetLite0 = load_efficientnet_lite0(path).to(device)

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        stretched = np.stack([resize(p, (SIDE, SIDE), "pil-bicubic-u8") for p in pictures])
        with torch.inference_mode(), exact_float32():
            found = network.features((to_planes(stretched, device) - 128) / 128)
            return found.cpu().numpy()

    return FeatureNetwork(
        f"efficientnet_lite0@{digest[:8]}",
        "stretch224-pil-bicubic",
        WIDTH,
        _chunk(device, 4),
        features,
    )


def _open_inception(device: str) -> FeatureNetwork:
    """The 2015-12-05 Inception of torch-fidelity with that library's own resize, 2048-d."""
    from pcdms_bench.metrics.inception import WIDTH, load_inception

    found = find_weights("fid")
    network = load_inception(found.path).to(device)

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        planes = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
        with torch.inference_mode(), exact_float32():
            return network(planes)[0].cpu().numpy()

    label = f"inception-2015-12-05@{found.sha256[:8]}"
    return FeatureNetwork(label, "torch-fidelity", WIDTH, _chunk(device, 4), features)


def _distance_network(
    label: str, network: PerceptualAlexNet, device: str, preprocessing: str
) -> DistanceNetwork:
    """Wrap LPIPS-like networks: uint8 in, x / 127.5 - 1 inside."""
    network = network.to(device)

    def features(pictures: Pixels) -> list[torch.Tensor]:
        import torch

        with torch.inference_mode(), exact_float32():
            return network.features(to_planes(pictures, device) / 127.5 - 1)

    def compare(
        first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
    ) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode(), exact_float32():
            distances: NDArray[np.float64] = network.compare(first, second).double().cpu().numpy()
        return distances

    return DistanceNetwork(label, preprocessing, _chunk(device, 8), features, compare)


def _open_st_lpips(device: str) -> DistanceNetwork:
    """ST-LPIPS on AlexNet from the file that ships with this package."""
    from pcdms_bench.metrics.perceptual import load_st_lpips

    network = load_st_lpips(STLPIPS_FILE)
    return _distance_network(
        f"stlpips_alex@{file_digest(STLPIPS_FILE)[:8]}", network, device, "minus-one-to-one"
    )


def lpips_heads_path() -> Path:
    """Return the file of LPIPS' linear heads in the lpips package, without importing it."""
    spec = importlib.util.find_spec("lpips")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / LPIPS_HEADS
        if path.is_file():
            return path
    raise InputError(f"{LPIPS_HEADS} not found, expected in the package lpips (a dependency)")


def _open_lpips(device: str) -> DistanceNetwork:
    """LPIPS 0.1 on torchvision's AlexNet."""
    from pcdms_bench.metrics.perceptual import load_lpips

    found = find_weights("lpips")
    network = load_lpips(found.path, lpips_heads_path())
    return _distance_network(f"alexnet@{found.sha256[:8]}", network, device, "minus-one-to-one")


FEATURE_NETWORKS: dict[str, Callable[[str], FeatureNetwork]] = {
    "fid": _open_inception,
    "fd_efficientnet_lite0": _open_efficientnet,
}
"""Set metric -> what opens its network on a device."""

DISTANCE_NETWORKS: dict[str, Callable[[str], DistanceNetwork]] = {
    "lpips": _open_lpips,
    "st_lpips": _open_st_lpips,
}
"""Perceptual metric -> what opens its network on a device."""


@lru_cache(maxsize=8)
def feature_network(metric: str, device: str = "cpu") -> FeatureNetwork:
    """Return the network of a set metric, opened once per process; InputError says what lacks."""
    return FEATURE_NETWORKS[metric](device)


@lru_cache(maxsize=8)
def distance_network(metric: str, device: str = "cpu") -> DistanceNetwork:
    """Return the network of a perceptual metric, opened once; InputError says what lacks."""
    return DISTANCE_NETWORKS[metric](device)


def metric_problem(metric: str) -> str | None:
    """Return why a metric cannot be computed on this machine, or None; opens no network."""
    names: dict[str, Literal["fid", "lpips"]] = {"fid": "fid", "lpips": "lpips"}
    try:
        if metric in names:
            find_weights(names[metric])
    except InputError as error:
        return str(error)
    return None


def networks_versions() -> dict[str, Any]:
    """Return the versions that can change a feature, for cache keys."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "pillow", "torch-fidelity")}
