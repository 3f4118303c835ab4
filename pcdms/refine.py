"""Stage `refine`: a stock UNet that restores texture on the coarse picture of stage `inpaint`.

Source: PCDMs section 3.4; tencent-ailab/PCDMs:stage3_train_refined_model.py.
"""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from pcdms.projection import ImageProjection, zero_rows


class RefineModel(ModelMixin, ConfigMixin):
    """UNet and token projection of the refining stage.

    `unet_config` holds `UNet2DConditionModel` arguments: 2C input channels (noisy latent, latent
    of the coarse picture), C output channels; no pose, no mask, no class label.
    With `residual` the coarse latent is added to the output and the last convolution starts at
    zero, so that training begins at the coarse picture; this needs a network that predicts the
    clean latent (`prediction_type="sample"`). As published there is no such shortcut.
    """

    @register_to_config
    def __init__(
        self,
        unet_config: dict[str, Any],
        token_width: int = 1536,
        token_hidden: int = 768,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_config(unet_config)
        self.image_proj_model_p = ImageProjection(
            token_width, token_hidden, self.unet.config["cross_attention_dim"]
        )
        if residual:
            nn.init.zeros_(self.unet.conv_out.weight)
            nn.init.zeros_(self.unet.conv_out.bias)

    def context(self, source_tokens: Tensor, null_rows: Tensor | None = None) -> Tensor:
        """Return the context tokens (B, T, width); rows in `null_rows` are zero."""
        return zero_rows(self.image_proj_model_p(source_tokens), null_rows)

    def denoise(self, latents: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """Return the UNet's output (B, C, h, w) from a ready context."""
        out = self.unet(latents, timestep, encoder_hidden_states=context, return_dict=False)[0]
        return out + latents[:, -out.shape[1] :] if self.config["residual"] else out

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        source_tokens: Tensor,
        null_rows: Tensor | None = None,
    ) -> Tensor:
        """Return the prediction (epsilon as published), (B, C, h, w).

        Args:
            latents: (B, 2C, h, w), noisy latent then latent of the coarse picture.
            timestep: (B,) integers in 0..999.
            source_tokens: (B, T, Dt), last hidden state of the source encoder.
            null_rows: bool (B,), rows whose context tokens are zero.
        """
        return self.denoise(latents, timestep, self.context(source_tokens, null_rows))
