"""The three sampling loops as pure functions: every random draw is an argument.

Source: tencent-ailab/PCDMs:src/pipelines/stage{1_prior,2_inpaint,3_refined}_pipeline.py. Where the
published loops crash or draw per process, the functions here take whole batches and given noise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UniPCMultistepScheduler
from torch import Tensor

from pcdms.guidance import EVERYWHERE, Interval, guided_steps
from pcdms.guidance import guide as guide  # also for callers
from pcdms.inpaint import InpaintModel
from pcdms.null_conditions import NullMode as NullMode  # also for callers
from pcdms.null_conditions import inpaint_null, refine_null
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms.schedulers import (
    PUBLISHED_SCHEDULE,
    FinalSigma,
    LatentSchedule,
    sampling_scheduler,
    unclip_steps,
)

Network = Callable[[Tensor, Tensor], Tensor]
"""(noisy latents with the fixed channels behind them (R, ...), time) -> prediction; of R rows fewer
than the conditions have it takes the last conditions."""

NOWHERE: Interval = (1.0, 0.0)
CLIP_RANGE = 10.0
"""Predicted embeddings are clipped to +-10 before a step (UnCLIP configuration)."""


def to_signed(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return uint8 pixels as values in [-1, 1]."""
    return pixels.to(dtype) / 127.5 - 1


def encode_latents(vae: AutoencoderKL, pixels: Tensor, noise: Tensor | None) -> Tensor:
    """Return scaled latents (B, C, h, w) of pictures (B, 3, H, W) in [-1, 1].

    With `noise` (B, C, h, w) the posterior is sampled with it, without it is the posterior mean.
    """
    posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
    latents = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    return latents * vae.config["scaling_factor"]


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Return uint8 pictures (B, 3, H, W), rounded, of scaled latents (B, C, h, w)."""
    pixels = vae.decode(latents.to(vae.dtype) / vae.config["scaling_factor"]).sample
    return ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous()


def masked_canvas(source: Tensor) -> Tensor:
    """Return (B, 3, H, 2W): the source on the left, -1 (black) on the right half."""
    return torch.cat([source, torch.full_like(source, -1.0)], dim=-1)


def known_mask(latents: Tensor) -> Tensor:
    """Return (B, 1, h, 2w): 1 on the known left half, 0 on the half to make.

    The opposite of the stock inpainting convention, as published.
    """
    mask = torch.zeros_like(latents[:, :1])
    mask[..., : latents.shape[-1] // 2] = 1
    return mask


def _as(model: PriorTransformer | InpaintModel | RefineModel, values: Tensor) -> Tensor:
    """Return `values` in the network's precision; latents and schedule keep their own (float32)."""
    return values.to(model.dtype)


def _optional(model: InpaintModel | RefineModel, values: Tensor | None) -> Tensor | None:
    return None if values is None else _as(model, values)


def _signed(pixels: Tensor, latents: Tensor) -> Tensor:
    return to_signed(pixels, latents.dtype)


def _denoise(
    network: Network,
    scheduler: UniPCMultistepScheduler | DDIMScheduler,
    start_latents: Tensor,
    fixed: Tensor,
    guidance: float,
    rescale: float,
    interval: Interval,
) -> Tensor:
    """Return the last latents (B, C, h, w) of the loop that stages `inpaint` and `refine` share.

    Guidance acts above 1; then `fixed` and the network's conditions hold 2B rows, unconditional
    ones first, of which steps outside the interval take the second half.
    """
    latents = start_latents
    times = scheduler.timesteps
    count = scheduler.config["num_train_timesteps"]
    guided = guided_steps(times.tolist(), count, interval if guidance > 1 else NOWHERE)
    # One copy of all times: a copy in every step would hold the device up.
    for time, on_device, both in zip(times, times.to(latents.device), guided, strict=True):
        inputs = latents.repeat(2, 1, 1, 1) if both else latents
        out = network(torch.cat([inputs, fixed[-len(inputs) :]], dim=1), on_device)
        # A copy: replayed graphs (`Execution`) write every result to the same place.
        out = out.to(latents.dtype, copy=True)
        if both:
            out = guide(out, guidance, rescale)
        latents = scheduler.step(out, time, latents, return_dict=False)[0]
    return latents


