"""One picture for every pair: the mean of a reference set, by exact integer sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, InputError, Pair, Picture, PictureError

from pcdms_baselines.writing import write_pictures


def mean_picture(
    pictures: Iterable[Picture], size: tuple[int, int], kernel: str
) -> NDArray[np.uint8]:
    """Return floor(S / N + 0.5) over `pictures` at `size` = (H, W), uint8 (H, W, 3).

    S is an integer sum, so order and thread count change nothing. Raises PictureError on a picture
    that cannot be decoded, InputError where there is none.
    """
    total = np.zeros((*size, 3), dtype=np.int64)
    count = 0
    for picture in pictures:
        total += load_picture(picture, size, kernel)
        count += 1
    if count == 0:
        raise InputError("the mean of no pictures was asked for, expected at least one")
    # floor(S / N + 1/2) in whole numbers: no float rounding near the half.
    return ((2 * total + count) // (2 * count)).astype(np.uint8)


@dataclass
class MeanImage:
    """The mean of `gallery` (the training split) at `resolution` = (H, W).

    Without a gallery: the mean of the distinct sources of the pairs given to one call, in which
    case pictures of an earlier call with other pairs are replaced, so that one run holds one
    picture.
    """

    resolution: tuple[int, int]
    gallery: Gallery | None = None
    kernel: str = "pil-bicubic-u8"
    name: str = "mean-image"
    stages: tuple[str, ...] = ("final",)
    _mean: NDArray[np.uint8] | None = field(default=None, repr=False)

    def unavailable(self) -> str | None:
        """Return None: always available."""
        return None

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the mean for every pair; returns {pair_id: reason} of failures.

        A training picture that cannot be decoded fails every pair: a mean without it would be
        another picture under the same name. A source that cannot be decoded fails its own pairs.
        """
        if self.gallery is not None:
            return write_pictures(pairs, out, samples, lambda pair: self._gallery_mean())
        mean, failures = self._source_mean(pairs)
        good = [pair for pair in pairs if pair.pair_id not in failures]
        return failures | write_pictures(good, out, samples, lambda pair: mean, keep=False)

    def _gallery_mean(self) -> NDArray[np.uint8]:
        """The mean of the gallery, computed once."""
        if self._mean is None:
            assert self.gallery is not None
            self._mean = mean_picture(self.gallery.pictures, self.resolution, self.kernel)
        return self._mean

    def _source_mean(self, pairs: Sequence[Pair]) -> tuple[NDArray[np.uint8], dict[str, str]]:
        """The mean of the readable sources, and the reasons of the pairs whose source is not."""
        failures: dict[str, str] = {}
        readable: dict[Picture, None] = {}
        broken: dict[Picture, str] = {}
        for pair in pairs:
            if pair.source not in readable and pair.source not in broken:
                try:
                    load_picture(pair.source)
                    readable[pair.source] = None
                except PictureError as error:
                    broken[pair.source] = str(error)
            if pair.source in broken:
                failures[pair.pair_id] = broken[pair.source]
        if not readable:
            return np.zeros((*self.resolution, 3), dtype=np.uint8), failures
        return mean_picture(readable, self.resolution, self.kernel), failures
