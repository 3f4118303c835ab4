"""What an encoder said of each distinct picture, kept so that it is asked once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LIMIT_BYTES = 3 * 2**30
"""Enough for the published encoder's tokens, in half precision, of the 3,144 pictures that occur in
DeepFashion's 8,570 test pairs."""


class PictureMemory:
    """Rows by picture content in main memory; the ones unused for longest go when it is full."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._rows: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0

    def rows(
        self, pictures: NDArray[np.uint8], encode: Callable[[NDArray[np.uint8]], Tensor]
    ) -> Tensor:
        """Return the rows (B, ...) of pictures (B, 3, H, W), on the CPU.

        `encode` maps the distinct pictures that are not known yet, (N, 3, H, W), to rows (N, ...).
        """
        keys = [blake2b(p.tobytes(), digest_size=16).digest() for p in pictures]
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        known = {key: self._rows[key] for key in first if key in self._rows}
        for key in known:
            self._rows.move_to_end(key)
        fresh = sorted(place for key, place in first.items() if key not in known)
        if fresh:
            encoded = encode(pictures[fresh]).cpu()
            for place, row in zip(fresh, encoded, strict=True):
                known[keys[place]] = row.clone()  # a slice would keep all rows alive
                self._keep(keys[place], known[keys[place]])
        return torch.stack([known[key] for key in keys])

    def _keep(self, key: bytes, row: Tensor) -> None:
        self._rows[key] = row
        self._bytes += row.nbytes
        while self._bytes > self.limit_bytes and self._rows:
            _, old = self._rows.popitem(last=False)
            self._bytes -= old.nbytes
