"""Sampling speed of this implementation beside an official-style loop, in one process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pcdms.execution import CompileMode, Execution
from pcdms.flops import pair_flops, piece_flops
from pcdms.method import PCDMsMethod
from pcdms.model_directory import load_part
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import PipelineConfig, load_pipeline_config
from pcdms.presets import PRESETS
from pcdms.stages import PARTS
from pcdms_bench.device import describe_device
from pcdms_bench.environment import package_versions
from pcdms_bench.official_style import OfficialStyle
from pcdms_bench.peak import peak_of, wait_for
from pcdms_data.images import load_picture, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Pair, Picture

STAGES = ("prior", "inpaint", "refine")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PACKAGES = ("torch", "diffusers", "transformers", "pcdms")


@dataclass(frozen=True)
class SamplingSpeed:
    """What to measure: sizes, and how this implementation runs.

    `chunks` are tried one after the other, the fastest counts. `weights` of None are random.
    """

    preset: str
    weights: Path | None
    device: str
    pairs: int
    official_pairs: int
    chunks: tuple[int, ...]
    dtype: str
    steps: int | None = None
    guidance: float | None = None
    channels_last: bool = False
    compile: CompileMode = ""


def measure_sampling(
    wanted: SamplingSpeed, progress: Callable[[int, int], object] | None = None
) -> dict[str, Any]:
    """Return both sides' seconds per pair, TFLOP/s and share of the floor, and the ratio."""
    config, parts = network_parts(wanted.preset, wanted.weights, wanted.device)
    steps = config.steps if wanted.steps is None else wanted.steps
    guidance = config.guidance if wanted.guidance is None else wanted.guidance
    pieces = piece_flops(PRESETS[wanted.preset], config.frame)
    flops = pair_flops(pieces, prior_steps=config.prior_steps, steps=steps, guided=guidance > 1)
    peak = peak_of(wanted.device, DTYPES[wanted.dtype])
    cpu = wanted.device == "cpu"
    half = torch.float32 if cpu else torch.float16
    sides: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pairs = pairs_with_files(max(wanted.pairs, wanted.official_pairs, 1), root / "pictures")
        total = len(wanted.chunks) + 1
        official = OfficialStyle(parts, config, half, steps, guidance)
        official.generate(pairs[:1], root / "warm-up")
        measured = official.generate(pairs[: wanted.official_pairs], root / "official")
        del official
        sides.append(_side(measured, wanted.official_pairs, flops, peak.rate, {"chunk": 1}))
        pipeline = _pipeline(parts, config, wanted)
        for number, chunk in enumerate(wanted.chunks, start=1):
            if progress is not None:
                progress(number, total)
            out = root / f"chunk-{chunk}"
            measured = _ours(pipeline, wanted, chunk, pairs[: wanted.pairs], out)
            sides.append(_side(measured, wanted.pairs, flops, peak.rate, {"chunk": chunk}))
    best = min(sides[1:], key=lambda side: side["seconds_per_pair"])
    return {
        "what": "sampling",
        "preset": wanted.preset,
        "weights": "random" if wanted.weights is None else wanted.weights.name,
        "device": describe_device(wanted.device),
        "versions": package_versions(PACKAGES),
        "frame": list(config.frame),
        "pairs": wanted.pairs,
        "distinct_pictures": len({p.name for pair in pairs[: wanted.pairs]
                                  for p in (pair.source, pair.target)}),
        "samples": 1,
        "steps": {"prior": config.prior_steps, "inpaint": steps, "refine": steps},
        "guidance": guidance,
        "tflop_per_pair": {name: count / 1e12 for name, count in flops.items()},
        "peak": asdict(peak),
        "floor_seconds_per_pair": sum(flops.values()) / peak.rate,
        "official_style": sides[0] | {
            "precision": "float32 everywhere: half precision is slower on a CPU" if cpu else
            "float16 UNet of inpaint and autoencoder, the rest float32",
            "pairs": wanted.official_pairs,
        },
        "ours": sides[1:],
        "best": best,
        "execution": {"dtype": wanted.dtype, "channels_last": wanted.channels_last,
                      "compile": wanted.compile},
        "ratio": sides[0]["seconds_per_pair"] / best["seconds_per_pair"],
    }  # fmt: skip


