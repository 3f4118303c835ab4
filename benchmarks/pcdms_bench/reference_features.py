"""Feature statistics of the reference pictures: computed once, kept by the content they came from.

The key holds the bytes of every picture, the network with its digest, the resize and the library
versions, so a changed input can never meet an old result.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.frechet import FeatureStatistics, GaussianOfFeatures
from pcdms_bench.metrics.networks import FeatureNetwork, networks_versions
from pcdms_bench.protocols import Protocol
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.weights_store import cache_folder
from pcdms_data.images import load_picture
from pcdms_data.types import Picture, PictureError

ROWS_PER_UPDATE = 64
FORMAT = 1
"""Raised when the way statistics are computed changes."""


def reference_statistics(
    pictures: Sequence[Picture],
    network: FeatureNetwork,
    protocol: Protocol,
    memory: ScoreMemory,
    progress: Callable[[int], object] | None = None,
) -> GaussianOfFeatures:
    """Return mean and covariance of the features of `pictures` in the protocol's metric frame.

    Looked up in `memory`, then in the cache folder, else computed picture by picture. Pictures that
    cannot be decoded are left out, and not counted in `count`. `progress` is called with the number
    of pictures done. Raises InputError when fewer than two are left.
    """
    handles = tuple((p.name, p.path, p.row) for p in pictures)
    quick = ("reference", network.label, network.preprocessing, protocol.frame,
             protocol.reference_kernel, handles, _stamps(pictures))  # fmt: skip
    kept = memory.get(quick)
    if isinstance(kept, GaussianOfFeatures):
        return kept
    path = cache_folder() / "features" / f"{_key(pictures, network, protocol)}.npz"
    found = _read(path, network.width)
    if found is None:
        found = _compute(pictures, network, protocol, progress)
        _write(path, found)
    memory.put(quick, found, found.covariance.nbytes)
    return found


def _compute(
    pictures: Sequence[Picture],
    network: FeatureNetwork,
    protocol: Protocol,
    progress: Callable[[int], object] | None,
) -> GaussianOfFeatures:
    """Stream the pictures through the network in chunks, in name order."""
    statistics = FeatureStatistics()
    waiting: list[NDArray[np.float32]] = []
    ordered = sorted(pictures, key=lambda picture: (picture.name, picture.row))
    for start in range(0, len(ordered), network.chunk):
        chunk = ordered[start : start + network.chunk]
        pixels = []
        for picture in chunk:
            try:
                pixels.append(load_picture(picture, protocol.frame, protocol.reference_kernel))
            except PictureError:
                continue
        if pixels:
            waiting.append(network.features(np.stack(pixels)))
        # Adding up D x D products for a few rows at a time would cost as much as the network.
        if len(waiting) * network.chunk >= ROWS_PER_UPDATE:
            statistics.update(np.concatenate(waiting))
            waiting = []
        if progress:
            progress(len(chunk))
    if waiting:
        statistics.update(np.concatenate(waiting))
    return statistics.result()


def _key(pictures: Sequence[Picture], network: FeatureNetwork, protocol: Protocol) -> str:
    """Return the hash of everything the statistics depend on."""
    content = hashlib.sha256()
    for picture in sorted(pictures, key=lambda picture: (picture.name, picture.row)):
        digest = _file_digest(picture.path, *_stamp(picture.path))
        content.update(f"{picture.name}\x1f{picture.row}\x1f{digest}\n".encode())
    choices = {
        "format": FORMAT,
        "content": content.hexdigest(),
        "network": network.label,
        "preprocessing": network.preprocessing,
        "frame": protocol.frame,
        "kernel": protocol.reference_kernel,
        "versions": networks_versions(),
    }
    text = json.dumps(choices, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and modification time; zeros for a missing file."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _stamps(pictures: Sequence[Picture]) -> tuple[tuple[Path, int, int], ...]:
    """Return the state of every distinct file."""
    return tuple((path, *_stamp(path)) for path in sorted({p.path for p in pictures}))


@lru_cache(maxsize=100_000)
def _file_digest(path: Path, size: int, stamp: int) -> str:
    """Return the digest of a file's bytes, once per process and state; empty when unreadable."""
    del size, stamp  # only part of the cache key: a rewritten file is read anew
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:
        return ""


def _read(path: Path, width: int) -> GaussianOfFeatures | None:
    """Return stored statistics; None when there are none, or none that can be used."""
    try:
        # The file is opened here because NumPy leaves a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            mean, covariance, count = stored["mean"], stored["covariance"], int(stored["count"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if mean.shape != (width,) or covariance.shape != (width, width):
        return None
    return GaussianOfFeatures(mean, covariance, count)


def _write(path: Path, found: GaussianOfFeatures) -> None:
    """Store statistics under a temporary name, then rename; a full disk only costs the cache."""
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, mean=found.mean, covariance=found.covariance, count=found.count)
        temporary.replace(path)
    except OSError:
        return
    finally:
        if temporary.exists():
            temporary.unlink()


def count_problem(pictures: Sequence[Picture], found: GaussianOfFeatures) -> str:
    """Return the note for a row when reference pictures could not be decoded, else ''."""
    lost = len(pictures) - found.count
    return f"{lost} of {len(pictures)} reference pictures could not be decoded" if lost else ""
