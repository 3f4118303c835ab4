"""All three stages on batches of pairs: `PCDMsPipeline`.

Every random draw of a pair comes from its own generator, seeded by pair id, stage and sample, and
networks run in fixed padded chunks: a picture does not depend on its neighbours or their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection, Dinov2Model

from pcdms.encoders import (
    encoder_pixels,
    image_embedding,
    in_chunks,
    null_pixels,
    pose_vectors,
    source_tokens,
)
from pcdms.inpaint import InpaintModel
from pcdms.model_directory import Given, check_fit, load_part, save_part
from pcdms.pipeline_config import PipelineConfig, load_pipeline_config
from pcdms.pipeline_settings import Sampling, StageOutputs, draw_noise, in_frame
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms.sampling import (
    NullMode,
    decode_latents,
    encode_latents,
    run_inpaint,
    run_prior,
    run_refine,
    to_signed,
)
from pcdms.schedulers import FinalSigma
from pcdms.stages import PARTS, parse_stages, parts_for
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Batch, InputError

PRIOR_GUIDANCE = 0.0


class PCDMsPipeline:
    """The published three-stage pipeline over whole batches, on one device."""

    def __init__(
        self,
        config: PipelineConfig,
        prior: PriorTransformer | None,
        inpaint: InpaintModel | None,
        refine: RefineModel | None,
        vae: AutoencoderKL | None,
        image_encoder: CLIPVisionModelWithProjection | None,
        source_encoder: Dinov2Model | None,
    ) -> None:
        self.config = config
        self.prior = prior
        self.inpaint = inpaint
        self.refine = refine
        self.vae = vae
        self.image_encoder = image_encoder
        self.source_encoder = source_encoder

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        stages: str = "prior+inpaint+refine",
        null: NullMode = "published",
        given: Given | None = None,
    ) -> PCDMsPipeline:
        """Return the pipeline of a model directory in eval mode.

        Only the parts that `stages` need are loaded. `given` = {part: folder} replaces parts of the
        directory, or stands in for those it lacks (`pcdms.part_sources.given_parts`).

        Raises:
            InputError: a part is missing, has missing or surplus weights (they are listed), or does
                not fit the other parts.
        """
        root = Path(directory)
        config = load_pipeline_config(root / "pipeline.json")
        parts: dict[str, Any] = dict.fromkeys(PARTS)
        for name in parts_for(stages, null):
            parts[name] = load_part(root, name, given).to(device)
            if dtype != torch.float32:
                # The plain method: diffusers' own warns about modules to keep in float32, of which
                # these networks have none.
                parts[name] = nn.Module.to(parts[name], dtype=dtype)
        check_fit(config, parts, root)
        return cls(config, **parts)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write every part and `pipeline.json` below `directory`."""
        root = Path(directory)
        root.mkdir(parents=True, exist_ok=True)
        for name in PARTS:
            if getattr(self, name) is not None:
                save_part(root, name, getattr(self, name))
        self.config.save(root / "pipeline.json")

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        part = next(getattr(self, name) for name in PARTS if getattr(self, name) is not None)
        return torch.device(part.device)

    @property
    def parameters(self) -> int:
        """Number of parameters of all parts together."""
        parts = (getattr(self, name) for name in PARTS)
        return sum(p.numel() for part in parts if part is not None for p in part.parameters())

    def __call__(
        self,
        batch: Batch,
        stages: str = "prior+inpaint+refine",
        seed: int = 0,
        samples: int = 1,
        steps: int | None = None,
        guidance: float | None = None,
        null: NullMode = "published",
        guidance_rescale: float = 0.0,
        final_sigma: FinalSigma = "sigma_min",
        chunk: int = 8,
    ) -> StageOutputs:
        """Return the outputs of the named stages for every pair of `batch`.

        `steps` and `guidance` default to those of the model directory (20 and 2.0 as published).
        """
        names = parse_stages(stages)
        settings = Sampling(
            seed, samples, steps, guidance, guidance_rescale, null, final_sigma, chunk
        )
        batch = self.framed(batch)
        embedding = inpaint = refine = None
        if "prior" in names:
            embedding = self.run_prior_stage(batch, settings)
        elif "truth" in names:
            truth = self.embed(batch.target, chunk)
            embedding = np.repeat(truth[:, None], samples, axis=1)
        if "inpaint" in names:
            inpaint = self.run_inpaint_stage(batch, embedding, settings)
        if "refine" in names:
            assert inpaint is not None
            refine = self.run_refine_stage(batch, inpaint, settings)
        return StageOutputs(embedding, inpaint, refine)

    def framed(self, batch: Batch) -> Batch:
        """Return `batch` in the model's frame."""
        return in_frame(batch, self.config.frame)

    @torch.inference_mode()
    def embed(self, pictures: NDArray[np.uint8], chunk: int = 8) -> NDArray[np.float32]:
        """Return the global embeddings (B, D) of pictures (B, 3, H, W) uint8."""
        encoder = self._part(self.image_encoder, "image_encoder")
        pixels = encoder_pixels(pictures, self.config.image_encoder)
        rows = in_chunks(len(pixels), chunk, lambda index: image_embedding(encoder, pixels[index]))
        return rows.cpu().numpy()

    @torch.inference_mode()
    def tokens(self, pictures: NDArray[np.uint8], chunk: int = 8) -> Tensor:
        """Return the source encoder's tokens (B, T, Dt) of pictures (B, 3, H, W) uint8."""
        encoder = self._part(self.source_encoder, "source_encoder")
        pixels = encoder_pixels(pictures, self.config.source_encoder)
        return in_chunks(len(pixels), chunk, lambda index: source_tokens(encoder, pixels[index]))

    def pose_vectors(self, xy: NDArray[np.float32], visible: NDArray[np.bool_]) -> Tensor:
        """Return (B, 2K) in [0, 1] of key points in the model's frame, zeros where missing."""
        return pose_vectors(xy, visible, self.config.frame).to(self.device)

    def pose_images(self, batch: Batch) -> Tensor:
        """Return (B, 3, H, 2W) in [-1, 1]: source pose | target pose."""
        size = self.config.frame
        rows = [
            np.concatenate([draw_pose(sxy, sv, size, size), draw_pose(txy, tv, size, size)], axis=1)
            for sxy, sv, txy, tv in zip(
                batch.source_xy,
                batch.source_visible,
                batch.target_xy,
                batch.target_visible,
                strict=True,
            )
        ]
        drawn = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous()
        return to_signed(drawn, torch.float32).to(self.device)

    def run_prior_stage(self, batch: Batch, settings: Sampling) -> NDArray[np.float32]:
        """Return predicted target embeddings (B, S, D) of a batch in the model's frame."""
        model = self._part(self.prior, "prior")
        steps = self.config.prior_steps
        source = torch.from_numpy(self.embed(batch.source, settings.chunk)).to(self.device)
        poses = (
            self.pose_vectors(batch.source_xy, batch.source_visible),
            self.pose_vectors(batch.target_xy, batch.target_visible),
        )
        shape = (steps, source.shape[1])

        def compute(index: NDArray[np.intp]) -> Tensor:
            pair = index // settings.samples
            noise = self._noise(batch, index, "prior", settings, [shape])[0].transpose(0, 1)
            return run_prior(
                model, source[pair], poses[0][pair], poses[1][pair], noise, steps, PRIOR_GUIDANCE
            )

        rows = in_chunks(len(source) * settings.samples, settings.chunk, compute)
        return rows.reshape(len(source), settings.samples, -1).float().cpu().numpy()

    def run_inpaint_stage(
        self, batch: Batch, embedding: NDArray[np.float32] | None, settings: Sampling
    ) -> NDArray[np.uint8]:
        """Return coarse pictures (B, S, 3, H, W) uint8; without `embedding`, the null embedding."""
        model, vae = self._part(self.inpaint, "inpaint"), self._part(self.vae, "vae")
        tokens = self.tokens(batch.source, settings.chunk)
        if embedding is None:
            row = self._null_embedding(settings.null).cpu().numpy()
            embedding = np.broadcast_to(row, (len(tokens), settings.samples, row.shape[-1])).copy()
        target = torch.from_numpy(embedding.reshape(-1, embedding.shape[-1])).to(self.device)
        source = torch.from_numpy(np.ascontiguousarray(batch.source)).to(self.device)
        poses = self.pose_images(batch)
        height, width = self._latent_size()
        shape = (vae.config["latent_channels"], height, 2 * width)
        nothing = self._null_conditions(settings)

        def compute(index: NDArray[np.intp]) -> Tensor:
            pair = index // settings.samples
            posterior, start = self._noise(batch, index, "inpaint", settings, [shape, shape])
            latents = run_inpaint(
                model,
                vae,
                source[pair],
                tokens[pair],
                target[index],
                poses[pair],
                posterior,
                start,
                self._steps(settings),
                self._guidance(settings),
                settings.null,
                *nothing,
                settings.final_sigma,
                self.config.inpaint_schedule,
            )
            return self._decode(vae, latents)[..., self.config.frame[1] :].cpu()

        rows = in_chunks(len(target), settings.chunk, compute)
        return rows.reshape(len(tokens), settings.samples, *rows.shape[1:]).numpy()

    def run_refine_stage(
        self, batch: Batch, coarse: NDArray[np.uint8], settings: Sampling
    ) -> NDArray[np.uint8]:
        """Return refined pictures (B, S, 3, H, W) uint8 of coarse ones (B, S, 3, H, W) uint8."""
        model, vae = self._part(self.refine, "refine"), self._part(self.vae, "vae")
        tokens = self.tokens(batch.source, settings.chunk)
        # The memory layout picks the convolution's kernel, and with it the last bits: pictures of
        # the stage before and the same ones read from files must lie alike.
        rows = np.ascontiguousarray(coarse.reshape(-1, *coarse.shape[2:]))
        flat = torch.from_numpy(rows).to(self.device)
        shape = (vae.config["latent_channels"], *self._latent_size())
        null_tokens = self._null_tokens() if settings.null == "trained" else None
        null_latents = self._null_coarse() if settings.null == "trained" else None

        def compute(index: NDArray[np.intp]) -> Tensor:
            posterior, start = self._noise(batch, index, "refine", settings, [shape, shape])
            latents = run_refine(
                model,
                vae,
                flat[index],
                tokens[index // settings.samples],
                posterior,
                start,
                self._steps(settings),
                self._guidance(settings),
                settings.guidance_rescale,
                settings.null,
                null_tokens,
                null_latents,
                settings.final_sigma,
                self.config.refine_schedule,
            )
            return self._decode(vae, latents).cpu()

        return in_chunks(len(flat), settings.chunk, compute).reshape(coarse.shape).numpy()

    def _part(self, part: Any, name: str) -> Any:
        if part is None:
            raise InputError(f"the model has no part {name!r}, which this stage needs")
        return part

    def _steps(self, settings: Sampling) -> int:
        return self.config.steps if settings.steps is None else settings.steps

    def _guidance(self, settings: Sampling) -> float:
        return self.config.guidance if settings.guidance is None else settings.guidance

    def _latent_size(self) -> tuple[int, int]:
        vae = self._part(self.vae, "vae")
        factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        return self.config.frame[0] // factor, self.config.frame[1] // factor

    @torch.inference_mode()
    def _decode(self, vae: AutoencoderKL, latents: Tensor) -> Tensor:
        return decode_latents(vae, latents)

    @torch.inference_mode()
    def _null_coarse(self) -> Tensor:
        grey = torch.zeros(1, 3, *self.config.frame, device=self.device)
        return encode_latents(self._part(self.vae, "vae"), grey, None).float()

    @torch.inference_mode()
    def _null_tokens(self) -> Tensor:
        encoder = self._part(self.source_encoder, "source_encoder")
        return source_tokens(encoder, null_pixels(self.config.source_encoder))

    @torch.inference_mode()
    def _null_embedding(self, null: NullMode) -> Tensor:
        """Return the embedding (1, D) that stands in where no stage predicts one."""
        model = self._part(self.inpaint, "inpaint")
        if null == "published" or not model.config["embedding_token"]:
            return torch.zeros(1, model.unet.config["cross_attention_dim"], device=self.device)
        encoder = self._part(self.image_encoder, "image_encoder")
        return image_embedding(encoder, null_pixels(self.config.image_encoder))

    def _null_conditions(self, settings: Sampling) -> tuple[Tensor | None, Tensor | None]:
        """Return tokens and embedding of the zero pixel tensor, for `null="trained"` only."""
        if settings.null != "trained":
            return None, None
        return self._null_tokens(), self._null_embedding(settings.null)

    def _noise(
        self,
        batch: Batch,
        index: NDArray[np.intp],
        stage: str,
        settings: Sampling,
        shapes: Sequence[tuple[int, ...]],
    ) -> list[Tensor]:
        drawn = draw_noise(batch.pair_ids, index, stage, settings, shapes)
        return [noise.to(self.device) for noise in drawn]
