"""The networks behind metrics: one table, opened by metric name, features on uint8 pictures.

Every network here takes pictures (B, H, W, 3), RGB on the scale 0 to 255, uint8 or float32, and
does its own scaling; which one it is, with the digest of its weights, is in `label` and ends up in
the row's `extractor`. Float32 throughout, on the device that was asked for. Opening a network
checks its weight file; torch is loaded and the weights are read at the first forward pass, so that
scores found in the cache cost neither.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.user_weights import find_user_file
from pcdms_bench.weights_store import file_digest, find_weights
from pcdms_data.types import InputError

if TYPE_CHECKING:
    import torch

    from pcdms_bench.metrics.efficientnet_lite0 import EfficientNetLite0
    from pcdms_bench.metrics.perceptual import PerceptualNetwork

Pixels = NDArray[np.uint8] | NDArray[np.float32]
INCEPTION_WIDTH = 2048
USUAL = (256, 176)
"""Height and width of the pictures that numbers of pictures at a time are meant for."""
STLPIPS_FILE = Path(__file__).parent.parent / "weights" / "stlpips_alex.safetensors"


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
    """(B, H, W, 3) -> float32 (B, width); InputError where the weights do not fit."""


@dataclass(frozen=True, eq=False)
class DistanceNetwork:
    """A network for perceptual distances; `features` of a picture can be kept and reused."""

    label: str
    preprocessing: str
    chunk: int
    """Pictures of the size `USUAL` per forward pass."""
    features: Callable[[Pixels, float], list[torch.Tensor]]
    """(B, H, W, 3) and what black is at the entrance (-1 or 0; white is 1) -> maps (B, C, h, w) of
    each layer; InputError where the weights do not fit."""
    compare: Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], NDArray[np.float64]]
    """Two results of `features` -> distances (B,)."""


def to_planes(pictures: Pixels, device: str) -> torch.Tensor:
    """Return (B, H, W, 3) as float32 (B, 3, H, W) in 0..255, channels last in memory."""
    import torch

    if pictures.dtype not in (np.uint8, np.float32) or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise InputError(
            f"pictures {pictures.dtype} {pictures.shape}, expected uint8 or float32 (B, H, W, 3)"
        )
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


def chunk_for(device: str, small: int) -> int:
    """Return pictures per pass: few on a CPU, whose caches they should fit in."""
    return small if device == "cpu" else 64


def fitting(count: int, size: tuple[int, int]) -> int:
    """Return how many pictures of `size` (H, W) take the room of `count` in `USUAL`, at least 1."""
    return max(1, min(count, count * math.prod(USUAL) // math.prod(size)))


def _open_efficientnet(device: str) -> FeatureNetwork:
    """EfficientNet-Lite0, pooled 1280-d.

    The whole picture is stretched to 224x224 by PIL's bicubic filter (persons stand upright in
    frames that a centre crop would behead), then (x - 128) / 128.
    """
    from pcdms_bench.metrics.efficientnet_files import SHA256, SIDE, WIDTH, weights_path
    from pcdms_data.images import resize, to_uint8

    path = weights_path()
    digest = file_digest(path)
    if digest != SHA256:
        raise InputError(f"{path} has SHA-256 {digest[:16]}..., expected {SHA256[:16]}...")

    @cache
    def network() -> EfficientNetLite0:
        from pcdms_bench.metrics.efficientnet_lite0 import load_efficientnet_lite0

        return load_efficientnet_lite0(path).to(device)

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        levels = to_uint8(pictures)
        stretched = np.stack([resize(p, (SIDE, SIDE), "pil-bicubic-u8") for p in levels])
        with torch.inference_mode(), exact_float32():
            found = network().features((to_planes(stretched, device) - 128) / 128)
            return found.cpu().numpy()

    return FeatureNetwork(
        f"efficientnet_lite0@{digest[:8]}",
        "stretch224-pil-bicubic",
        WIDTH,
        chunk_for(device, 4),
        features,
    )


def _open_inception(device: str) -> FeatureNetwork:
    """The 2015-12-05 Inception of torch-fidelity with that library's own resize, 2048-d."""
    from pcdms_data.images import to_uint8

    found = find_weights("fid")

    @cache
    def network() -> torch.nn.Module:
        from pcdms_bench.metrics.inception import load_inception

        return load_inception(found.path).to(device)

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        planes = torch.from_numpy(to_uint8(pictures)).to(device).permute(0, 3, 1, 2)
        with torch.inference_mode(), exact_float32():
            pooled: NDArray[np.float32] = network()(planes)[0].cpu().numpy()
        return pooled

    label = f"inception-2015-12-05@{found.sha256[:8]}"
    return FeatureNetwork(label, "torch-fidelity", INCEPTION_WIDTH, chunk_for(device, 4), features)


def _open_imagenet_inception(device: str) -> FeatureNetwork:
    """Torchvision's ImageNet Inception with the published input formula, 2048-d."""
    found = find_weights("fid_paper")

    @cache
    def network() -> torch.nn.Module:
        from pcdms_bench.metrics.inception import load_imagenet_inception

        return load_imagenet_inception(found.path).to(device)

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), exact_float32():
            pooled: NDArray[np.float32] = network()(to_planes(pictures, device) / 255).cpu().numpy()
        return pooled

    label = f"inception-imagenet@{found.sha256[:8]}"
    return FeatureNetwork(
        label, "bilinear299-shifted", INCEPTION_WIDTH, chunk_for(device, 4), features
    )


