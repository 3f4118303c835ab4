"""A critic for stage `refine` that sees pictures: its gradient reaches the network by the decoder.

What looks blotched is a small error in the latents, so a critic of latents hardly sees it. The
decoder stays as it is; the critic sees the decoded prediction beside the decoded coarse picture.
Not in the published training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from pcdms.sampling import to_signed
from pcdms.training.autoencoder_loss import picture_difference
from pcdms.training.critic import Balance, Critic, Features, critic_loss
from pcdms.training.losses import Table


@dataclass(frozen=True, eq=False)
class DecodedCritic:
    """The frozen autoencoder, and the true pictures uint8 (N, 3, H, W) by row number.

    `features` is the frozen network that `Balance.features` asks.
    """

    vae: AutoencoderKL
    pictures: Table
    features: Features | None = None

    def loss(
        self, critic: Critic, out: Tensor, coarse: Tensor, target: Tensor, balance: Balance | None
    ) -> Tensor:
        """Return the scalar that trains the network behind `out` and the critic, see `critic_loss`.

        `out` and `coarse` are scaled latents (B, C, h, w), `target` uint8 (B, 3, H, W).
        """
        true = to_signed(target.to(out.device), torch.float32)
        with torch.no_grad():
            given = self._decode(coarse.to(out.device)).float()

        def error(values: Tensor) -> Tensor:
            return picture_difference(values, true, 2.0, 0.25)

        made = self._decode(out)
        return critic_loss(critic, made, true, error, given, balance, self.features)

    def _decode(self, latents: Tensor) -> Tensor:
        vae = self.vae.to(latents.device)
        picture: Tensor = vae.decode(latents / vae.config["scaling_factor"]).sample
        return picture
