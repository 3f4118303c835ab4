"""The losses of the autoencoder: reconstruction of pictures alone and as the stages' canvases."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcdms.sampling import to_signed
from pcdms.training.critic import Balance, critic_loss
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
        pixels = _shown(pixels, generator)
        vae: Any = module
        posterior = vae.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(pixels.device)
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample.float()
        likeness = picture_difference(decoded, pixels, 4.0, self.gradient_weight)
        return likeness + self.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()


class DecoderLoss:
    """Sharpens the decoder of a trained autoencoder with a critic; latents stay what they are.

    The module is a `WithCritic` of the autoencoder with its encoder frozen, `pictures` uint8
    (N, 3, H, W). Stages leave errors in their latents, so each row's latents get noise of up to
    `noise` of their spread.
    """

    def __init__(
        self, pictures: Table, noise: float = 0.15, balance: Balance | None = None
    ) -> None:
        self.pictures, self.noise, self.balance = pictures, noise, balance

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
        pixels = _shown(to_signed(rows["pictures"].to(device_of(module)), torch.float32), generator)
        trained: Any = module
        vae = trained.network
        with torch.no_grad():
            posterior = vae.encode(pixels).latent_dist
        mean, std = posterior.mean.float(), posterior.std.float()
        spread = torch.rand((len(mean), 1, 1, 1), generator=generator) * self.noise
        spread = (spread / vae.config["scaling_factor"]).to(mean.device)
        drawn = torch.randn((2, *mean.shape), generator=generator).to(mean.device)
        decoded = vae.decode(mean + std * drawn[0] + spread * drawn[1]).sample

        def error(values: Tensor) -> Tensor:
            return picture_difference(values, pixels, 2.0, 0.25)

        return critic_loss(trained.critic, decoded, pixels, error, None, self.balance)


def _shown(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return pictures (B, 3, H, W) alone, or half as many canvases of two, or picture|black."""
    form = int(torch.randint(0, 4, (), generator=generator))
    half = len(pixels) // 2
    form = form if half else 2  # a single picture makes no canvas
    if form == 0:
        return torch.cat([pixels[:half], pixels[half : 2 * half]], dim=-1)
    if form == 1:
        left = pixels[:half]
        return torch.cat([left, torch.full_like(left, -1.0)], dim=-1)
    return pixels


def picture_difference(decoded: Tensor, pixels: Tensor, squared: float, gradient: float) -> Tensor:
    """Return `squared` x mean square + half the mean difference + `gradient` x that of slopes."""
    error = decoded - pixels
    slope = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    slope = slope + (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    return squared * error.square().mean() + 0.5 * error.abs().mean() + gradient * slope
