"""One picture for every pair: the mean of a reference set, by exact integer sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.writing import picture_path, write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, InputError, Pair, Picture, PictureError


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

    Without a gallery: the mean of the distinct sources of the pairs given to one call. Pictures of
    an earlier call with other pairs are then replaced, so that a run holds one picture only.
    """

    resolution: tuple[int, int]
    gallery: Gallery | None = None
    kernel: str = "pil-bicubic-u8"
    name: str = "mean-image"
    stages: tuple[str, ...] = ("final",)
    _mean: NDArray[np.uint8] | InputError | None = field(default=None, init=False, repr=False)

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
            pictures = self.gallery.pictures
            return write_pictures(pairs, out, samples, lambda pair: self._gallery_mean(pictures))
        sources, failures = _readable_sources(pairs)
        if not sources:
            return failures
        mean = mean_picture(sources, self.resolution, self.kernel)
        good = [pair for pair in pairs if pair.pair_id not in failures]
        _remove_other_means(good, out, samples, mean)
        return failures | write_pictures(good, out, samples, lambda pair: mean)

    def _gallery_mean(self, pictures: Sequence[Picture]) -> NDArray[np.uint8]:
        """The mean of the gallery, or its error, worked out once."""
        if self._mean is None:
            try:
                self._mean = mean_picture(pictures, self.resolution, self.kernel)
            except InputError as error:
                self._mean = error
        if isinstance(self._mean, InputError):
            raise self._mean
        return self._mean


def _readable_sources(pairs: Sequence[Pair]) -> tuple[list[Picture], dict[str, str]]:
    """The distinct sources that can be decoded, and {pair_id: reason} of the others' pairs."""
    reasons: dict[Picture, str | None] = {}
    for pair in pairs:
        if pair.source not in reasons:
            try:
                load_picture(pair.source)
                reasons[pair.source] = None
            except PictureError as error:
                reasons[pair.source] = str(error)
    failures = {pair.pair_id: reason for pair in pairs if (reason := reasons[pair.source])}
    return [source for source, reason in reasons.items() if reason is None], failures


def _remove_other_means(
    pairs: Sequence[Pair], out: Path, samples: int, mean: NDArray[np.uint8]
) -> None:
    """Delete the pictures of `pairs` that an earlier call wrote from another set of sources."""
    for pair in pairs:
        for sample in range(samples):
            path = picture_path(out, "final", pair.pair_id, sample)
            if path.exists() and not np.array_equal(load_picture(Picture(path.name, path)), mean):
                path.unlink()
