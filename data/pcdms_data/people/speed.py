"""Measures how fast the renderer makes pictures, with the worker processes of the cache."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.people.presets import FIRST_INDEX, SplitPlan
from pcdms_data.people.rendering import (
    IDENTITIES_PER_CHUNK,
    Progress,
    WorkerPool,
    chunk_count,
    prepare_arrays,
)

SIZES = (("people-street", "street", (128, 64)), ("people", "fashion", (256, 176)))
TARGETS = {(128, 64): 200.0, (256, 176): 50.0}
"""Pictures per second that two idle cores are expected to reach, by (H, W)."""


@dataclass(frozen=True)
class RenderSpeed:
    """Throughput at one size: pictures, wall seconds, and CPU seconds of all workers together."""

    look: str
    resolution: tuple[int, int]
    workers: int
    pictures: int
    wall_seconds: float
    cpu_seconds: float
    target: float

    @property
    def per_second(self) -> float:
        """Pictures per wall second of all workers together."""
        return self.pictures / self.wall_seconds

    @property
    def per_cpu_second(self) -> float:
        """Pictures per CPU second of one process, which a busy machine changes less."""
        return self.pictures / self.cpu_seconds


def render_speed(
    workers: int = 2, pictures: int = 480, progress: Progress | None = None
) -> list[RenderSpeed]:
    """Render about `pictures` pictures at each of `SIZES` and return the measurements.

    The workers are started and warmed up before the clock runs. Nothing enters the cache.
    """
    return [
        _measure(dataset, look, resolution, workers, pictures, progress)
        for dataset, look, resolution in SIZES
    ]


def _measure(
    dataset: str,
    look: str,
    resolution: tuple[int, int],
    workers: int,
    pictures: int,
    progress: Progress | None,
) -> RenderSpeed:
    views = 6
    chunks = max(workers, round(pictures / (views * IDENTITIES_PER_CHUNK)))
    identities = (chunks + workers) * IDENTITIES_PER_CHUNK
    plan = SplitPlan(
        dataset, look, "speed", "test", resolution, 0, FIRST_INDEX["test"], identities, views
    )
    total = chunks * views * IDENTITIES_PER_CHUNK
    with tempfile.TemporaryDirectory(prefix="pcdms-speed-") as name:
        folder = Path(name)
        prepare_arrays(plan, folder)
        with WorkerPool(plan, folder, workers) as pool:
            for _ in pool.run(range(workers)):
                pass
            cpu_before, begun = pool.cpu_seconds, time.perf_counter()
            for done, _ in enumerate(pool.run(range(workers, chunk_count(plan))), start=1):
                if progress:
                    progress(done * views * IDENTITIES_PER_CHUNK, total)
            wall = time.perf_counter() - begun
            cpu = pool.cpu_seconds - cpu_before
    return RenderSpeed(look, resolution, workers, total, wall, cpu, TARGETS[resolution])
