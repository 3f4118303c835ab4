"""Decoded pictures of a pair set in one memory-mapped file, for trainings that read them often."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np

from pcdms_data.cache import cached_entry
from pcdms_data.images import load_picture
from pcdms_data.pair_set import PairSet
from pcdms_data.picture_store import pictures_digest
from pcdms_data.types import Gallery, Picture, PictureError

PIXELS, UNREADABLE = "pixels.npy", "unreadable.json"
Progress = Callable[[int, int], None]


def with_pixels(pairs: PairSet, workers: int = 2, progress: Progress | None = None) -> PairSet:
    """Return the same pairs with every gallery picture decoded at their resolution.

    The pictures (uint8, N x H x W x 3) lie in the cache folder, keyed by the picture files, their
    time stamps, the crop and the resolution. A picture that cannot be read keeps its handle, so
    that it fails its own pairs only.
    """
    pictures = pairs.gallery.pictures
    key = sha256(repr(pairs.resolution).encode() + pictures_digest(pictures)).hexdigest()[:32]
    entry = cached_entry(
        "pixels",
        key,
        lambda folder: _fill(folder, pictures, pairs.resolution, workers, progress),
    )
    unreadable = set(json.loads((entry / UNREADABLE).read_bytes()))
    decoded = tuple(
        picture if row in unreadable else Picture(picture.name, entry / PIXELS, row)
        for row, picture in enumerate(pictures)
    )
    gallery = Gallery(decoded, pairs.gallery.keypoints, pairs.gallery.groups)
    return pairs.with_gallery(gallery)


def _fill(
    folder: Path,
    pictures: tuple[Picture, ...],
    resolution: tuple[int, int],
    workers: int,
    progress: Progress | None,
) -> None:
    pixels = np.lib.format.open_memmap(
        folder / PIXELS, mode="w+", dtype=np.uint8, shape=(len(pictures), *resolution, 3)
    )

    def decode(row: int) -> bool:
        try:
            pixels[row] = load_picture(pictures[row], resolution)
        except PictureError:
            return False
        return True

    unreadable = []
    with ThreadPoolExecutor(workers) as pool:
        for row, done in enumerate(pool.map(decode, range(len(pictures)))):
            if not done:
                unreadable.append(row)
            if progress and (row % 50 == 49 or row + 1 == len(pictures)):
                progress(row + 1, len(pictures))
    pixels.flush()
    (folder / UNREADABLE).write_text(json.dumps(unreadable))
