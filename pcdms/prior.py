"""Stage `prior`: a transformer on six tokens that predicts the target's image embedding.

Source: PCDMs section 3.2; tencent-ailab/PCDMs:src/models/stage1_prior_transformer.py (names of the
state dict and token order). Attention is bidirectional: the published code passes no mask.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class PoseEncoder(nn.Module):
    """Two-layer perceptron from a pose vector (B, 2K) to (B, D); layer norm after each layer."""

    def __init__(self, pose_width: int, hidden: int, out: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(pose_width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, out),
            nn.Dropout(dropout),
            nn.LayerNorm(out),
        )

    def forward(self, pose: Tensor) -> Tensor:
        """Return (B, D) for poses (B, 2K) in [0, 1], zeros where a pose is dropped."""
        return self.net(pose)


class PriorTransformer(ModelMixin, ConfigMixin):
    """Predicts the clean target embedding (x0) from a noisy one; all widths are configuration.

    `clip_mean` and `clip_std` normalise target embeddings (published: -0.016 and 0.415); the source
    embedding enters un-normalised.
    """

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 32,
        attention_head_dim: int = 64,
        num_layers: int = 20,
        embedding_dim: int = 1024,
        pose_width: int = 36,
        pose_hidden: int = 512,
        dropout: float = 0.0,
        clip_mean: float = -0.016,
        clip_std: float = 0.415,
    ) -> None:
        super().__init__()
        width = num_attention_heads * attention_head_dim
        self.pose_encoder = PoseEncoder(pose_width, pose_hidden, embedding_dim, dropout)
        self.pose_encoder1 = PoseEncoder(pose_width, pose_hidden, embedding_dim, dropout)
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, width)
        self.proj_in = nn.Linear(embedding_dim, width)
        self.embedding_proj = nn.Linear(embedding_dim, width)
        self.encoder_hidden_states_proj = nn.Linear(embedding_dim, width)
        self.encoder_hidden_states_proj1 = nn.Linear(embedding_dim, width)
        self.positional_embedding = nn.Parameter(torch.zeros(1, 6, width))
        self.prd_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                width,
                num_attention_heads,
                attention_head_dim,
                dropout=dropout,
                activation_fn="gelu",
                attention_bias=True,
            )
            for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width)
        self.proj_to_clip_embeddings = nn.Linear(width, embedding_dim)

    def forward(
        self,
        noisy_embedding: Tensor,
        timestep: Tensor,
        source_embedding: Tensor,
        source_pose: Tensor,
        target_pose: Tensor,
    ) -> Tensor:
        """Return the predicted clean, normalised target embedding (B, D).

        Args:
            noisy_embedding: (B, D), normalised target embedding with noise.
            timestep: (B,) integers in 0..999.
            source_embedding: (B, D), raw projection output of the image encoder.
            source_pose: (B, 2K), x1, y1, x2, y2, ... divided by width and height, 0 where missing.
            target_pose: (B, 2K), likewise.
        """
        batch = noisy_embedding.shape[0]
        time = self.time_proj(timestep.expand(batch)).to(noisy_embedding.dtype)
        tokens = torch.stack(
            [
                self.encoder_hidden_states_proj(self.pose_encoder(source_pose)),
                self.encoder_hidden_states_proj1(self.pose_encoder1(target_pose)),
                self.embedding_proj(source_embedding),
                self.time_embedding(time),
                self.proj_in(noisy_embedding),
                self.prd_embedding[:, 0].to(noisy_embedding.dtype).expand(batch, -1),
            ],
            dim=1,
        )
        tokens = tokens + self.positional_embedding.to(tokens.dtype)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        return self.proj_to_clip_embeddings(self.norm_out(tokens)[:, -1])

    def normalise(self, embedding: Tensor) -> Tensor:
        """Return the embedding in the scale that is diffused."""
        return (embedding - self.config["clip_mean"]) / self.config["clip_std"]

    def denormalise(self, embedding: Tensor) -> Tensor:
        """Return a diffused embedding in the scale of the image encoder."""
        return embedding * self.config["clip_std"] + self.config["clip_mean"]
