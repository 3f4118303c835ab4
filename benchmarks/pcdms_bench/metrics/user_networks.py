"""Extractors of Frechet distances that only the user can supply, opened without loading torch.

Whole pictures are stretched to the network's square by PIL's bicubic filter. One more extractor is
one function here, and one entry each in `networks.FEATURE_NETWORKS`, `networks.NEEDED`,
`set_metrics.SET_METRICS` and `catalog.METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.encoder_folders import WEIGHTS, encoder_settings
from pcdms_bench.metrics.networks import (
    FeatureNetwork,
    Pixels,
    chunk_for,
    exact_float32,
    to_planes,
)
from pcdms_bench.user_weights import find_user_file, user_file_digest
from pcdms_bench.weights_store import file_digest
from pcdms_data.images import resize, to_uint8

if TYPE_CHECKING:
    import torch

SQUEEZENET_SHA256 = "0b1ff879977a15082a8c13b44cd196f7009badc2f60ed491eb280ca1569ed4a6"
"""SHA-256 of all values, little-endian float32, arrays in the order of their sorted names."""
SQUEEZENET_SIDE = 227
SQUEEZENET_WIDTH = 512
SQUEEZENET_MEAN_BGR = (104.0, 117.0, 123.0)
GIVEN_SIDE = 224
DINOV2_SIDE = 224
"""DINOv2's position table is larger (518); it is interpolated to this, as in the paper's code."""
CLIP_STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of R, G, B on [0, 1]."""


def open_squeezenet_caffe(device: str) -> FeatureNetwork:
    """Return the Caffe training of SqueezeNet 1.1, output of fire9 averaged over places, 512-d."""
    path = find_user_file("squeezenet_caffe")

    @cache
    def network() -> Callable[[torch.Tensor], torch.Tensor]:
        from pcdms_bench.metrics.squeezenet_caffe import load_squeezenet_caffe

        return load_squeezenet_caffe(path).to(device).features

    def embed(planes: torch.Tensor) -> torch.Tensor:
        import torch

        mean = torch.tensor(SQUEEZENET_MEAN_BGR, device=device)[:, None, None]
        return network()(planes.flip(1) - mean)

    label = f"squeezenet_caffe@{SQUEEZENET_SHA256[:8]}"
    return _stretched(label, SQUEEZENET_SIDE, SQUEEZENET_WIDTH, device, embed)


def open_clip(device: str) -> FeatureNetwork:
    """Return the CLIP vision model of the user's folder, projected embedding.

    Which model it is stands in the label: numbers of ViT-B and ViT-H do not compare. Source:
    Kynkaanniemi et al. 2023.
    """
    folder = find_user_file("clip")
    settings = encoder_settings(folder, "clip")

    @cache
    def network() -> Callable[[torch.Tensor], torch.Tensor]:
        from pcdms_bench.metrics.image_encoders import load_clip

        return load_clip(folder, device)

    def embed(planes: torch.Tensor) -> torch.Tensor:
        return network()(_normalised(planes, CLIP_STATISTICS))

    label = f"clip-{settings.shape}@{file_digest(folder / WEIGHTS)[:8]}"
    return _stretched(label, settings.side, settings.width, device, embed)


def open_dinov2(device: str) -> FeatureNetwork:
    """Return the DINOv2 model of the user's folder, class token after the final norm.

    Source: Stein et al. 2023.
    """
    folder = find_user_file("dinov2")
    settings = encoder_settings(folder, "dinov2")

    @cache
    def network() -> Callable[[torch.Tensor], torch.Tensor]:
        from pcdms_bench.metrics.image_encoders import load_dinov2

        return load_dinov2(folder, device)

    def embed(planes: torch.Tensor) -> torch.Tensor:
        return network()(_normalised(planes, IMAGENET_STATISTICS))

    label = f"dinov2-{settings.shape}@{file_digest(folder / WEIGHTS)[:8]}"
    side = min(DINOV2_SIDE, settings.side)
    return _stretched(label, side, settings.width, device, embed)


def open_garment(device: str) -> FeatureNetwork:
    """Return the garment embedding of the user's file."""
    return _given("garment", device)


def open_extractor(device: str) -> FeatureNetwork:
    """Return the extractor of the user's file, whatever network that is; `label` names the file."""
    return _given("extractor", device)


def _given(name: str, device: str) -> FeatureNetwork:
    """Return the network of a user's file; its width is known once it is loaded."""
    from pcdms_bench.metrics.given_network import load_given

    path = find_user_file(name)
    embed = load_given(path, GIVEN_SIDE, device)
    width = embed(np.zeros((1, 3, GIVEN_SIDE, GIVEN_SIDE), np.float32)).shape[1]

    def features(pictures: Pixels) -> NDArray[np.float32]:
        levels = to_uint8(pictures)
        square = [resize(p, (GIVEN_SIDE, GIVEN_SIDE), "pil-bicubic-u8") for p in levels]
        planes = np.stack(square).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        return embed(np.ascontiguousarray(planes))

    label = f"{path.stem}@{user_file_digest(path)[:8]}"
    preprocessing = f"stretch{GIVEN_SIDE}-pil-bicubic"
    return FeatureNetwork(label, preprocessing, width, chunk_for(device, 4), features)


def _normalised(
    planes: torch.Tensor, statistics: tuple[tuple[float, ...], tuple[float, ...]]
) -> torch.Tensor:
    """Return (B, 3, S, S) in 0..255 with the mean and deviation of a network's training."""
    mean, deviation = (planes.new_tensor(values)[:, None, None] for values in statistics)
    return ((planes / 255 - mean) / deviation).contiguous()


def _stretched(
    label: str,
    side: int,
    width: int,
    device: str,
    embed: Callable[[torch.Tensor], torch.Tensor],
) -> FeatureNetwork:
    """Wrap `embed`, float32 (B, 3, side, side) in 0..255 to (B, width)."""

    def features(pictures: Pixels) -> NDArray[np.float32]:
        import torch

        levels = to_uint8(pictures)
        square = np.stack([resize(p, (side, side), "pil-bicubic-u8") for p in levels])
        with torch.inference_mode(), exact_float32():
            found: NDArray[np.float32] = embed(to_planes(square, device)).float().cpu().numpy()
        return found

    return FeatureNetwork(
        label, f"stretch{side}-pil-bicubic", width, chunk_for(device, 4), features
    )
