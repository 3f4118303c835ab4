"""The loss of the autoencoder: reconstruction of pictures alone and as the stages' canvases."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcdms.sampling import to_signed
from pcdms.training.losses import Table, device_of


class AutoencoderLoss:
    """Reconstruction of pictures uint8 (N, 3, H, W): squared, L1, L1 of gradients, and a weak KL.

    The squared term brings colour early, the other two keep edges.

    A random draw of the posterior is decoded. Pictures are shown alone and as canvases
    (picture|picture, picture|black), the forms in which the stages use the autoencoder.
    """

    def __init__(
        self, pictures: Table, kl_weight: float = 1e-6, gradient_weight: float = 0.25
    ) -> None:
        self.pictures = pictures
        self.kl_weight, self.gradient_weight = kl_weight, gradient_weight

    def __len__(self) -> int:
        return len(self.pictures)

    def fetch(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the pictures of row numbers (B,)."""
        return {"pictures": self.pictures[rows]}

    def __call__(
        self, module: nn.Module, batch: dict[str, Tensor] | Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of fetched rows, or of row numbers."""
        rows = self.fetch(batch) if isinstance(batch, Tensor) else batch
        pixels = to_signed(rows["pictures"].to(device_of(module)), torch.float32)
        form = int(torch.randint(0, 4, (), generator=generator))
        half = len(pixels) // 2
        form = form if half else 2  # a single picture makes no canvas
        if form == 0:
            pixels = torch.cat([pixels[:half], pixels[half : 2 * half]], dim=-1)
        elif form == 1:
            left = pixels[:half]
            pixels = torch.cat([left, torch.full_like(left, -1.0)], dim=-1)
        vae: Any = module
        posterior = vae.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(pixels.device)
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        error = decoded - pixels
        gradient = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        gradient = gradient + (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
        return (
            4 * error.square().mean()
            + 0.5 * error.abs().mean()
            + self.gradient_weight * gradient
            + self.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        )
