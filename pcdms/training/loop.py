"""The training loop: any module, any loss over rows, any number of processes; resumable exactly.

Every random choice of a step (rows, noise, time steps, dropped conditions) comes from a generator
seeded by (seed, step), so an interrupted training continues as if it had not been interrupted.
A step is an optimiser step; its rows are shared by the processes and their micro-batches, each row
with the same weight.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from accelerate.utils import DistributedType
from torch import Tensor, nn

from pcdms.training.accelerators import make_accelerator
from pcdms.training.average import WeightAverage
from pcdms.training.checkpoint import Position, TrainState, remove_checkpoint
from pcdms.training.interrupts import DeferredInterrupt
from pcdms.training.recompute import recompute_activations
from pcdms.training.rows import RowSource, batch_rows, fetched, shares
from pcdms.training.settings import TrainSettings, learning_rate_factor
from pcdms_data.seeds import pair_seed
from pcdms_data.types import InputError

Loss = Callable[[nn.Module, Any, torch.Generator], Tensor]
"""(module, batch, generator) -> scalar loss, the mean over the batch's rows.

The batch is what the row source fetched, without one the row numbers int64 (B,)."""

Progress = Callable[[int, int, float], None]
"""(step, steps, smoothed loss), called after every step."""


@dataclass(frozen=True)
class Validation:
    """Scores on a fixed subset every `every` steps and after the last one.

    `run(module, step)` gets the module in eval mode with the weights that would ship (averaged
    ones, where an average is kept) and returns {name: value}; only the main process calls it.
    """

    every: int
    run: Callable[[nn.Module, int], Mapping[str, float]]


@dataclass(frozen=True)
class TrainResult:
    """Steps done, smoothed loss at the end, seconds of this call and of the whole training."""

    steps: int
    loss: float
    seconds: float
    seconds_total: float


def train(
    module: nn.Module,
    loss: Loss,
    rows: int | RowSource,
    settings: TrainSettings,
    out: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    validation: Validation | None = None,
    tracker: str | GeneralTracker | None = None,
    fresh: bool = False,
) -> TrainResult:
    """Train `module` in place; at the end its weights are the averaged (EMA) ones.

    `out` receives the checkpoint (continued from if present, deleted first with `fresh`),
    `loss.csv` and, with `validation`, `validation.csv`. `rows` is the number of rows of an epoch,
    or their source, which is asked in a thread one step ahead. With several processes (accelerate
    launch) each takes its share of every batch; where they shard the weights (FSDP) only the main
    process ends with trained weights in `module`. An interrupt waits for the end of the step and
    writes the checkpoint.

    Raises:
        InputError: contradictory settings, or the checkpoint in `out` belongs to other ones.
    """
    count = rows if isinstance(rows, int) else len(rows)
    if count < 1:
        raise InputError("a training without rows was asked for, expected at least one")
    if validation is not None and validation.every < 1:
        raise InputError(f"validation every {validation.every} steps: expected 1 or more")
    settings.check()
    out.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(settings.mixed_precision, device, tracker, out)
    settings.check(accelerator.num_processes)
    if fresh and accelerator.is_main_process:
        remove_checkpoint(out)
    accelerator.wait_for_everyone()
    with torch.random.fork_rng(_random_devices(accelerator)):
        source = None if isinstance(rows, int) else rows
        run = _Run(module, loss, count, source, settings, out, accelerator)
        run.validation, run.progress, run.tracked = validation, progress, tracker is not None
        return run.finish()


class _Step(nn.Module):
    """Module and loss as one module: whatever wraps it sees a single forward call.

    Losses may then call any method of the module, which a distributed wrapper would not see.
    """

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self._loss = (loss,)  # in a tuple: a loss that is a module brings no weights to train

    def forward(self, work: _Work) -> Tensor:
        """Return the loss of one micro-batch."""
        return self._loss[0](self.module, work.batch, work.generator)


class _Work:
    """Batch and generator of a micro-batch; opaque to the wrappers, which would move tensors."""

    def __init__(self, batch: Any, generator: torch.Generator) -> None:
        self.batch, self.generator = batch, generator


@dataclass
class _Log:
    """Rows of `loss.csv` and `validation.csv` since the last checkpoint."""

    losses: list[tuple[int, str, str]] = field(default_factory=list)
    scores: list[tuple[int, str, str]] = field(default_factory=list)

    def write(self, out: Path) -> None:
        """Append what was collected."""
        _append(out / "loss.csv", ("step", "loss", "seconds"), self.losses)
        _append(out / "validation.csv", ("step", "score", "value"), self.scores)
        self.losses, self.scores = [], []


class _Run:
    """One call of `train`."""

    validation: Validation | None = None
    progress: Progress | None = None
    tracked: bool = False

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        rows: int,
        source: RowSource | None,
        settings: TrainSettings,
        out: Path,
        accelerator: Accelerator,
    ) -> None:
        self.rows, self.source, self.settings, self.out = rows, source, settings, out
        self.accelerator, self.target = accelerator, module
        self.log = _Log()
        sharded = accelerator.distributed_type == DistributedType.FSDP
        # Sharding replaces the weights of what it is given, and `module` is to stay whole.
        self.module = deepcopy(module) if sharded else module
        if settings.recompute:
            recompute_activations(self.module)
        optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
        )
        step, optimizer = accelerator.prepare(_Step(self.module, loss), optimizer)
        ema = None
        if settings.ema_decay:
            ema = WeightAverage(self.module.parameters(), settings.ema_decay)
        self.state = TrainState(accelerator, self.module, step, optimizer, ema, settings)
        self.position = self.state.resume(out)

    def finish(self) -> TrainResult:
        """Run the steps that are left and leave the weights in the module."""
        if self.tracked:
            self.accelerator.init_trackers("pcdms", config=asdict(self.settings))
        start, spent = time.perf_counter(), self.position.seconds
        self.module.train()
        first, steps = self.position.step, self.settings.steps
        plan = (self._shares(step) for step in range(first, steps))
        with DeferredInterrupt() as interrupt:
            for step, batches in enumerate(fetched(self.source, plan), start=first):
                current = self._step(step, batches)
                smooth = current if step == 0 else 0.98 * self.position.loss + 0.02 * current
                seconds = spent + time.perf_counter() - start
                self.position = Position(step + 1, seconds, smooth)
                try:
                    self._report()
                    if interrupt.asked:
                        raise KeyboardInterrupt
                except KeyboardInterrupt:
                    if not self.state.sharded:  # other processes may be elsewhere
                        self._save()
                    raise
        if self.tracked:
            for tracker in self.accelerator.trackers:  # `end_training` would disconnect as well
                tracker.finish()
        self._leave_weights()
        seconds = time.perf_counter() - start
        return TrainResult(steps, self.position.loss, seconds, spent + seconds)

    def _shares(self, step: int) -> list[Tensor]:
        batch = batch_rows(self.rows, self.settings.batch_size, self.settings.seed, step)
        accelerator = self.accelerator
        return shares(
            batch,
            accelerator.process_index,
            accelerator.num_processes,
            self.settings.accumulation,
        )

    def _step(self, step: int, batches: list[tuple[Any, int]]) -> float:
        """Do one optimiser step and return its loss, the mean over the rows of all processes."""
        settings, accelerator, state = self.settings, self.accelerator, self.state
        for group in state.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
        total = torch.zeros((), device=accelerator.device)
        for number, (batch, rows) in enumerate(batches):
            seed = _seed(settings.seed, step, accelerator.process_index, number)
            torch.manual_seed(seed)  # for modules that draw by themselves (drop-out)
            work = _Work(batch, torch.Generator().manual_seed(seed))
            last = number + 1 == len(batches)
            with nullcontext() if last else accelerator.no_sync(state.wrapped):
                value = state.wrapped(work)
                share = rows / settings.batch_size
                # The wrapper averages the gradients of the processes, so each counts as all.
                accelerator.backward(value * (share * accelerator.num_processes))
            total = total + value.detach() * share
        if accelerator.num_processes > 1:
            total = accelerator.reduce(total)
        current = float(total)
        if not math.isfinite(current):
            raise InputError(
                f"{self.out}: the loss became {current} at step {step}, nothing was saved"
            )
        accelerator.clip_grad_norm_(self.module.parameters(), settings.max_grad_norm)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        if state.ema is not None:
            state.ema.step(self.module.parameters())
        return current

    def _report(self) -> None:
        """Show, log, validate and save, each when it is due."""
        step, settings = self.position.step, self.settings
        last = step == settings.steps
        if last or step % settings.log_every == 0:
            rate = settings.learning_rate * learning_rate_factor(step - 1, settings)
            self.log.losses.append(
                (step, f"{self.position.loss:.6f}", f"{self.position.seconds:.1f}")
            )
            self._track({"loss": self.position.loss, "learning_rate": rate})
        if self.validation is not None and (last or step % self.validation.every == 0):
            self._validate(self.validation)
        if last or step % settings.save_every == 0:
            self._save()
        if self.progress is not None:
            self.progress(step, settings.steps, self.position.loss)

    def _track(self, values: Mapping[str, float]) -> None:
        if self.tracked:
            self.accelerator.log(dict(values), step=self.position.step)

    def _save(self) -> None:
        self.state.save(self.out, self.position)
        if self.accelerator.is_main_process:
            self.log.write(self.out)

    def _validate(self, validation: Validation) -> None:
        """Score the weights that would ship; the training goes on with its own."""
        with self._shipped() as module:
            if self.accelerator.is_main_process:
                with torch.random.fork_rng(_random_devices(self.accelerator)):
                    scores = validation.run(module, self.position.step)
                self.log.scores += [
                    (self.position.step, name, f"{value:.6f}") for name, value in scores.items()
                ]
                self._track({f"validation/{name}": value for name, value in scores.items()})
        self.accelerator.wait_for_everyone()

    @contextmanager
    def _shipped(self) -> Iterator[nn.Module]:
        """Lend the module in eval mode with the averaged weights, where an average is kept."""
        if self.state.sharded:
            self._leave_weights()
            if self.accelerator.is_main_process:
                self.target.to(self.accelerator.device)
            yield self.target
            return
        parameters, ema = list(self.module.parameters()), self.state.ema
        if ema is not None:
            ema.swap(parameters)
        self.module.eval()
        try:
            yield self.module
        finally:
            self.module.train()
            if ema is not None:
                ema.swap(parameters)

    def _leave_weights(self) -> None:
        """Put the weights that ship into the caller's module."""
        ema, parameters = self.state.ema, list(self.module.parameters())
        if not self.state.sharded:
            if ema is not None:
                ema.copy_to(parameters)
        else:
            if ema is not None:
                ema.swap(parameters)
            state = self.accelerator.get_state_dict(self.state.wrapped)
            if ema is not None:
                ema.swap(parameters)
            if self.accelerator.is_main_process:
                prefix = "module."
                self.target.load_state_dict(
                    {key.removeprefix(prefix): value for key, value in state.items()}
                )
        self.target.eval()


def _random_devices(accelerator: Accelerator) -> list[int]:
    """Return the GPU of this process, where it has one, for `torch.random.fork_rng`."""
    return [torch.cuda.current_device()] if accelerator.device.type == "cuda" else []


def _seed(seed: int, step: int, process: int, micro: int) -> int:
    """Return the seed of a micro-batch's draws, another one for every process and part."""
    if process == micro == 0:
        return (seed * 1_000_003 + step) * 64
    return pair_seed(seed, f"{process}", f"{micro}", step)


def _append(path: Path, header: tuple[str, ...], rows: list[tuple[int, str, str]]) -> None:
    """Append rows to a CSV file, with its header first where the file is new."""
    if not rows:
        return
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow(header)
        writer.writerows(rows)
