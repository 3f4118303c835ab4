"""Run by the tests in processes of their own: `python training_worker.py WHAT OUT`.

`weights` records what weight each row had in the gradients, `sharded` trains with FSDP, `killed`
dies after the 13th step without a chance to save, `stopped` gets SIGTERM in the middle of a step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pcdms.training.accelerators import connected
from pcdms.training.loop import Validation, train
from pcdms.training.settings import TrainSettings

ROWS = 1000
EPOCHS = 2
STEPS = 20
SETTINGS = TrainSettings(
    steps=STEPS, batch_size=8, learning_rate=1e-2, warmup=4, ema_decay=0.7, save_every=10, seed=3
)


class Weighing(nn.Module):
    """A weight per row; the gradient of the mean over rows is the rows' weight in the step."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(ROWS))

    def forward(self, rows: Tensor) -> Tensor:
        return self.rows[rows].mean()


def weigh(out: Path, batch: int, accumulation: int) -> None:
    """Write the summed weight of each row over two epochs, as every process saw it."""
    steps = EPOCHS * ROWS // batch
    total = torch.zeros(ROWS)
    module = Weighing()

    def note(optimizer, args, kwargs):
        total.add_(module.rows.grad * batch)

    register_optimizer_step_pre_hook(note)
    settings = TrainSettings(
        steps=steps, batch_size=batch, learning_rate=1e-9, warmup=0, max_grad_norm=1e9,
        accumulation=accumulation, save_every=steps, log_every=1,
    )  # fmt: skip
    draws = []

    def loss(module, rows, generator):
        draws.append(float(torch.rand((), generator=generator)))
        return module(rows) + (rows == 7).sum() / len(rows)  # the loss counts row 7

    train(module, loss, ROWS, settings, out)
    rank = os.environ.get("RANK", "0")
    (out / f"rank{rank}.json").write_text(json.dumps({"weight": total.tolist(), "draws": draws}))


def shard() -> None:
    """Make accelerate choose FSDP on the CPU, which its launcher offers for GPUs only."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    os.environ.update(
        ACCELERATE_USE_FSDP="true", FSDP_VERSION="2", FSDP_AUTO_WRAP_POLICY="SIZE_BASED_WRAP",
        FSDP_MIN_NUM_PARAMS="20", FSDP_RESHARD_AFTER_FORWARD="true",
        FSDP_STATE_DICT_TYPE="SHARDED_STATE_DICT", FSDP_CPU_RAM_EFFICIENT_LOADING="false",
    )  # fmt: skip
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def sharded(out: Path) -> None:
    """Train straight, and again with an interrupt after step 13; write both results."""
    shard()
    scores = {}

    def validate(module, step):
        scores[step] = float(flat(module).norm())
        return {"norm": scores[step]}

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 13:
            raise KeyboardInterrupt

    straight, halted, resumed = plain_network(), plain_network(), plain_network()
    train(straight, plain_loss, 50, SETTINGS, out / "a", validation=Validation(10, validate))
    try:
        train(halted, plain_loss, 50, SETTINGS, out / "b", progress=stop)
    except KeyboardInterrupt:
        train(resumed, plain_loss, 50, SETTINGS, out / "b")
    if os.environ["RANK"] == "0":
        ends = {"straight": flat(straight).tolist(), "resumed": flat(resumed).tolist()}
        (out / "ends.json").write_text(json.dumps(ends | {"scores": scores}))


def flat(module: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in module.parameters()])


def plain_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def plain_loss(module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
    """A loss without draws, which differ between numbers of processes."""
    inputs = torch.stack([rows, rows**2 % 7, rows**3 % 11], dim=1) / 100
    return (module(inputs) - inputs[:, :2].flip(1)).square().mean()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))


def noisy_loss(module: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
    inputs = torch.stack([rows, rows**2 % 7, rows**3 % 11], dim=1) / 100
    noise = torch.randn(len(rows), 3, generator=generator)
    return (module(inputs + noise) - inputs[:, :2]).square().mean()


def killed(out: Path) -> None:
    def die(step: int, steps: int, loss: float) -> None:
        if step == 13:
            os.kill(os.getpid(), signal.SIGKILL)

    train(network(), noisy_loss, 50, SETTINGS, out, progress=die)


def stopped(out: Path) -> None:
    def loss(module, rows, generator):
        if (out / "loss.csv").exists() and not hasattr(module, "told"):
            module.told = True
            os.kill(os.getpid(), signal.SIGTERM)
        return noisy_loss(module, rows, generator)

    train(network(), loss, 50, SETTINGS, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, folder = sys.argv[1], Path(sys.argv[2])
    with connected():
        if what == "weights":
            weigh(folder, int(sys.argv[3]), int(sys.argv[4]))
        else:
            {"killed": killed, "stopped": stopped, "sharded": sharded}[what](folder)