def _distance_network(
    label: str, load: Callable[[], PerceptualNetwork], device: str, preprocessing: str
) -> DistanceNetwork:
    """Wrap LPIPS-like networks, which are loaded at the first forward pass."""

    @cache
    def network() -> PerceptualNetwork:
        return load().to(device)

    def features(pictures: Pixels, black: float = -1.0) -> list[torch.Tensor]:
        import torch

        planes = to_planes(pictures, device)
        # Divided as the published scripts divide, so that float32 rounds alike.
        planes = planes / 255 if black == 0 else planes / 127.5 - 1
        with torch.inference_mode(), exact_float32():
            return network().features(planes)

    def compare(
        first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
    ) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode(), exact_float32():
            distances: NDArray[np.float64] = network().compare(first, second).double().cpu().numpy()
        return distances

    return DistanceNetwork(label, preprocessing, chunk_for(device, 8), features, compare)


def _open_st_lpips(device: str) -> DistanceNetwork:
    """ST-LPIPS on AlexNet from the file that ships with this package."""

    def load() -> PerceptualNetwork:
        from pcdms_bench.metrics.perceptual import load_st_lpips

        return load_st_lpips(STLPIPS_FILE)

    return _distance_network(
        f"stlpips_alex@{file_digest(STLPIPS_FILE)[:8]}", load, device, "minus-one-to-one"
    )


def lpips_heads_path(net: str = "alex") -> Path:
    """Return the file of LPIPS' linear heads in the lpips package, without importing it."""
    from pcdms_bench.metrics.lpips_backbones import BACKBONES

    spec = importlib.util.find_spec("lpips")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / BACKBONES[net].heads
        if path.is_file():
            return path
    raise InputError(
        f"{BACKBONES[net].heads} not found, expected in the package lpips (a dependency)"
    )


def _open_lpips(device: str, net: str = "alex") -> DistanceNetwork:
    """LPIPS 0.1 on one of torchvision's backbones."""
    from pcdms_bench.metrics.lpips_backbones import BACKBONES, load_lpips

    found, heads = find_weights(BACKBONES[net].weights), lpips_heads_path(net)

    def load() -> PerceptualNetwork:
        return load_lpips(found.path, heads, net)

    label = f"{BACKBONES[net].label}@{found.sha256[:8]}"
    return _distance_network(label, load, device, "minus-one-to-one")


def _user_network(opener: str) -> Callable[[str], FeatureNetwork]:
    """Return what opens a network of `user_networks`, which is imported only then."""

    def opened(device: str) -> FeatureNetwork:
        found = getattr(importlib.import_module("pcdms_bench.metrics.user_networks"), opener)
        network: FeatureNetwork = found(device)
        return network

    return opened


FEATURE_NETWORKS: dict[str, Callable[[str], FeatureNetwork]] = {
    "fid": _open_inception,
    "fid_paper": _open_imagenet_inception,
    "fd_efficientnet_lite0": _open_efficientnet,
    "fd_squeezenet_caffe": _user_network("open_squeezenet_caffe"),
    "fd_clip": _user_network("open_clip"),
    "fd_dinov2": _user_network("open_dinov2"),
    "fd_given": _user_network("open_extractor"),
    "garment": _user_network("open_garment"),
}
"""Set metric, or the network's own name -> what opens it on a device."""

DISTANCE_NETWORKS: dict[str, Callable[[str], DistanceNetwork]] = {
    "lpips": _open_lpips,
    "lpips_vgg": partial(_open_lpips, net="vgg"),
    "lpips_squeeze": partial(_open_lpips, net="squeeze"),
    "st_lpips": _open_st_lpips,
}
"""Perceptual metric -> what opens its network on a device."""


def _needs_pose_estimator() -> None:
    from pcdms_bench.pose_metrics import pose_problem

    pose_problem()


NEEDED: dict[str, Callable[[], object]] = {
    "fid": partial(find_weights, "fid"),
    "fid_paper": partial(find_weights, "fid_paper"),
    "lpips": partial(find_weights, "lpips"),
    "lpips_pcdms": partial(find_weights, "lpips"),
    "masked_lpips": partial(find_weights, "lpips"),
    "lpips_vgg": partial(find_weights, "lpips_vgg"),
    "lpips_squeeze": partial(find_weights, "lpips_squeeze"),
    **dict.fromkeys(
        ("kid", "precision", "recall", "density", "coverage", "is", "masked_is"),
        partial(find_weights, "fid"),
    ),
    "pckh50": _needs_pose_estimator,
    "oks": _needs_pose_estimator,
    "face_similarity": partial(find_user_file, "face"),
    "garment_given_r1": partial(find_user_file, "garment"),
    "garment_given_r5": partial(find_user_file, "garment"),
    "fd_squeezenet_caffe": partial(find_user_file, "squeezenet_caffe"),
    "fd_clip": partial(find_user_file, "clip"),
    "fd_dinov2": partial(find_user_file, "dinov2"),
    "fd_given": partial(find_user_file, "extractor"),
}
"""Metric -> what raises InputError where its file is missing; the others need none."""


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
    try:
        if metric in NEEDED:
            NEEDED[metric]()
    except InputError as error:
        return str(error)
    return None
