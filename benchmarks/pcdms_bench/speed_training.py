"""Speed of a training step of stage `inpaint` beside an official-style step, in one process.

Official style, written from the description: every step encodes its pictures (autoencoder twice,
both image encoders) before the UNet's own pass, one process, eager, float16 under automatic mixed
precision on a GPU. Here a step takes all of that from tables (`pcdms.training`). Reading pictures
is left out on both sides. Source: tencent-ailab/PCDMs:stage2_train_inpaint_model.py.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from pcdms.encoders import image_embedding, source_tokens
from pcdms.execution import CompileMode, Execution
from pcdms.flops import PieceFlops, piece_flops
from pcdms.pipeline_config import PipelineConfig
from pcdms.presets import PRESETS
from pcdms.schedulers import training_scheduler
from pcdms.training.loop import train
from pcdms.training.losses import InpaintLoss, PairTable, PictureTable
from pcdms.training.settings import TrainSettings
from pcdms_bench.device import describe_device
from pcdms_bench.environment import package_versions
from pcdms_bench.peak import peak_of, wait_for
from pcdms_bench.speed_sampling import DTYPES, PACKAGES, network_parts

PAIRS = 64
"""Rows of the made-up tables; their contents do not matter."""
DROP, NOISE_OFFSET, RATE = 0.1, 0.1, 1e-4


@dataclass(frozen=True)
class TrainingSpeed:
    """What to measure: model, rows of a step, and how this implementation runs."""

    preset: str
    device: str
    batch_size: int
    steps: int
    mixed_precision: str
    channels_last: bool = False
    compile: CompileMode = ""


class _EnoughError(Exception):
    """Ends the loop when enough steps were measured, before it writes a checkpoint."""


def measure_training(
    wanted: TrainingSpeed, progress: Callable[[int, int], object] | None = None
) -> dict[str, Any]:
    """Return both sides' seconds per step, TFLOP/s and share of the peak, and the ratio."""
    config, parts = network_parts(wanted.preset, None, wanted.device)
    flops = piece_flops(PRESETS[wanted.preset], config.frame)
    precise = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}[wanted.mixed_precision]
    peak = peak_of(wanted.device, DTYPES[precise])
    if progress is not None:
        progress(0, 2)
    theirs = _official_seconds(parts, config, wanted)
    if progress is not None:
        progress(1, 2)
    mine = _our_seconds(parts, config, wanted)
    work = 3 * (flops.inpaint + flops.projection + flops.pose) * wanted.batch_size
    sides = [_side(seconds, work, peak.rate, wanted) for seconds in (theirs, mine)]
    cpu = wanted.device == "cpu"
    return {
        "what": "training of stage inpaint",
        "preset": wanted.preset,
        "weights": "random",
        "device": describe_device(wanted.device),
        "versions": package_versions(PACKAGES),
        "frame": list(config.frame),
        "batch_size": wanted.batch_size,
        "tflop_per_step": work / 1e12,
        "tflop_per_step_uncached": (work + _encoding(flops) * wanted.batch_size) / 1e12,
        "peak": asdict(peak),
        "official_style": sides[0] | {"precision": "float32" if cpu else "float16, mixed"},
        "ours": sides[1],
        "execution": {"mixed_precision": wanted.mixed_precision,
                      "channels_last": wanted.channels_last, "compile": wanted.compile},
        "ratio": sides[0]["seconds_per_step"] / sides[1]["seconds_per_step"],
    }  # fmt: skip


def _encoding(flops: PieceFlops) -> int:
    """Return what the frozen parts cost per pair where nothing is kept."""
    return 2 * flops.encode_wide + flops.image_encoder + flops.source_encoder


def _side(seconds: list[float], work: int, rate: float, wanted: TrainingSpeed) -> dict[str, Any]:
    """Return the figures of one side; a step's work is the passes of the network it trains."""
    each = statistics.median(seconds)
    return {
        "seconds_per_step": each,
        "rows_per_second": wanted.batch_size / each,
        "tflops": work / each / 1e12,
        "share_of_peak": work / each / rate,
        "steps": len(seconds),
    }


def _cells(vae: AutoencoderKL, config: PipelineConfig) -> tuple[int, int]:
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    return config.frame[0] // factor, config.frame[1] // factor