@torch.inference_mode()
def run_prior(
    model: PriorTransformer,
    source_embedding: Tensor,
    source_pose: Tensor,
    target_pose: Tensor,
    noise: Tensor,
    steps: int = 20,
    guidance: float = 0.0,
    null_embedding: Tensor | None = None,
) -> Tensor:
    """Return the de-normalised embedding (B, D) of the target that the prior imagines.

    Args:
        model: the prior.
        source_embedding: (B, D), raw embedding of the source.
        source_pose: (B, 2K), normalised key points.
        target_pose: (B, 2K), likewise.
        noise: (steps, B, D); `noise[0]` is the start latent, `noise[i]` the draw of step i - 1.
        steps: number of ancestral steps.
        guidance: used when > 1. The published guidance crashes; here the unconditional branch
            keeps the poses.
        null_embedding: (B, D) or (1, D), source of the unconditional branch, default zero.
    """
    latents = noise[0].clone()  # of this mode, as in later steps: else it is compiled twice
    source_embedding = _as(model, source_embedding)
    source_pose, target_pose = _as(model, source_pose), _as(model, target_pose)
    guided = guidance > 1
    if guided:
        null = torch.zeros_like(source_embedding) if null_embedding is None else null_embedding
        null = _as(model, null).expand_as(source_embedding)
        source_embedding = torch.cat([null, source_embedding])
        source_pose, target_pose = source_pose.repeat(2, 1), target_pose.repeat(2, 1)
    for index, step in enumerate(unclip_steps(steps)):
        inputs = latents.repeat(2, 1) if guided else latents
        time = torch.full((len(inputs),), step.timestep, device=latents.device)
        clean = model(_as(model, inputs), time, source_embedding, source_pose, target_pose)
        clean = clean.to(latents.dtype)
        if guided:
            clean = guide(clean, guidance, 0.0)
        clean = clean.clamp(-CLIP_RANGE, CLIP_RANGE)
        device = latents.device
        latents = step.x0_scale.to(device) * clean + step.x_scale.to(device) * latents
        if index + 1 < steps:
            latents = latents + step.noise_scale.to(device) * noise[index + 1]
    return model.denormalise(latents)


@torch.inference_mode()
def run_inpaint(
    model: InpaintModel,
    vae: AutoencoderKL,
    source: Tensor,
    source_tokens: Tensor,
    target_embedding: Tensor,
    pose_image: Tensor,
    posterior_noise: Tensor,
    start_latents: Tensor,
    steps: int = 20,
    guidance: float = 2.0,
    null: NullMode = "published",
    null_tokens: Tensor | None = None,
    null_embedding: Tensor | None = None,
    final_sigma: FinalSigma = "sigma_min",
    schedule: LatentSchedule = PUBLISHED_SCHEDULE,
    guidance_interval: Interval = EVERYWHERE,
) -> Tensor:
    """Return the final latents (B, C, h, 2w) of the source|target canvas, still scaled.

    Args:
        model: the inpainting stage.
        vae: the autoencoder.
        source: (B, 3, H, W) uint8.
        source_tokens: (B, T, Dt), source encoder's tokens of the source.
        target_embedding: (B, D), raw embedding, predicted or true.
        pose_image: (B, 3, H, 2W) in [-1, 1], source pose | target pose.
        posterior_noise: (B, C, h, 2w), draw of the masked canvas' latent.
        start_latents: (B, C, h, 2w), standard normal.
        steps: number of sampling steps.
        guidance: classifier-free guidance scale, used when > 1.
        null: the unconditional branch; "published" zeroes context and label after projection,
            "trained" feeds `null_tokens` and `null_embedding` (those of the zero pixel tensor).
        null_tokens: (B or 1, T, Dt), for `null="trained"`.
        null_embedding: (B or 1, D), for `null="trained"`.
        final_sigma: last noise level, see `pcdms.schedulers.sampling_scheduler`.
        schedule: noise schedule and what the network predicts.
        guidance_interval: the part of the time in which guidance acts (published: all of it).
    """
    masked = encode_latents(vae, masked_canvas(_signed(source, start_latents)), posterior_noise)
    masked = masked.to(start_latents.dtype)
    fixed = torch.cat([known_mask(masked), masked], dim=1)
    source_tokens, target_embedding = _as(model, source_tokens), _as(model, target_embedding)
    context, label = model.context(source_tokens, target_embedding)
    pose_features = model.pose_proj(_as(model, pose_image))
    if guidance > 1:
        null_context, null_label = inpaint_null(
            model,
            null,
            source_tokens,
            target_embedding,
            _optional(model, null_tokens),
            _optional(model, null_embedding),
        )
        context, label = torch.cat([null_context, context]), torch.cat([null_label, label])
        pose_features, fixed = pose_features.repeat(2, 1, 1, 1), fixed.repeat(2, 1, 1, 1)

    def network(inputs: Tensor, time: Tensor) -> Tensor:
        rows = slice(-len(inputs), None)
        return model.denoise(
            _as(model, inputs), time, context[rows], label[rows], pose_features[rows]
        )

    scheduler = sampling_scheduler(schedule, steps, final_sigma)
    return _denoise(network, scheduler, start_latents, fixed, guidance, 0.0, guidance_interval)


