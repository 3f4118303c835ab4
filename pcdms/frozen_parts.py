"""What the frozen parts of a pipeline and the key points say of a batch of pairs.

Encoders run once per distinct picture, whatever pair, stage or call it comes with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPVisionModelWithProjection, Dinov2Model

from pcdms.chunks import Chunks
from pcdms.encoders import (
    encoder_pixels,
    image_embedding,
    null_pixels,
    pose_vectors,
    source_tokens,
)
from pcdms.picture_memory import PictureMemory
from pcdms.pipeline_config import PipelineConfig
from pcdms.pipeline_settings import in_frame
from pcdms.sampling import encode_latents, to_signed
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Batch, InputError


class FrozenParts:
    """Encoders and autoencoder (None where absent), with what they said of pictures so far."""

    def __init__(
        self,
        config: PipelineConfig,
        vae: AutoencoderKL | None,
        image_encoder: CLIPVisionModelWithProjection | None,
        source_encoder: Dinov2Model | None,
    ) -> None:
        self.config = config
        self.vae = vae
        self.image_encoder = image_encoder
        self.source_encoder = source_encoder
        self.chunks = Chunks()
        self._embeddings, self._tokens = PictureMemory(), PictureMemory()

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        parts = (self.vae, self.image_encoder, self.source_encoder)
        return torch.device(next(part.device for part in parts if part is not None))

    def framed(self, batch: Batch) -> Batch:
        """Return `batch` in the model's frame."""
        return in_frame(batch, self.config.frame)

    @torch.inference_mode()
    def embed(self, pictures: NDArray[np.uint8], chunk: int = 8) -> NDArray[np.float32]:
        """Return the global embeddings (B, D) of pictures (B, 3, H, W) uint8."""
        encoder = self.part(self.image_encoder, "image_encoder")

        def encode(distinct: NDArray[np.uint8]) -> Tensor:
            pixels = encoder_pixels(distinct, self.config.image_encoder)
            return self.chunks.run(
                len(pixels), chunk, lambda index: image_embedding(encoder, pixels[index])
            )

        return self._embeddings.rows(pictures, encode).numpy()

    @torch.inference_mode()
    def tokens(self, pictures: NDArray[np.uint8], chunk: int = 8) -> Tensor:
        """Return the source encoder's tokens (B, T, Dt) of pictures (B, 3, H, W) uint8."""
        encoder = self.part(self.source_encoder, "source_encoder")

        def encode(distinct: NDArray[np.uint8]) -> Tensor:
            pixels = encoder_pixels(distinct, self.config.source_encoder)
            rows = self.chunks.run(
                len(pixels), chunk, lambda index: source_tokens(encoder, pixels[index])
            )
            return rows.to(encoder.dtype)  # as the encoder gave them: half the memory, no loss

        return self._tokens.rows(pictures, encode).to(self.device).float()

    def pose_vectors(self, xy: NDArray[np.float32], visible: NDArray[np.bool_]) -> Tensor:
        """Return (B, 2K) in [0, 1] of key points in the model's frame, zeros where missing."""
        return pose_vectors(xy, visible, self.config.frame).to(self.device)

    def pose_images(self, batch: Batch, rows: NDArray[np.intp] | None = None) -> Tensor:
        """Return (R, 3, H, 2W) in [-1, 1], source pose | target pose, of `rows` (R,) of a batch.

        Without `rows`, of all; a row that comes more than once is drawn once.
        """
        wanted = np.arange(len(batch.pair_ids)) if rows is None else rows
        distinct, place = np.unique(wanted, return_inverse=True)
        size = self.config.frame
        drawn = [
            np.concatenate(
                [
                    draw_pose(batch.source_xy[row], batch.source_visible[row], size, size),
                    draw_pose(batch.target_xy[row], batch.target_visible[row], size, size),
                ],
                axis=1,
            )
            for row in distinct
        ]
        planes = torch.from_numpy(np.stack(drawn)[place]).permute(0, 3, 1, 2).contiguous()
        return to_signed(planes.to(self.device), torch.float32)

    def part(self, part: Any, name: str) -> Any:
        """Return `part`; raises InputError, naming it, where it is None."""
        if part is None:
            raise InputError(f"the model has no part {name!r}, which this stage needs")
        return part

    def latent_size(self) -> tuple[int, int]:
        """Return (h, w), the latent cells of a picture in the model's frame."""
        vae = self.part(self.vae, "vae")
        factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        return self.config.frame[0] // factor, self.config.frame[1] // factor

    @torch.inference_mode()
    def null_coarse(self) -> Tensor:
        """Return the latent (1, C, h, w) of a mid-grey picture."""
        grey = torch.zeros(1, 3, *self.config.frame, device=self.device)
        return encode_latents(self.part(self.vae, "vae"), grey, None).float()

    @torch.inference_mode()
    def null_tokens(self) -> Tensor:
        """Return the tokens (1, T, Dt) of the zero pixel tensor."""
        encoder = self.part(self.source_encoder, "source_encoder")
        return source_tokens(encoder, null_pixels(self.config.source_encoder))

    @torch.inference_mode()
    def null_embedding(self) -> Tensor:
        """Return the embedding (1, D) of the zero pixel tensor."""
        encoder = self.part(self.image_encoder, "image_encoder")
        return image_embedding(encoder, null_pixels(self.config.image_encoder))
