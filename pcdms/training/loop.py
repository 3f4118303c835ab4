"""The training loop: any module, any loss over row numbers; resumable to the exact step.

Every random choice of a step (rows, noise, time steps, dropped conditions) comes from a generator
seeded by (seed, step), so an interrupted training continues as if it had not been interrupted.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from pcdms_data.types import InputError

Loss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
"""(module, row numbers (B,), generator) -> scalar loss."""

Progress = Callable[[int, int, float], None]
"""(step, steps, smoothed loss), called after every step."""


@dataclass(frozen=True)
class TrainSettings:
    """What decides a training; the learning rate warms up linearly, then falls as a cosine."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup: int = 100
    ema_decay: float = 0.999
    max_grad_norm: float = 1.0
    seed: int = 0
    save_every: int = 200
    log_every: int = 10
    mixed_precision: str = "no"


@dataclass(frozen=True)
class TrainResult:
    """Steps done, smoothed loss at the end, seconds of this call and of the whole training."""

    steps: int
    loss: float
    seconds: float
    seconds_total: float


def batch_rows(rows: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Return the row numbers (batch_size,) of a step: epochs of seeded permutations, joined."""
    first = step * batch_size
    wanted = torch.arange(first, first + batch_size)
    epochs = torch.div(wanted, rows, rounding_mode="floor")
    out = torch.empty_like(wanted)
    for epoch in epochs.unique().tolist():
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed * 7919 + epoch))
        mine = epochs == epoch
        out[mine] = order[wanted[mine] % rows]
    return out


def learning_rate_factor(step: int, settings: TrainSettings) -> float:
    """Return the factor on the learning rate at a step: linear warm-up, then cosine to zero."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    part = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def train(
    module: nn.Module,
    loss: Loss,
    rows: int,
    settings: TrainSettings,
    out: Path,
    device: str = "cpu",
    progress: Progress | None = None,
) -> TrainResult:
    """Train `module` in place; at the end its weights are the averaged (EMA) ones.

    `out` receives `checkpoint.pt` (continued from if present) and `loss.csv`. With several
    processes each takes its own share of every batch.

    Raises:
        InputError: the checkpoint in `out` belongs to other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision,
        cpu=device == "cpu",
        step_scheduler_with_optimizer=False,
    )
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    wrapped, optimizer = accelerator.prepare(module, optimizer)
    ema = EMAModel(module.parameters(), decay=settings.ema_decay)
    done, spent, smooth = _resume(out / "checkpoint.pt", module, optimizer, ema, settings)
    ema.to(accelerator.device)
    start = time.perf_counter()
    module.train()
    losses: list[tuple[int, float, float]] = []
    for step in range(done, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
        index = batch_rows(rows, settings.batch_size, settings.seed, step)
        index = index[accelerator.process_index :: accelerator.num_processes]
        seed = (settings.seed * 1_000_003 + step) * 64 + accelerator.process_index
        generator = torch.Generator().manual_seed(seed)
        with accelerator.autocast():
            value = loss(wrapped, index, generator)
        accelerator.backward(value)
        accelerator.clip_grad_norm_(module.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.step(module.parameters())
        current = float(value.detach())
        if not math.isfinite(current):
            raise InputError(f"{out}: the loss became {current} at step {step}, nothing was saved")
        smooth = current if step == 0 else 0.98 * smooth + 0.02 * current
        if progress is not None:
            progress(step + 1, settings.steps, smooth)
        if (step + 1) % settings.log_every == 0:
            losses.append((step + 1, smooth, spent + time.perf_counter() - start))
        last = step + 1 == settings.steps
        if accelerator.is_main_process and (last or (step + 1) % settings.save_every == 0):
            total = spent + time.perf_counter() - start
            _save(out, module, optimizer, ema, settings, step + 1, total, smooth)
            _log(out / "loss.csv", losses)
            losses = []
    ema.copy_to(module.parameters())
    module.eval()
    seconds = time.perf_counter() - start
    return TrainResult(settings.steps, smooth, seconds, spent + seconds)


def _save(
    out: Path,
    module: nn.Module,
    optimizer: Any,
    ema: EMAModel,
    settings: TrainSettings,
    step: int,
    seconds: float,
    loss: float,
) -> None:
    """Write the whole state to a temporary name and rename it."""
    state = {
        "settings": asdict(settings),
        "step": step,
        "seconds": seconds,
        "loss": loss,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": ema.state_dict(),
    }
    temporary = out / "checkpoint.pt.part"
    torch.save(state, temporary)
    temporary.replace(out / "checkpoint.pt")


def _resume(
    path: Path, module: nn.Module, optimizer: Any, ema: EMAModel, settings: TrainSettings
) -> tuple[int, float, float]:
    """Load the checkpoint if there is one; return (steps done, seconds spent, smoothed loss)."""
    if not path.is_file():
        return 0, 0.0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    free = ("save_every", "log_every")
    mine = {key: value for key, value in asdict(settings).items() if key not in free}
    theirs = {key: value for key, value in state["settings"].items() if key not in free}
    if mine != theirs:
        changed = sorted(key for key in mine if mine[key] != theirs.get(key))
        raise InputError(
            f"{path}: was trained with other settings ({', '.join(changed)}); "
            "use the same ones to continue, or another folder"
        )
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    ema.load_state_dict(state["ema"])
    return int(state["step"]), float(state["seconds"]), float(state["loss"])


def _log(path: Path, losses: list[tuple[int, float, float]]) -> None:
    """Append (step, smoothed loss, seconds) rows."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow(("step", "loss", "seconds"))
        writer.writerows(
            (step, f"{value:.6f}", f"{seconds:.1f}") for step, value, seconds in losses
        )
