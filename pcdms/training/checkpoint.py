"""The whole state of a training on disk: weights, optimiser, average, loss scale, step.

Where every process holds all weights it is one file, `checkpoint.pt`. Where weights are sharded
(FSDP) it is a folder, `checkpoint/`, that accelerate writes and reads, each process its part.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from pcdms.training.average import WeightAverage
from pcdms.training.settings import TrainSettings
from pcdms_data.types import InputError

NAME = "checkpoint"


@dataclass
class Position:
    """How far a training is: steps done, seconds spent, smoothed loss."""

    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0


@dataclass
class TrainState:
    """Everything that a step changes. `wrapped` is what accelerate made of the trained module."""

    accelerator: Accelerator
    module: nn.Module
    wrapped: nn.Module
    optimizer: Any
    ema: WeightAverage | None
    settings: TrainSettings

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a part of the weights."""
        return bool(self.accelerator.distributed_type == DistributedType.FSDP)

    def save(self, out: Path, position: Position) -> None:
        """Write the state under a temporary name and rename it. Called by every process."""
        if self.sharded:
            self._save_shards(out, position)
        elif self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "settings": asdict(self.settings),
                **asdict(position),
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "ema": None if self.ema is None else self.ema.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
            }
            temporary = out / f"{NAME}.pt.part"
            torch.save(state, temporary)
            temporary.replace(out / f"{NAME}.pt")

    def resume(self, out: Path) -> Position:
        """Load what `out` holds, if anything, and return the position.

        Raises:
            InputError: the checkpoint is damaged, of other settings, or of other processes.
        """
        whole, shards = out / f"{NAME}.pt", out / NAME
        if (shards if not self.sharded else whole).exists():
            raise InputError(
                f"{out}: its checkpoint was written {'without' if self.sharded else 'with'} "
                "sharded weights; continue with the same accelerate configuration, or start afresh"
            )
        if self.sharded:
            return self._resume_shards(shards) if shards.is_dir() else Position()
        if not whole.is_file():
            return Position()
        state = _read(whole)
        self._check(whole, state)
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.accelerator.scaler is not None and state.get("scaler") is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        return Position(int(state["step"]), float(state["seconds"]), float(state["loss"]))

    def _check(self, path: Path, state: dict[str, Any]) -> None:
        changed = self.settings.changed(state["settings"])
        if changed:
            raise InputError(
                f"{path}: was trained with other settings ({', '.join(changed)}); "
                "use the same ones to continue, start afresh, or take another folder"
            )

    def _save_shards(self, out: Path, position: Position) -> None:
        accelerator = self.accelerator
        temporary, final, old = out / f"{NAME}.part", out / NAME, out / f"{NAME}.old"
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(temporary))
        if self.ema is not None:
            torch.save(
                [_local(value).clone() for value in self.ema.values],
                temporary / f"ema-{accelerator.process_index}.pt",
            )
        if accelerator.is_main_process:
            note = {
                "settings": asdict(self.settings),
                "processes": accelerator.num_processes,
                "ema_steps": 0 if self.ema is None else self.ema.steps,
                **asdict(position),
            }
            torch.save(note, temporary / "position.pt")
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            shutil.rmtree(old, ignore_errors=True)
            if final.is_dir():
                final.rename(old)
            temporary.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        accelerator.wait_for_everyone()

    def _resume_shards(self, folder: Path) -> Position:
        note = _read(folder / "position.pt")
        self._check(folder, note)
        count = self.accelerator.num_processes
        if note["processes"] != count:
            raise InputError(
                f"{folder}: was written by {note['processes']} processes, continued by {count}: "
                "expected as many"
            )
        self.accelerator.load_state(str(folder))
        if self.ema is not None:
            mine = _read(folder / f"ema-{self.accelerator.process_index}.pt")
            for value, stored in zip(self.ema.values, mine, strict=True):
                _local(value).copy_(stored)
            self.ema.steps = int(note["ema_steps"])
        return Position(int(note["step"]), float(note["seconds"]), float(note["loss"]))


def remove_checkpoint(out: Path) -> None:
    """Delete what `TrainState.save` and the logs left in `out`; the next training begins anew."""
    for name in (f"{NAME}.pt", f"{NAME}.pt.part", "loss.csv", "validation.csv"):
        (out / name).unlink(missing_ok=True)
    for name in (NAME, f"{NAME}.part", f"{NAME}.old"):
        shutil.rmtree(out / name, ignore_errors=True)


def _local(value: Any) -> Any:
    """Return the part of a distributed tensor that this process holds."""
    return value.to_local() if hasattr(value, "to_local") else value


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read as a checkpoint ({reason})") from None
    except Exception as error:  # what unpickling of a damaged file raises depends on its bytes
        raise InputError(f"{path}: is no checkpoint ({type(error).__name__})") from None
