"""What a stage costs: seconds, peak memory; added up over resumed runs."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType


@dataclass(frozen=True)
class Cost:
    """Cost of one stage so far: wall seconds, pictures made in them, peak memory in MB.

    `peak_exact` is False where the process' peak could not be reset before the stage, so that the
    figure may stem from something earlier.
    """

    seconds: float = 0.0
    pictures: int = 0
    peak_mb: float = 0.0
    peak_exact: bool = True

    def plus(self, other: Cost) -> Cost:
        """Return the cost of both pieces of work, one after the other."""
        return Cost(
            round(self.seconds + other.seconds, 4),
            self.pictures + other.pictures,
            round(max(self.peak_mb, other.peak_mb), 1),
            self.peak_exact and other.peak_exact,
        )


class Meter:
    """Context that measures its body: `seconds`, `peak_mb`, `peak_exact` afterwards.

    On a CUDA device the peak is torch's allocated memory there; otherwise the resident memory of
    this process (children not counted).
    """

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self._device = device
        self.seconds = 0.0
        self.peak_mb = 0.0
        self.peak_exact = True

    def __enter__(self) -> Meter:
        """Reset the peak where the system allows it, and start the clock."""
        if self._cuda:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self.peak_exact = _reset_peak()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the clock and read the peak."""
        self.seconds = time.perf_counter() - self._started
        if self._cuda:
            import torch

            self.peak_mb = torch.cuda.max_memory_allocated(self._device) / 2**20
        else:
            self.peak_mb = _peak_mb()

    def cost(self, pictures: int) -> Cost:
        """Return the measured cost of `pictures` pictures."""
        return Cost(self.seconds, pictures, self.peak_mb, self.peak_exact)


def _reset_peak() -> bool:
    """Ask Linux to forget the peak of this process; False where that is impossible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource  # absent on Windows, where only the time is measured

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)
