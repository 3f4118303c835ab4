"""The two frozen image encoders: one embedding per picture, and tokens of the source.

Published: OpenCLIP ViT-H/14 and DINOv2-giant, both fed CLIP-normalised 224 x 224 pictures
(tencent-ailab/PCDMs:src/dataset/stage2_dataset.py). Sizes here come from the model directory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPVisionModelWithProjection, Dinov2Model

from pcdms.pipeline_config import CLIP_MEAN, CLIP_STD, EncoderInput
from pcdms_data.images import resize

PREPROCESSING = "pillow-bicubic-clip"
"""Name of the preprocessing in results: Pillow resizes (not torchvision), CLIP statistics."""


def encoder_pixels(pictures: NDArray[np.uint8], settings: EncoderInput) -> Tensor:
    """Return (B, 3, S, S) float32, CLIP-normalised, of pictures (B, 3, H, W) uint8.

    Aspect is not kept, as published: every picture is stretched to a square.
    """
    square = (settings.size, settings.size)
    out = np.empty((len(pictures), 3, *square), dtype=np.float32)
    for index, picture in enumerate(pictures):
        pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
        if settings.first_resize is not None:
            pixels = resize(pixels, settings.first_resize, "pil-bicubic-u8")
        out[index] = resize(pixels, square, "pil-bicubic-u8").transpose(2, 0, 1)
    return clip_normalised(torch.from_numpy(out) / 255)


def clip_normalised(pixels: Tensor) -> Tensor:
    """Return pixels (B, 3, H, W) in [0, 1] less CLIP's mean, in its standard deviations."""
    mean = torch.tensor(CLIP_MEAN, device=pixels.device).reshape(1, 3, 1, 1)
    std = torch.tensor(CLIP_STD, device=pixels.device).reshape(1, 3, 1, 1)
    return (pixels - mean) / std


def pose_vectors(
    xy: NDArray[np.float32], visible: NDArray[np.bool_], frame: tuple[int, int]
) -> Tensor:
    """Return (B, 2K) in [0, 1]: x / W, y / H per joint, zeros where a joint is missing.

    `xy` (B, K, 2) are pixels of `frame` = (H, W), `visible` is (B, K). The published files'
    normalisation rule is not public; this one is ours.
    """
    scaled = xy / np.array([frame[1], frame[0]], dtype=np.float32)
    scaled = np.where(visible[..., None], scaled, 0).astype(np.float32)
    return torch.from_numpy(scaled.reshape(len(xy), -1))


def null_pixels(settings: EncoderInput) -> Tensor:
    """Return the zero pixel tensor (1, 3, S, S) that training feeds for a dropped picture."""
    return torch.zeros(1, 3, settings.size, settings.size)


def image_embedding(encoder: CLIPVisionModelWithProjection, pixels: Tensor) -> Tensor:
    """Return the raw projection (B, D) of normalised pixels; not scaled to unit length."""
    out: Any = encoder(pixel_values=pixels.to(encoder.device, encoder.dtype))
    return out.image_embeds.float()


def source_tokens(encoder: Dinov2Model, pixels: Tensor) -> Tensor:
    """Return all tokens (B, T, Dt) after the final layer norm, class token first."""
    out: Any = encoder(pixel_values=pixels.to(encoder.device, encoder.dtype))
    return out.last_hidden_state.float()
