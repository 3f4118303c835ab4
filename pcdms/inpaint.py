"""Stage `inpaint`: a stock UNet on a source|target canvas, with the pose added after `conv_in`.

Source: PCDMs section 3.3; tencent-ailab/PCDMs:stage2_train_inpaint_model.py and
src/models/stage2_inpaint_unet_2d_condition.py. The published UNet file equals the stock class plus
the pose features after `conv_in`, so no copy of it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from pcdms.projection import ImageProjection, zero_rows


class PoseConvolution(nn.Conv2d):
    """First convolution of the UNet, which adds the pose features to its result.

    They are lent for the time of a call (`lend`). A hook set in every call would do the same, but
    compilation could not follow it. Names of weights are the stock ones.
    """

    pose: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, Cout, h, w) of values (B, Cin, h, w), the pose added where one is lent."""
        out = super().forward(values)
        return out if self.pose is None else out + self.pose.to(out.dtype)

    @contextmanager
    def lend(self, pose: Tensor) -> Iterator[None]:
        """Add `pose` (B, Cout, h, w) within the block."""
        self.pose = pose
        try:
            yield
        finally:
            self.pose = None

    @classmethod
    def like(cls, stock: nn.Conv2d) -> PoseConvolution:
        """Return a convolution with the weights of `stock`, which has no dilation or groups."""
        made = cls.__new__(cls)
        made.__dict__.update(stock.__dict__)
        return made


class InpaintModel(ModelMixin, ConfigMixin):
    """UNet, pose projection and token projection of the inpainting stage.

    `unet_config` holds `UNet2DConditionModel` arguments: 2C+1 input channels (noisy latent, mask,
    masked latent), C output channels. Without a class embedding in it the target embedding is not
    used as a label; with `embedding_token=False` (the authors' demo, which has neither) it is no
    token of the context either and changes nothing.
    """

    @register_to_config
    def __init__(
        self,
        unet_config: dict[str, Any],
        pose_channels: tuple[int, ...] = (16, 32, 96, 256),
        token_width: int = 1536,
        token_hidden: int = 768,
        embedding_token: bool = True,
    ) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_config(unet_config)
        self.unet.conv_in = PoseConvolution.like(self.unet.conv_in)
        self.pose_proj = ControlNetConditioningEmbedding(
            self.unet.config["block_out_channels"][0], 3, tuple(pose_channels)
        )
        self.image_proj_model_p = ImageProjection(
            token_width, token_hidden, self.unet.config["cross_attention_dim"]
        )

    def context(
        self, source_tokens: Tensor, target_embedding: Tensor, null_rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the context (B, T+1, width), the embedding as last token, and the label (B, D).

        Without the embedding token the context is (B, T, width).
        Rows in `null_rows` are zero after the projection: the null condition as published.
        """
        tokens = self.image_proj_model_p(source_tokens)
        context = tokens
        if self.config["embedding_token"]:
            context = torch.cat([tokens, target_embedding[:, None].to(tokens.dtype)], dim=1)
        return zero_rows(context, null_rows), zero_rows(target_embedding, null_rows)

    def denoise(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: Tensor,
        label: Tensor,
        pose_features: Tensor,
    ) -> Tensor:
        """Return the UNet's output (B, C, h, 2w) from ready conditions.

        Sampling computes `context` and `pose_features` once and calls this in every step.
        """
        with self.unet.conv_in.lend(pose_features):
            return self.unet(
                latents,
                timestep,
                encoder_hidden_states=context,
                class_labels=label if self.unet.class_embedding is not None else None,
                return_dict=False,
            )[0]

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        source_tokens: Tensor,
        target_embedding: Tensor,
        pose_image: Tensor,
        null_rows: Tensor | None = None,
    ) -> Tensor:
        """Return the prediction (epsilon as published) for the whole canvas, (B, C, h, 2w).

        Args:
            latents: (B, 2C+1, h, 2w), noisy latent, mask (1 = known left half), masked latent.
            timestep: (B,) integers in 0..999.
            source_tokens: (B, T, Dt), last hidden state of the source encoder.
            target_embedding: (B, D), raw embedding of the target picture (true or predicted).
            pose_image: (B, 3, H, 2W) in [-1, 1], source pose | target pose.
            null_rows: bool (B,), rows whose context tokens and class label are zero.
        """
        context, label = self.context(source_tokens, target_embedding, null_rows)
        return self.denoise(latents, timestep, context, label, self.pose_proj(pose_image))
