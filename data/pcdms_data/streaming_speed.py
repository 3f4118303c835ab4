"""Measures how fast decoded pairs reach a training loop, beside the reading of published code."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pcdms_data.images import load_picture
from pcdms_data.pair_set import PairSet
from pcdms_data.pairs import load_pairs
from pcdms_data.pixel_cache import with_pixels
from pcdms_data.streaming import stream_batches
from pcdms_data.types import Gallery, Picture

Progress = Callable[[int, int], None]
RESOLUTION = (256, 176)
BATCH = 32
TARGETS = {"jpeg": 1500.0, "pixels": 1500.0, "png": 700.0}
"""Pairs per second that two idle cores are expected to reach at 256x176, by kind of file."""
_QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}


@dataclass(frozen=True)
class StreamSpeed:
    """Throughput of one way of reading: pairs, wall seconds, CPU seconds of this process."""

    way: str
    files: str
    workers: int
    pairs: int
    wall_seconds: float
    cpu_seconds: float
    target: float | None

    @property
    def per_second(self) -> float:
        """Pairs per wall second."""
        return self.pairs / self.wall_seconds


def streaming_speed(
    workers: int = 2, pairs: int = 3000, progress: Progress | None = None
) -> list[StreamSpeed]:
    """Stream about `pairs` pairs at 256x176 from JPEG, PNG and decoded pixels; return the figures.

    The pictures are those of embedded people, rendered before and written into a folder of their
    own; every way has read all of them once before its clock runs. Beside ours stands the reading
    of published loaders (Pillow, float tensors, `torch.utils.data.DataLoader` with as many worker
    processes) on the same JPEG and PNG files.
    """
    people = load_pairs("people", size="mini", split="test", resolution=RESOLUTION)
    measured: list[StreamSpeed] = []
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            kind: _written(people, Path(folder) / kind, suffix)
            for kind, suffix in (("jpeg", ".jpg"), ("png", ".png"))
        }
        sets["pixels"] = with_pixels(sets["png"], workers)
        for kind, found in sets.items():
            batches = _repeated(found, workers)
            measured.append(_measure("pcdms", kind, workers, pairs, batches, TARGETS[kind]))
            if kind != "pixels":
                loader = _published_loader(found, pairs, workers)
                measured.append(_measure("published", kind, workers, pairs, loader, None))
            if progress:
                progress(len(measured), 2 * len(sets) - 1)
    return measured


def _written(pairs: PairSet, folder: Path, suffix: str) -> PairSet:
    """Return the same pairs over encoded copies of their pictures in `folder`."""
    folder.mkdir()
    pictures = []
    for picture in pairs.gallery.pictures:
        path = folder / f"{Path(picture.name).stem}{suffix}"
        pixels = cv2.cvtColor(load_picture(picture), cv2.COLOR_RGB2BGR)
        path.write_bytes(cv2.imencode(suffix, pixels, _QUALITY[suffix])[1].tobytes())
        pictures.append(Picture(path.name, path))
    old = pairs.gallery
    return pairs.with_gallery(Gallery(tuple(pictures), old.keypoints, old.groups))


def _repeated(pairs: PairSet, workers: int) -> Iterator[int]:
    """Yield the size of each batch; the first yield, of 0, comes after everything was read once."""
    for _ in stream_batches(pairs, BATCH, workers=workers):
        pass
    yield 0
    for batch in stream_batches(pairs, BATCH, shuffle=0, epochs=None, workers=workers):
        yield len(batch.pair_ids)


def _published_loader(pairs: PairSet, count: int, workers: int) -> Iterator[int]:
    """Yield as `_repeated`, read as published training code reads: picture by picture, as float."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    class Published(Dataset[tuple[torch.Tensor, torch.Tensor]]):
        def __len__(self) -> int:
            return count + BATCH * 4 * workers

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            pair = pairs[index % len(pairs)]
            planes = []
            for picture in (pair.source, pair.target):
                with Image.open(picture.path) as opened:
                    sized = opened.convert("RGB").resize(
                        (RESOLUTION[1], RESOLUTION[0]), Image.Resampling.BICUBIC
                    )
                pixels = torch.from_numpy(np.array(sized)).permute(2, 0, 1)
                planes.append(pixels.float() / 127.5 - 1)
            return planes[0], planes[1]

    loader = iter(DataLoader(Published(), batch_size=BATCH, num_workers=workers))
    next(loader)  # its processes have started
    yield 0
    for source, _ in loader:
        yield len(source)


def _measure(
    way: str, files: str, workers: int, wanted: int, sizes: Iterable[int], target: float | None
) -> StreamSpeed:
    """Take batches until `wanted` pairs have come; the clock starts at the first yield."""
    stream = iter(sizes)
    next(stream)
    wall, cpu, done = time.perf_counter(), time.process_time(), 0
    while done < wanted:
        done += next(stream)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    return StreamSpeed(way, files, workers, done, wall, cpu, target)