def _our_seconds(
    parts: dict[str, Any], config: PipelineConfig, wanted: TrainingSpeed
) -> list[float]:
    """Return the seconds of each measured step of the project's own loop over ready tables."""
    vae, model = parts["vae"], parts["inpaint"]
    height, width = _cells(vae, config)
    channels = 2 * vae.config["latent_channels"]
    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> Tensor:
        return torch.randn(PAIRS, *shape, generator=generator).half()

    with torch.no_grad():
        side = config.source_encoder.size
        pixels = torch.zeros(1, 3, side, side, device=wanted.device)
        tokens = source_tokens(parts["source_encoder"], pixels).shape[1:]
    drawn = torch.zeros(PAIRS, 3, *config.frame, dtype=torch.uint8)
    table = PictureTable(
        made(*tokens), made(model.unet.config["cross_attention_dim"]), made(36), drawn,
        torch.zeros(PAIRS, 1, height, width),
    )  # fmt: skip
    rows = torch.arange(PAIRS)
    loss = InpaintLoss(
        table, PairTable(rows, rows.flip(0)), made(channels, height, 2 * width),
        made(channels, height, 2 * width), config.inpaint_schedule, drop=DROP,
        noise_offset=NOISE_OFFSET,
    )  # fmt: skip
    Execution(wanted.channels_last, wanted.compile).apply("inpaint", model)
    total = _warm_steps(wanted) + wanted.steps
    settings = TrainSettings(
        steps=total + 1, batch_size=wanted.batch_size, learning_rate=RATE, warmup=0, ema_decay=0.0,
        save_every=total + 1, mixed_precision=wanted.mixed_precision,
    )  # fmt: skip
    moments: list[float] = []

    def note(step: int, steps: int, value: float) -> None:
        wait_for(wanted.device)
        moments.append(time.perf_counter())
        if step == total:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder, suppress(_EnoughError):
        train(model, loss, loss, settings, Path(folder), wanted.device, note)
    steps = [later - earlier for earlier, later in pairwise(moments)]
    return steps[_warm_steps(wanted) - 1 :]


def _warm_steps(wanted: TrainingSpeed) -> int:
    return 5 if wanted.compile else 2


def _official_seconds(
    parts: dict[str, Any], config: PipelineConfig, wanted: TrainingSpeed
) -> list[float]:
    """Return the seconds of each measured official-style step, after two to warm up."""
    model = parts["inpaint"].train()
    start = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    gpu = wanted.device.startswith("cuda")
    scaler = torch.amp.GradScaler("cuda", enabled=gpu)
    seconds = []
    for _ in range(2 + wanted.steps):
        wait_for(wanted.device)
        started = time.perf_counter()
        with torch.autocast(wanted.device.partition(":")[0], torch.float16, enabled=gpu):
            value = _official_loss(parts, config, wanted)
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        wait_for(wanted.device)
        seconds.append(time.perf_counter() - started)
    model.load_state_dict(start)
    return seconds[2:]


def _official_loss(parts: dict[str, Any], config: PipelineConfig, wanted: TrainingSpeed) -> Tensor:
    """Return the loss of one batch of random pictures, everything computed from pixels."""
    vae, model, rows = parts["vae"], parts["inpaint"], wanted.batch_size
    height, width = config.frame

    def pixels(*shape: int) -> Tensor:
        return torch.rand(rows, 3, *shape, device=wanted.device) * 2 - 1

    clip, dino = config.image_encoder.size, config.source_encoder.size
    with torch.no_grad():
        tokens = source_tokens(parts["source_encoder"], pixels(dino, dino))
        embedding = image_embedding(parts["image_encoder"], pixels(clip, clip))
        canvas, masked = (
            vae.encode(pixels(height, 2 * width)).latent_dist.sample().float()
            * vae.config["scaling_factor"]
            for _ in range(2)
        )
    noise = torch.randn_like(canvas) + NOISE_OFFSET * torch.randn(
        rows, canvas.shape[1], 1, 1, device=wanted.device
    )
    scheduler = training_scheduler(config.inpaint_schedule)
    time_steps = torch.randint(0, 1000, (rows,), device=wanted.device)
    noisy = scheduler.add_noise(canvas, noise, time_steps)
    mask = torch.zeros_like(masked[:, :1])
    mask[..., : masked.shape[-1] // 2] = 1
    inputs = torch.cat([noisy, mask, masked], dim=1)
    out = model(inputs, time_steps, tokens, embedding, pixels(height, 2 * width))
    wished = noise if config.inpaint_schedule.prediction_type == "epsilon" else canvas
    return functional.mse_loss(out.float(), wished)
