"""CLIP and DINOv2 as extractors of Frechet distances, from a folder of the user's.

`fd_clip` uses the projected embedding (Kynkaanniemi et al. 2023), `fd_dinov2` the class token after
the final norm (Stein et al. 2023). Pictures are stretched to the model's square by PIL's bicubic
filter and get the channel statistics each model was trained with. Which model it was, ViT-B or
ViT-g, is in the label: numbers of two models do not compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcdms_bench.user_weights import find_user_file
from pcdms_bench.weights_store import file_digest
from pcdms_data.images import resize
from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_bench.metrics.networks import FeatureNetwork

WEIGHTS = "model.safetensors"
DINOV2_SIDE = 224
"""DINOv2's position table is larger (518); it is interpolated to this, as in the paper's code."""
CLIP_STATISTICS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of R, G, B on [0, 1]."""

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]


def open_clip(device: str) -> FeatureNetwork:
    """Return the CLIP vision model of the user's folder, projected embedding."""
    from transformers import CLIPVisionModelWithProjection

    folder = find_user_file("clip")
    model = _load(CLIPVisionModelWithProjection, folder, "clip").to(device)
    side, width = int(model.config.image_size), int(model.config.projection_dim)
    return _network(
        "clip", folder, model, lambda out: out.image_embeds, side, width, CLIP_STATISTICS, device
    )


def open_dinov2(device: str) -> FeatureNetwork:
    """Return the DINOv2 model of the user's folder, class token."""
    from transformers import Dinov2Model

    folder = find_user_file("dinov2")
    model = _load(Dinov2Model, folder, "dinov2").to(device)
    side = min(DINOV2_SIDE, int(model.config.image_size))
    return _network(
        "dinov2", folder, model, lambda out: out.pooler_output, side,
        int(model.config.hidden_size), IMAGENET_STATISTICS, device,
    )  # fmt: skip


def _load(kind: Any, folder: Path, family: str) -> Any:
    """Return a model in eval mode; every weight must be in the folder's safetensors file."""
    config = folder / "config.json"
    try:
        found = json.loads(config.read_text()).get("model_type", "")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{config} cannot be read as a model's settings: {error}") from error
    if not str(found).startswith(family):
        raise InputError(f"{config}: model_type {found!r}, expected {family}")
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS} not found, expected the model's weights")
    try:
        model, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True,
            dtype=torch.float32,
        )  # fmt: skip
    except Exception as error:  # the library raises many kinds
        raise InputError(f"{folder}: {' '.join(str(error).split())[:300]}") from error
    missing = sorted(report["missing_keys"])
    if missing or report["mismatched_keys"]:
        names = ", ".join(missing[:3]) or "of other shapes"
        raise InputError(f"{folder / WEIGHTS} does not fit {config}: missing {names}")
    return model.eval().requires_grad_(False)


def _network(
    name: str,
    folder: Path,
    model: Any,
    pick: Callable[[Any], torch.Tensor],
    side: int,
    width: int,
    statistics: Statistics,
    device: str,
) -> FeatureNetwork:
    """Wrap a model: uint8 (B, H, W, 3) in, float32 (B, width) out."""
    from pcdms_bench.metrics.networks import FeatureNetwork, chunk_for, exact_float32, to_planes

    mean, deviation = (torch.tensor(s, device=device)[:, None, None] for s in statistics)

    def features(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        square = np.stack([resize(p, (side, side), "pil-bicubic-u8") for p in pictures])
        with torch.inference_mode(), exact_float32():
            planes = (to_planes(square, device) / 255 - mean) / deviation
            found = pick(model(pixel_values=planes.contiguous()))
            return found.float().cpu().numpy()

    layers, hidden = int(model.config.num_hidden_layers), int(model.config.hidden_size)
    digest = file_digest(folder / WEIGHTS)[:8]
    return FeatureNetwork(
        f"{name}-{layers}x{hidden}@{digest}",
        f"stretch{side}-pil-bicubic",
        width,
        chunk_for(device, 4),
        features,
    )
