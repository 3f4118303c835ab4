"""What the frozen source encoder sees in pictures, for a loss that compares pictures by it.

The encoder knows patterns and parts of the body, which single pixels do not tell. Its scores are
no judges of a stage trained with it. Not in the published training. Source: arXiv 1603.08155.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional
from transformers import Dinov2Model

from pcdms.encoders import clip_normalised
from pcdms.pipeline_config import EncoderInput


class EncoderFeatures:
    """Tokens of the first, the middle and the last layer, each normalised; differentiable."""

    def __init__(self, encoder: Dinov2Model, settings: EncoderInput) -> None:
        self.encoder, self.settings = encoder, settings
        count = int(encoder.config.num_hidden_layers)
        self.layers = sorted({1, max(1, count // 2), count})

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """Return (B, T, D) per layer of pictures (B, 3, H, W) in [-1, 1].

        Pictures are resized as for the encoder (`pcdms.encoders.encoder_pixels`) but for the
        rounding to bytes, which has no gradient.
        """
        encoder: Any = self.encoder.to(pictures.device)
        pixels = (pictures.float() + 1) / 2
        sizes = [self.settings.first_resize, (self.settings.size, self.settings.size)]
        for size in sizes:
            if size is not None:
                pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
        states = encoder(clip_normalised(pixels), output_hidden_states=True).hidden_states
        return [
            functional.layer_norm(states[layer].float(), states[layer].shape[-1:])
            for layer in self.layers
        ]
