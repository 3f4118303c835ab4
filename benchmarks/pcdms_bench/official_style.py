"""Sampling in the manner of the published scripts, to measure this implementation against.

Written from the description of the method, not from its code: one pair per call, each stage over
all pairs before the next, encoders in float32 and asked again for every pair and stage, the UNet of
`inpaint` and the autoencoder in half precision, the prior and the UNet of `refine` in float32,
nothing compiled, pictures read and written with Pillow. Left out in its favour: the encoder pass
whose result the published prior throws away, and the cosine to the true target.
Source: tencent-ailab/PCDMs:stage{1,2,3}_batchtest_*.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UnCLIPScheduler
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pcdms.encoders import encoder_pixels, image_embedding, pose_vectors, source_tokens
from pcdms.pipeline_config import PipelineConfig
from pcdms.schedulers import LatentSchedule, sampling_scheduler
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Keypoints, Pair

SEED = 42
Network = Callable[[Tensor, Tensor], Tensor]


class OfficialStyle:
    """The three stages over pairs with picture files; `parts` are float32 modules on the device."""

    def __init__(
        self,
        parts: Mapping[str, Any],
        config: PipelineConfig,
        half: torch.dtype,
        steps: int,
        guidance: float,
    ) -> None:
        self.config, self.half, self.steps, self.guidance = config, half, steps, guidance
        self.prior, self.refine = parts["prior"], parts["refine"]
        self.image_encoder, self.source_encoder = parts["image_encoder"], parts["source_encoder"]
        self.vae = nn.Module.to(deepcopy(parts["vae"]), dtype=half)
        self.inpaint = deepcopy(parts["inpaint"])
        nn.Module.to(self.inpaint.unet, dtype=half)
        self.device = self.prior.device
        self.generator = torch.Generator(self.device).manual_seed(SEED)

    def generate(self, pairs: Sequence[Pair], out: Path) -> dict[str, float]:
        """Leave embeddings and pictures of every stage below `out`; return {stage: seconds}."""
        seconds = {}
        stages = {
            "prior": self._embedding,
            "inpaint": self._coarse,
            "refine": self._refined,
        }
        for name, run in stages.items():
            (out / name).mkdir(parents=True)
            started = time.perf_counter()
            with torch.no_grad():
                for pair in pairs:
                    run(pair, out)
            seconds[name] = time.perf_counter() - started
        return seconds

    def _embedding(self, pair: Pair, out: Path) -> None:
        pixels = encoder_pixels(self._open(pair)[None], self.config.image_encoder)
        source = image_embedding(self.image_encoder, pixels)
        poses = [self._pose_vector(pose) for pose in (pair.source_pose, pair.target_pose)]
        scheduler = UnCLIPScheduler(
            variance_type="fixed_small_log", clip_sample_range=10.0, prediction_type="sample"
        )
        scheduler.set_timesteps(self.config.prior_steps, device=self.device)
        latents, times = self._noise(*source.shape), scheduler.timesteps
        for place, moment in enumerate(times):
            clean = self.prior(latents, moment.expand(1), source, *poses)
            before = times[place + 1] if place + 1 < len(times) else None
            latents = scheduler.step(
                clean, moment, latents, prev_timestep=before, generator=self.generator
            ).prev_sample
        found = self.prior.denormalise(latents).cpu().numpy()
        np.save(out / "prior" / f"{pair.pair_id}.npy", found, allow_pickle=False)

    def _coarse(self, pair: Pair, out: Path) -> None:
        model, source = self.inpaint, self._open(pair)
        found = np.load(out / "prior" / f"{pair.pair_id}.npy", allow_pickle=False)
        embedding = torch.from_numpy(found).to(self.device)
        context, label = model.context(self._tokens(source), embedding)
        context, label = context.to(self.half), label.to(self.half)
        size = self.config.frame
        poses = [
            draw_pose(pose.resized(size).xy, pose.visible, size, size)
            for pose in (pair.source_pose, pair.target_pose)
        ]
        drawn = np.concatenate(poses, axis=1).transpose(2, 0, 1)[None]
        pose = model.pose_proj(self._signed(drawn)).to(self.half)
        canvas = self._signed(source[None])
        masked = self._encode(torch.cat([canvas, torch.full_like(canvas, -1.0)], dim=-1))
        mask = torch.zeros_like(masked[:, :1])
        mask[..., : masked.shape[-1] // 2] = 1
        fixed, rows = torch.cat([mask, masked], dim=1), 2 if self.guidance > 1 else 1
        if rows == 2:
            context = torch.cat([torch.zeros_like(context), context])
            label = torch.cat([torch.zeros_like(label), label])
            pose, fixed = torch.cat([pose, pose]), torch.cat([fixed, fixed])

        def network(latents: Tensor, moment: Tensor) -> Tensor:
            inputs = torch.cat([latents.repeat(rows, 1, 1, 1), fixed], dim=1)
            return model.denoise(inputs, moment, context, label, pose)

        latents = self._denoise(network, self._noise(*masked.shape).to(self.half), "inpaint")
        wide = self._decode(latents)
        height, width = self.config.frame
        picture = Image.fromarray(wide).crop((width, 0, 2 * width, height))
        picture.save(out / "inpaint" / f"{pair.pair_id}.png")

    def _refined(self, pair: Pair, out: Path) -> None:
        model = self.refine
        context = model.context(self._tokens(self._open(pair)))
        with Image.open(out / "inpaint" / f"{pair.pair_id}.png") as opened:
            coarse = np.array(opened.convert("RGB")).transpose(2, 0, 1)
        fixed, rows = self._encode(self._signed(coarse[None])).float(), 1
        if self.guidance > 1:
            rows = 2
            context = torch.cat([torch.zeros_like(context), context])
            fixed = torch.cat([torch.zeros_like(fixed), fixed])

        def network(latents: Tensor, moment: Tensor) -> Tensor:
            inputs = torch.cat([latents.repeat(rows, 1, 1, 1), fixed], dim=1)
            return model.denoise(inputs, moment, context)

        latents = self._denoise(network, self._noise(1, *fixed.shape[1:]), "refine")
        Image.fromarray(self._decode(latents)).save(out / "refine" / f"{pair.pair_id}.png")

    def _denoise(self, network: Network, latents: Tensor, stage: str) -> Tensor:
        schedule: LatentSchedule = getattr(self.config, f"{stage}_schedule")
        scheduler = sampling_scheduler(schedule, self.steps, "sigma_min")
        for moment in scheduler.timesteps:
            guess = network(latents, moment.to(self.device))
            if self.guidance > 1:
                without, within = guess.chunk(2)
                guess = without + self.guidance * (within - without)
            latents = scheduler.step(guess, moment, latents, return_dict=False)[0]
        return latents

    def _open(self, pair: Pair) -> NDArray[np.uint8]:
        """Return the source (3, H, W) in the model's frame."""
        height, width = self.config.frame
        with Image.open(pair.source.path) as opened:
            picture = opened.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        return np.array(picture).transpose(2, 0, 1)

    def _tokens(self, picture: NDArray[np.uint8]) -> Tensor:
        pixels = encoder_pixels(picture[None], self.config.source_encoder)
        return source_tokens(self.source_encoder, pixels)

    def _pose_vector(self, pose: Keypoints) -> Tensor:
        return pose_vectors(pose.xy[None], pose.visible[None], pose.size).to(self.device)

    def _signed(self, pixels: NDArray[np.uint8]) -> Tensor:
        planes = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
        return planes.float() / 127.5 - 1

    def _encode(self, pixels: Tensor) -> Tensor:
        drawn = self.vae.encode(pixels.to(self.half)).latent_dist.sample(self.generator)
        return drawn * self.vae.config["scaling_factor"]

    def _decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Return the picture (H, W, 3)."""
        scaled = latents.to(self.half) / self.vae.config["scaling_factor"]
        pixels = self.vae.decode(scaled).sample.float()[0]
        levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)
