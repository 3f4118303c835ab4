"""Renders a split chunk by chunk into array files, in this process or in several.

A chunk is a few identities. Its rows go straight into the shared array files; then a small record
with its key points and a digest of those rows appears under `done/`. A chunk whose record fits its
rows is finished, whatever happened to the process that made it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import write_atomically
from pcdms_data.people.presets import SplitPlan, framing_of, picture_name

IDENTITIES_PER_CHUNK = 4
PICTURES, PARTS, GARMENTS = "pictures.npy", "parts.npy", "garments.npy"
BACK_VISIBLE = -0.2
"""A print on the back counts as shown where the cosine of the yaw is below this (102 degrees)."""

# Finds this package wherever the parent found it, behind everything the interpreter has itself.
_WORKER = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from pcdms_data.people.render_worker import main; main()"
)
_SINGLE_PROCESS_LIMIT = 96  # starting a worker takes about as long as this many small pictures

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""


def chunk_count(plan: SplitPlan) -> int:
    """Return the number of chunks of a split."""
    return -(-plan.identities // IDENTITIES_PER_CHUNK)


def chunk_identities(plan: SplitPlan, chunk: int) -> range:
    """Return the identities, counted from 0 within the split, of one chunk."""
    start = chunk * IDENTITIES_PER_CHUNK
    return range(start, min(start + IDENTITIES_PER_CHUNK, plan.identities))


def prepare_arrays(plan: SplitPlan, folder: Path) -> None:
    """Make the empty array files, unless they are there from an interrupted call."""
    height, width = plan.resolution
    shapes = {
        PICTURES: (plan.count, height, width, 3),
        PARTS: (plan.count, height, width),
        GARMENTS: (plan.count, height, width),
    }
    (folder / "done").mkdir(exist_ok=True)
    for name, shape in shapes.items():
        if not (folder / name).exists():
            part = folder / f"{name}.new"
            np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            part.rename(folder / name)


def render_chunk(plan: SplitPlan, folder: Path, chunk: int) -> None:
    """Render one chunk into the arrays of `folder` and leave its record."""
    from pcdms_data.people.render import render_view

    arrays = _open_arrays(folder, "r+")
    records: list[dict[str, Any]] = []
    for number in chunk_identities(plan, chunk):
        for view in range(plan.views):
            seen = render_view(plan.seed, plan.first + number, view, plan.look, plan.resolution)
            row = number * plan.views + view
            for array, pixels in zip(arrays, (seen.pixels, seen.parts, seen.garments), strict=True):
                array[row] = pixels
            framing = framing_of(seen.keypoints)
            records.append(
                {
                    "name": picture_name(
                        plan, seen.identity, view, seen.side, framing, seen.camera
                    ),
                    "identity": number,
                    "yaw": math.remainder(seen.pose.yaw, 2 * math.pi),
                    "framing": framing,
                    "back_print": seen.identity.back.kind != "none"
                    and math.cos(seen.pose.yaw) < BACK_VISIBLE,
                    "xy": [[float(x), float(y)] for x, y in seen.keypoints.xy],
                    "visible": [bool(value) for value in seen.keypoints.visible],
                }
            )
    record = {"digest": _rows_digest(arrays, plan, chunk), "pictures": records}
    write_atomically(_record_path(folder, chunk), json.dumps(record).encode())


def finished_chunks(plan: SplitPlan, folder: Path) -> set[int]:
    """Return the chunks whose record is there and fits the rows of the arrays."""
    arrays = _open_arrays(folder, "r")
    finished = set()
    for chunk in range(chunk_count(plan)):
        with contextlib.suppress(OSError, ValueError, KeyError):
            record = json.loads(_record_path(folder, chunk).read_bytes())
            if record["digest"] == _rows_digest(arrays, plan, chunk):
                finished.add(chunk)
    return finished


def chunk_records(plan: SplitPlan, folder: Path) -> list[dict[str, Any]]:
    """Return the picture records of all chunks in row order."""
    records: list[dict[str, Any]] = []
    for chunk in range(chunk_count(plan)):
        records += json.loads(_record_path(folder, chunk).read_bytes())["pictures"]
    return records


def render_chunks(
    plan: SplitPlan,
    folder: Path,
    chunks: Sequence[int],
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Render `chunks` with `workers` processes (None: one per CPU, or none for a small split).

    Raises RuntimeError with the last line of a worker that died. An interrupt stops the workers;
    finished chunks stay.
    """
    sizes = {chunk: len(chunk_identities(plan, chunk)) * plan.views for chunk in chunks}
    done, total = plan.count - sum(sizes.values()), plan.count
    if progress:
        progress(done, total)
    for chunk in _completed(plan, folder, chunks, _process_count(sum(sizes.values()), workers)):
        done += sizes[chunk]
        if progress:
            progress(done, total)


