"""The processes of one command: who this one is, and waiting for the others.

`accelerate launch -m pcdms_bench run ...` and `torchrun` start them and say so in the environment
(RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT). They talk through files; only the waiting
goes through torch.distributed (gloo, so no GPU is needed for it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from pcdms_data.types import InputError

LONGEST_WAIT = timedelta(days=30)
"""A process may be much slower than another; one that dies is noticed by the launcher."""


@dataclass(frozen=True)
class Processes:
    """Number of this process among `count` that run the same command."""

    index: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that prepares, scores and reports."""
        return self.index == 0

    def wait(self) -> None:
        """Return when every process has called this as often as this one."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the main process, then in the others, which find what it left."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()


ALONE = Processes()


@contextmanager
def launched() -> Iterator[Processes]:
    """Yield the processes of this command, connected while the block runs; alone if not launched.

    Raises:
        InputError: the launcher's variables do not fit each other.
    """
    count, index = _number("WORLD_SIZE", 1), _number("RANK", 0)
    if count == 1:
        yield ALONE
        return
    if not 0 <= index < count:
        raise InputError(f"RANK {index}: expected a number below WORLD_SIZE {count}")
    import torch.distributed

    torch.distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield Processes(index, count)
    finally:
        torch.distributed.destroy_process_group()


def device_of_process(device: str) -> str:
    """Return the device of this process: of several launched ones each takes a GPU of its own."""
    if device != "cuda" or _number("WORLD_SIZE", 1) == 1:
        return device
    import torch

    return f"cuda:{_number('LOCAL_RANK', 0) % torch.cuda.device_count()}"


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise InputError(f"variable {name}={text!r}: expected a number, as a launcher sets it")
    return int(text)
