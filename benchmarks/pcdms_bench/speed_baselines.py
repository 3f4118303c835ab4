"""How long the methods without learning take, extrapolated to DeepFashion's test list.

Pictures are read from and written to PNG files in the frame of that list. A gallery has as many
poses as the training split, taken from the people at hand and moved a little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pcdms_baselines.method import Method
from pcdms_baselines.methods import METHODS, make_baseline
from pcdms_bench.model_files import weights_directory
from pcdms_bench.progress import silence_libraries
from pcdms_data.images import load_picture, save_picture
from pcdms_data.pairs import PairSet, load_pairs
from pcdms_data.types import Gallery, Keypoints, Pair, Picture

FRAME = (256, 176)
PAIRS = 8570
"""Pairs of DeepFashion's test list, in PATN's rule."""
TRAINING = 37_016
"""Pictures of its training split with whole poses, the gallery of `nearest-pose`."""
TARGET_S = 600.0
"""Seconds that the slowest method without a network may take on two cores."""
NETWORK_PAIRS = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BaselineSpeed:
    """One method: `pairs` were made; CPU and wall seconds of a pair, one process.

    `setup_s` are the CPU seconds before the first picture, for a training split of `TRAINING`
    pictures. `network`: it passes pictures through an autoencoder, and no time is set for it.
    """

    method: str
    pairs: int
    cpu_s: float
    wall_s: float
    setup_s: float
    network: bool

    @property
    def whole_s(self) -> float:
        """CPU seconds of all `PAIRS` pairs, in one process; two cores halve what is per pair."""
        return self.setup_s + self.cpu_s * PAIRS

    @property
    def within(self) -> bool | None:
        """Whether one core alone keeps the time that is set for two; None where none is set."""
        return None if self.network else self.whole_s <= TARGET_S


def baseline_speed(
    pairs: int = 200, size: str = "mini", progress: Progress | None = None
) -> list[BaselineSpeed]:
    """Measure every method without learning on the first `pairs` pairs of the embedded people."""
    silence_libraries()
    people = load_pairs("people", size=size, resolution=FRAME, limit=pairs)
    entries = [entry for entry in METHODS.values() if entry.kind in ("floor", "ceiling")]
    names = [(name, entry.latent) for entry in entries for name in (entry.name, *entry.variants)]
    found = []
    with tempfile.TemporaryDirectory(prefix="pcdms-speed-") as scratch:
        on_disk = _as_files(people, Path(scratch) / "pictures")
        training = _training(on_disk.gallery)
        for done, (name, network) in enumerate(names, start=1):
            # The exact warp knows its pictures by the cache they lie in.
            used = people if name == "dense-warp" else on_disk
            method = make_baseline(
                name, FRAME, on_disk.gallery if name == "mean-image" else training, used.gallery,
                weights_directory("tiny", None) / "vae" if network else None,
            )  # fmt: skip
            some = list(used[:NETWORK_PAIRS] if network else used)
            scale = TRAINING / len(on_disk.gallery.pictures) if name == "mean-image" else 1.0
            found.append(_measured(method, some, Path(scratch) / "out" / name, scale, network))
            if progress:
                progress(done, len(names))
    return found


def _measured(
    method: Method, pairs: Sequence[Pair], out: Path, scale: float, network: bool
) -> BaselineSpeed:
    """Time a method: its first pair holds what it does once, `scale` times as much in truth."""
    cpu, wall = time.process_time(), time.perf_counter()
    method.generate(pairs[:1], out, 0)
    first = time.process_time() - cpu
    cpu, wall = time.process_time(), time.perf_counter()
    failed = method.generate(pairs[1:], out, 0)
    assert not failed, failed
    count = len(pairs) - 1
    cpu, wall = (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count
    setup = max(first - cpu, 0.0) * scale
    return BaselineSpeed(method.name, len(pairs), cpu, wall, setup, network)


def _as_files(pairs: PairSet, folder: Path) -> PairSet:
    """Return the same pairs over PNG files."""
    handles = []
    for picture in pairs.gallery.pictures:
        save_picture(folder / picture.name, load_picture(picture))
        handles.append(Picture(picture.name, folder / picture.name))
    return pairs.with_gallery(replace(pairs.gallery, pictures=tuple(handles)))


def _training(gallery: Gallery) -> Gallery:
    """Return `TRAINING` pictures of other people: those of `gallery` again and again."""
    random = np.random.default_rng(0)
    pictures, poses = [], []
    for number in range(TRAINING):
        at = number % len(gallery.pictures)
        pose = gallery.keypoints[at]
        moved = pose.xy + random.normal(0, 4, pose.xy.shape).astype(np.float32)
        pictures.append(replace(gallery.pictures[at], name=f"training{number:06d}.png"))
        poses.append(Keypoints(moved, pose.visible, pose.size))
    groups = tuple(f"other{number}" for number in range(TRAINING))
    return Gallery(tuple(pictures), tuple(poses), groups)
