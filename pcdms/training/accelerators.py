"""What the training asks of accelerate: one accelerator per training, settings that agree."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers
from accelerate.utils import DistributedType, GradientAccumulationPlugin

from pcdms_data.types import InputError


def make_accelerator(
    mixed_precision: str, device: str, tracker: str | GeneralTracker | None, out: Path
) -> Accelerator:
    """Return the accelerator of one training on `device`; `tracker` logs below `out`.

    Raises:
        InputError: a tracker that is unknown or not installed, a device that does not fit the
            processes, a precision that the device lacks, or DeepSpeed.
    """
    check_tracker(tracker)
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    kind, _, index = device.partition(":")
    if index and launched > 1:
        raise InputError(f"device {device!r}: {launched} processes choose their own, expected cuda")
    if index:
        torch.cuda.set_device(int(index))
    if mixed_precision == "fp16" and kind == "cpu":
        raise InputError("mixed precision 'fp16' needs a GPU: expected no or bf16 on the CPU")
    if launched == 1:
        # A process may train several parts; the library would keep the first one's precision.
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision=mixed_precision,
        cpu=kind == "cpu",
        step_scheduler_with_optimizer=False,
        log_with=tracker,
        project_dir=str(out),
        # The loop accumulates by itself; a number from the launcher would scale its losses again.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )
    if accelerator.distributed_type in (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise InputError(
            f"{accelerator.distributed_type.value} is not supported: where one device is too "
            "small use FSDP (pcdms/configs/eight-gpus-fsdp.yaml)"
        )
    return accelerator


@contextmanager
def connected() -> Iterator[None]:
    """Disconnect from the other processes of a launch, if any, when the block ends.

    The first training in the block connects. A process that exits connected may be aborted by a
    thread of gloo after all its work is done, and the launcher then reports a failure.
    """
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gc.collect()  # a wrapped network in a reference cycle would keep the connection
            torch.distributed.destroy_process_group()


def check_tracker(tracker: str | GeneralTracker | None) -> None:
    """Raise InputError for a tracker that accelerate does not know or whose package is missing."""
    if tracker is None or isinstance(tracker, GeneralTracker):
        return
    known = sorted(str(name) for name in LOGGER_TYPE_TO_CLASS)
    if tracker not in known:
        raise InputError(f"unknown tracker {tracker!r}, expected one of {', '.join(known)}")
    if tracker not in [str(name) for name in get_available_trackers()]:
        raise InputError(
            f"tracker {tracker!r}: its package is not installed (try pip install {tracker}); "
            "loss.csv is written without one"
        )


def agreed_precision(asked: str | None) -> str:
    """Return the mixed precision of the command line or of the launcher, `no` without either.

    Raises:
        InputError: both are given and differ.
    """
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked is None:
        return launched
    if launched not in ("no", asked):
        raise InputError(
            f"mixed precision {asked!r} contradicts the launcher's {launched!r}: give it once"
        )
    return asked


def agreed_accumulation(asked: int | None) -> int:
    """Return the micro-batches per step of the command line or of the launcher, 1 without either.

    Raises:
        InputError: both are given and differ.
    """
    text = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
    launched = int(text) if text.isdigit() else 1
    if asked is None:
        return launched
    if launched not in (1, asked):
        raise InputError(
            f"accumulation {asked} contradicts the launcher's {launched}: give it once"
        )
    return asked


def process_number() -> tuple[int, int]:
    """Return (number of this process, number of processes) as the launcher set them."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
