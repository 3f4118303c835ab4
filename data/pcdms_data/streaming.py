"""Decoded batches at the rate a training loop takes them: threads decode ahead, memory is bounded.

OpenCV and the copies of NumPy release the interpreter lock, so threads of one process fill the
cores without pickling a pixel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import load_batch
from pcdms_data.pair_set import PairSet
from pcdms_data.types import Batch, InputError


def stream_batches(
    pairs: PairSet,
    batch_size: int,
    *,
    shuffle: int | None = None,
    epochs: int | None = 1,
    workers: int = 2,
    ahead: int = 4,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Yield batches of `pairs` at their resolution, decoded by `workers` threads.

    Batches come in a fixed order whatever the number of workers: that of the pairs, or with
    `shuffle` a permutation of each epoch seeded by (`shuffle`, epoch). Every pair occurs once an
    epoch; the last batch of an epoch is smaller, or left out with `drop_last`. `epochs` None never
    ends. At most `ahead` batches are decoded and not yet taken.

    Raises InputError on numbers below 1, PictureError where a picture cannot be read, in the
    place of its batch.
    """
    for name, value in (("batch size", batch_size), ("workers", workers), ("ahead", ahead)):
        if value < 1:
            raise InputError(f"{name} {value} of a stream, expected 1 or more")
    if epochs is not None and epochs < 1:
        raise InputError(f"epochs {epochs} of a stream, expected 1 or more")
    order = batch_order(len(pairs), batch_size, shuffle, epochs, drop_last)
    return _decoded(pairs, order, workers, ahead)


def batch_order(
    rows: int, batch_size: int, shuffle: int | None, epochs: int | None, drop_last: bool
) -> Iterator[NDArray[np.intp]]:
    """Yield the row numbers of every batch; nothing where no batch can be filled."""
    whole = rows - rows % batch_size if drop_last else rows
    if not whole:
        return
    for epoch in count() if epochs is None else range(epochs):
        order = np.arange(rows)
        if shuffle is not None:
            order = np.random.default_rng((shuffle, epoch)).permutation(rows)
        for first in range(0, whole, batch_size):
            yield order[first : min(first + batch_size, whole)]


def _decoded(
    pairs: PairSet, order: Iterator[NDArray[np.intp]], workers: int, ahead: int
) -> Iterator[Batch]:
    def decode(rows: NDArray[np.intp]) -> Batch:
        return load_batch([pairs[int(row)] for row in rows], pairs.resolution)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[Batch]] = deque()
    try:
        for rows in order:
            waiting.append(pool.submit(decode, rows))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # A consumer that stops early leaves nothing running behind it.
        pool.shutdown(wait=True, cancel_futures=True)