def network_parts(
    preset: str, weights: Path | None, device: str
) -> tuple[PipelineConfig, dict[str, Any]]:
    """Return how the parts are used, and every part in float32 on the device.

    Weights are random where no model directory is given.

    Raises:
        InputError: the model directory is not of the preset's size, of which FLOPs are counted.
    """
    if weights is None:
        torch.manual_seed(0)
        with torch.device(device):
            return PRESETS[preset].pipeline, _built(preset)
    parts = {name: load_part(weights, name) for name in PARTS}
    with torch.device("meta"):
        expected = _built(preset)
    for name, part in parts.items():
        if _shapes(part) != _shapes(expected[name]):
            raise InputError(f"{weights / name}: not of the size of preset {preset!r}")
    config = load_pipeline_config(weights / "pipeline.json")
    return config, {name: part.to(device) for name, part in parts.items()}


def _built(preset: str) -> dict[str, Any]:
    return {name: getattr(PRESETS[preset], f"build_{name}")().eval() for name in PARTS}


def _shapes(part: nn.Module) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in part.named_parameters()}


def pairs_with_files(count: int, folder: Path) -> list[Pair]:
    """Return test pairs of the embedded people whose pictures are PNG files in `folder`."""
    loaded = list(load_pairs("people", size="smoke", split="test"))
    pairs = [loaded[place % len(loaded)] for place in range(count)]
    files: dict[str, Picture] = {}
    for pair in pairs:
        for picture in (pair.source, pair.target):
            if picture.name not in files:
                path = folder / f"{len(files)}.png"
                save_picture(path, load_picture(picture))
                files[picture.name] = Picture(picture.name, path)
    return [
        # Numbered: a pair that comes again is another picture to make.
        replace(
            pair,
            pair_id=f"{number}_{pair.pair_id}",
            source=files[pair.source.name],
            target=files[pair.target.name],
        )
        for number, pair in enumerate(pairs)
    ]


def _pipeline(
    parts: Mapping[str, Any], config: PipelineConfig, wanted: SamplingSpeed
) -> PCDMsPipeline:
    execution = Execution(wanted.channels_last, wanted.compile)
    mine: dict[str, Any] = {}
    for name, part in parts.items():
        copy = nn.Module.to(deepcopy(part), dtype=DTYPES[wanted.dtype])
        mine[name] = execution.apply(name, copy)
    return PCDMsPipeline(config, **mine)


def _ours(
    pipeline: PCDMsPipeline, wanted: SamplingSpeed, chunk: int, pairs: Sequence[Pair], out: Path
) -> dict[str, float]:
    """Return {stage: seconds} from picture files to picture files, after a pass to warm up."""
    parts = {name: getattr(pipeline, name) for name in PARTS}

    def method() -> PCDMsMethod:
        fresh = PCDMsPipeline(pipeline.config, **parts)  # knows no picture yet
        return PCDMsMethod(
            steps=wanted.steps, guidance=wanted.guidance, chunk=chunk, device=wanted.device,
            pipeline=fresh,
        )  # fmt: skip

    method().generate(pairs[:chunk], out / "warm-up", seed=0)
    measured, seconds = method(), {}
    for stage in STAGES:
        wait_for(wanted.device)
        started = time.perf_counter()
        failed = measured.generate_stage(stage, pairs, out / "run", seed=0)
        seconds[stage] = time.perf_counter() - started
        assert not failed, failed
    return seconds


def _side(
    seconds: Mapping[str, float],
    pairs: int,
    flops: Mapping[str, int],
    rate: float,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the figures of one side; both do the work that a pair needs once."""
    each = sum(seconds.values()) / pairs
    work = sum(flops.values())
    return {
        **more,
        "seconds_per_pair": each,
        "stages": {name: value / pairs for name, value in seconds.items()},
        "tflops": work / each / 1e12,
        "share_of_floor": work / rate / each,
    }
