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

from pcdms.execution import Execution
from pcdms.frozen_parts import FrozenParts
from pcdms.guidance import EVERYWHERE, Interval
from pcdms.inpaint import InpaintModel
from pcdms.model_directory import Given, check_fit, load_part, save_part
from pcdms.pipeline_config import PipelineConfig, load_pipeline_config
from pcdms.pipeline_settings import Sampling, StageOutputs, draw_noise, stretched
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms.sampling import NullMode, decode_latents, run_inpaint, run_prior, run_refine
from pcdms.schedulers import FinalSigma
from pcdms.stages import PARTS, REFINE_OVER, STAGE_LISTS, parse_stages, parts_for
from pcdms_data.types import Batch, InputError

PRIOR_GUIDANCE = 0.0


class PCDMsPipeline(FrozenParts):
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
        super().__init__(config, vae, image_encoder, source_encoder)
        self.prior = prior
        self.inpaint = inpaint
        self.refine = refine

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        stages: str = "prior+inpaint+refine",
        null: NullMode = "published",
        given: Given | None = None,
        execution: Execution | None = None,
    ) -> PCDMsPipeline:
        """Return the pipeline of a model directory in eval mode.

        Only the parts that `stages` need are loaded. `given` = {part: folder} replaces parts of the
        directory, or stands in for those it lacks (`pcdms.part_sources.given_parts`). The networks
        compute in `dtype`; schedules, guidance, latents and embeddings stay in float32.

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
            if execution is not None:
                execution.apply(name, parts[name])
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
        guidance_interval: Interval = EVERYWHERE,
        prior_steps: int | None = None,
        coarse: NDArray[np.uint8] | None = None,
    ) -> StageOutputs:
        """Return the outputs of the named stages for every pair of `batch`.

        `steps` (of the stages `inpaint` and `refine`), `prior_steps` and `guidance` default to
        those of the model directory (20, 20 and 2.0 as published). `chunk` rows pass through a
        network at once; where they do not fit in memory they are halved (`chunks.halved`).
        `coarse` uint8 (B, 3, H, W) are pictures of another method, of any size, for `stages` of
        `final+refine`: only they are refined.
        """
        names = parse_stages(stages, STAGE_LISTS if coarse is None else (REFINE_OVER,))
        settings = Sampling(
            seed,
            samples,
            steps,
            guidance,
            guidance_rescale,
            null,
            final_sigma,
            chunk,
            guidance_interval,
            prior_steps,
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
            first = inpaint if coarse is None else self._given(coarse, len(batch.source), samples)
            assert first is not None
            refine = self.run_refine_stage(batch, first, settings)
        return StageOutputs(embedding, inpaint, refine)

    def run_prior_stage(self, batch: Batch, settings: Sampling) -> NDArray[np.float32]:
        """Return predicted target embeddings (B, S, D) of a batch in the model's frame."""
        model = self.part(self.prior, "prior")
        steps = self.config.prior_steps if settings.prior_steps is None else settings.prior_steps
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

        rows = self.chunks.run(len(source) * settings.samples, settings.chunk, compute)
        return rows.reshape(len(source), settings.samples, -1).float().cpu().numpy()

    def run_inpaint_stage(
        self, batch: Batch, embedding: NDArray[np.float32] | None, settings: Sampling
    ) -> NDArray[np.uint8]:
        """Return coarse pictures (B, S, 3, H, W) uint8; without `embedding`, the null embedding."""
        model, vae = self.part(self.inpaint, "inpaint"), self.part(self.vae, "vae")
        tokens = self.tokens(batch.source, settings.chunk)
        if embedding is None:
            row = self._missing_embedding(settings.null).cpu().numpy()
            embedding = np.broadcast_to(row, (len(tokens), settings.samples, row.shape[-1])).copy()
        target = torch.from_numpy(embedding.reshape(-1, embedding.shape[-1])).to(self.device)
        source = torch.from_numpy(np.ascontiguousarray(batch.source)).to(self.device)
        height, width = self.latent_size()
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
                self.pose_images(batch, pair),
                posterior,
                start,
                self._steps(settings),
                self._guidance(settings),
                settings.null,
                *nothing,
                settings.final_sigma,
                self.config.inpaint_schedule,
                settings.guidance_interval,
            )
            return self._decode(vae, latents)[..., self.config.frame[1] :].contiguous()

        rows = self.chunks.run(len(target), settings.chunk, compute)
        return rows.reshape(len(tokens), settings.samples, *rows.shape[1:]).cpu().numpy()

    def run_refine_stage(
        self, batch: Batch, coarse: NDArray[np.uint8], settings: Sampling
    ) -> NDArray[np.uint8]:
        """Return refined pictures (B, S, 3, H, W) uint8 of coarse ones (B, S, 3, H, W) uint8."""
        model, vae = self.part(self.refine, "refine"), self.part(self.vae, "vae")
        tokens = self.tokens(batch.source, settings.chunk)
        # The memory layout picks the convolution's kernel, and with it the last bits: pictures of
        # the stage before and the same ones read from files must lie alike.
        flat = np.ascontiguousarray(coarse.reshape(-1, *coarse.shape[2:]))
        pictures = torch.from_numpy(flat).to(self.device)
        shape = (vae.config["latent_channels"], *self.latent_size())
        null_tokens = self.null_tokens() if settings.null == "trained" else None
        null_latents = self.null_coarse() if settings.null == "trained" else None

        def compute(index: NDArray[np.intp]) -> Tensor:
            posterior, start = self._noise(batch, index, "refine", settings, [shape, shape])
            latents = run_refine(
                model,
                vae,
                pictures[index],
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
                settings.guidance_interval,
            )
            return self._decode(vae, latents)

        rows = self.chunks.run(len(flat), settings.chunk, compute)
        return rows.reshape(coarse.shape).cpu().numpy()

    def _given(self, coarse: NDArray[np.uint8], count: int, samples: int) -> NDArray[np.uint8]:
        """Return another method's pictures (B, 3, H, W) in the model's frame, (B, S, 3, h, w)."""
        if coarse.dtype != np.uint8 or coarse.ndim != 4 or coarse.shape[:2] != (count, 3):
            raise InputError(
                f"coarse pictures are {coarse.dtype} {coarse.shape}, expected uint8 "
                f"({count}, 3, H, W)"
            )
        return np.repeat(stretched(coarse, self.config.frame)[:, None], samples, axis=1)

    def _steps(self, settings: Sampling) -> int:
        return self.config.steps if settings.steps is None else settings.steps

    def _guidance(self, settings: Sampling) -> float:
        return self.config.guidance if settings.guidance is None else settings.guidance

    @torch.inference_mode()
    def _decode(self, vae: AutoencoderKL, latents: Tensor) -> Tensor:
        return decode_latents(vae, latents)

    def _missing_embedding(self, null: NullMode) -> Tensor:
        """Return the embedding (1, D) that stands in where no stage predicts one."""
        model = self.part(self.inpaint, "inpaint")
        if null == "published" or not model.config["embedding_token"]:
            return torch.zeros(1, model.unet.config["cross_attention_dim"], device=self.device)
        return self.null_embedding()

    def _null_conditions(self, settings: Sampling) -> tuple[Tensor | None, Tensor | None]:
        """Return tokens and embedding of the zero pixel tensor, for `null="trained"` only."""
        if settings.null != "trained":
            return None, None
        return self.null_tokens(), self._missing_embedding(settings.null)

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
