"""Work beside the networks: the next batch is read, and finished pictures written, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import save_picture

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

WAITING = 64
"""Pictures that may wait to be written; then the networks wait."""


def ahead(items: Iterable[Item], load: Callable[[Item], Loaded]) -> Iterator[Loaded]:
    """Yield `load(item)` for each item in order; the next one loads while one is in use."""
    with ThreadPoolExecutor(1) as pool:
        pending: Future[Loaded] | None = None
        for item in items:
            following = pool.submit(load, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


class PictureWriter:
    """Context that writes pictures in a thread; all are on disk, or an error raised, at its end.

    An error of the body does not lose pictures that were handed over before it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> PictureWriter:
        """Return the writer."""
        return self

    def save(self, path: Path, planes: NDArray[np.uint8]) -> None:
        """Write planes (3, H, W) uint8 as PNG, soon; raises the error of an earlier picture."""
        while len(self._waiting) >= WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(_write, path, planes))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the last picture; raises its error unless the body failed already."""
        self._pool.shutdown()
        if error is None:
            for written in self._waiting:
                written.result()


def _write(path: Path, planes: NDArray[np.uint8]) -> None:
    save_picture(path, np.ascontiguousarray(planes.transpose(1, 2, 0)))