@torch.inference_mode()
def run_refine(
    model: RefineModel,
    vae: AutoencoderKL,
    coarse: Tensor,
    source_tokens: Tensor,
    posterior_noise: Tensor,
    start_latents: Tensor,
    steps: int = 20,
    guidance: float = 2.0,
    guidance_rescale: float = 0.0,
    null: NullMode = "published",
    null_tokens: Tensor | None = None,
    null_coarse_latents: Tensor | None = None,
    final_sigma: FinalSigma = "sigma_min",
    schedule: LatentSchedule = PUBLISHED_SCHEDULE,
    guidance_interval: Interval = EVERYWHERE,
) -> Tensor:
    """Return the final latents (B, C, h, w) of the target picture, still scaled.

    Args:
        model: the refining stage.
        vae: the autoencoder.
        coarse: (B, 3, H, W) uint8, picture of stage `inpaint`.
        source_tokens: (B, T, Dt), source encoder's tokens of the source.
        posterior_noise: (B, C, h, w), draw of the coarse picture's latent.
        start_latents: (B, C, h, w), standard normal.
        steps: number of sampling steps.
        guidance: classifier-free guidance scale, used when > 1.
        guidance_rescale: 0 leaves the guided prediction alone; the published script passes 2.
        null: "published" zeroes the context and the coarse latent, "trained" feeds `null_tokens`
            and the latent of a mid-grey picture (its posterior mean).
        null_tokens: (B or 1, T, Dt), for `null="trained"`.
        null_coarse_latents: (B or 1, C, h, w), for `null="trained"`.
        final_sigma: last noise level, see `pcdms.schedulers.sampling_scheduler`.
        schedule: noise schedule and what the network predicts.
        guidance_interval: the part of the time in which guidance acts (published: all of it).
    """
    fixed = encode_latents(vae, _signed(coarse, start_latents), posterior_noise)
    fixed = fixed.to(start_latents.dtype)
    source_tokens = _as(model, source_tokens)
    context = model.context(source_tokens)
    if guidance > 1:
        null_context, null_fixed = refine_null(
            model, null, source_tokens, fixed, _optional(model, null_tokens), null_coarse_latents
        )
        context, fixed = torch.cat([null_context, context]), torch.cat([null_fixed, fixed])

    def network(inputs: Tensor, time: Tensor) -> Tensor:
        return model.denoise(_as(model, inputs), time, context[-len(inputs) :])

    scheduler = sampling_scheduler(schedule, steps, final_sigma)
    return _denoise(
        network, scheduler, start_latents, fixed, guidance, guidance_rescale, guidance_interval
    )