def _process_count(pictures: int, workers: int | None) -> int:
    if workers is not None:
        return max(1, workers)
    if pictures <= _SINGLE_PROCESS_LIMIT or not sys.executable:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _completed(plan: SplitPlan, folder: Path, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Yield chunks as they are finished."""
    if workers == 1 or len(chunks) < 2:
        for chunk in chunks:
            render_chunk(plan, folder, chunk)
            yield chunk
        return
    with WorkerPool(plan, folder, min(workers, len(chunks))) as pool:
        yield from pool.run(chunks)


class WorkerPool:
    """Rendering processes that take chunk numbers by line and answer when one is done.

    Separate interpreters instead of `multiprocessing`: they need no `__main__` guard in the
    caller's script, inherit no locks of a loaded torch, and get their own thread limits.
    """

    def __init__(self, plan: SplitPlan, folder: Path, workers: int) -> None:
        environment = os.environ | dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
        )
        package_root = Path(__file__).resolve().parents[2]
        self._errors: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[str]] = []
        for _ in range(workers):
            errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pool
            self._errors.append(errors)
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _WORKER, str(package_root), str(folder.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                # Ctrl-C reaches the parent alone, which then ends its workers without tracebacks.
                start_new_session=True,
            )
            self._processes.append(process)
            self._send(process, json.dumps(asdict(plan)))
        self.cpu_seconds = 0.0

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process, errors in zip(self._processes, self._errors, strict=True):
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()
            errors.close()

    def run(self, chunks: Sequence[int]) -> Iterator[int]:
        """Yield the chunks as they are finished; adds the processes' time to `cpu_seconds`."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[int, float] | RuntimeError] = queue.SimpleQueue()
        for chunk in chunks:
            waiting.put(chunk)
        for number in range(len(self._processes)):
            threading.Thread(
                target=self._feed, args=(number, waiting, answers), daemon=True
            ).start()
        for _ in chunks:
            answer = answers.get()
            if isinstance(answer, RuntimeError):
                raise answer
            self.cpu_seconds += answer[1]
            yield answer[0]

    def _feed(
        self,
        number: int,
        waiting: queue.SimpleQueue[int],
        answers: queue.SimpleQueue[tuple[int, float] | RuntimeError],
    ) -> None:
        """Give one process chunk after chunk; the thread ends with the queue or the process."""
        process = self._processes[number]
        while True:
            try:
                chunk = waiting.get_nowait()
            except queue.Empty:
                return
            self._send(process, str(chunk))
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                answers.put(self._death(number))
                return
            answers.put((chunk, float(line)))

    def _death(self, number: int) -> RuntimeError:
        """Describe a process that ended by itself, with the last line it complained."""
        code = self._processes[number].wait()
        errors = self._errors[number]
        try:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        except ValueError:  # closed: the pool is being taken down
            lines = []
        last = lines[-1] if lines else "it printed nothing"
        return RuntimeError(f"a rendering process ended with code {code}: {last}")

    @staticmethod
    def _send(process: subprocess.Popen[str], line: str) -> None:
        """Write one line; a dead process is noticed when its answer does not come."""
        with contextlib.suppress(OSError, ValueError):
            if process.stdin:
                process.stdin.write(line + "\n")
                process.stdin.flush()


def _record_path(folder: Path, chunk: int) -> Path:
    return folder / "done" / f"{chunk:05d}.json"


def _open_arrays(folder: Path, mode: str) -> tuple[NDArray[np.uint8], ...]:
    return tuple(
        np.load(folder / name, mmap_mode="r+" if mode == "r+" else "r", allow_pickle=False)
        for name in (PICTURES, PARTS, GARMENTS)
    )


def _rows_digest(arrays: tuple[NDArray[np.uint8], ...], plan: SplitPlan, chunk: int) -> str:
    """Hash the rows of one chunk in all arrays."""
    numbers = chunk_identities(plan, chunk)
    rows = slice(numbers.start * plan.views, numbers.stop * plan.views)
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array[rows]).data)
    return digest.hexdigest()
