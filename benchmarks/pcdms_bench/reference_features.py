"""Features of the reference pictures and their statistics, kept by the content they came from.

A picture's features are kept by the digest of its pixels and the network, the statistics by the
digests of all pictures: one changed picture costs one forward pass, none costs none.
"""

from __future__ import annotations

import contextlib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metric_inputs import InputBank, Seen
from pcdms_bench.metrics.frechet import FeatureStatistics, GaussianOfFeatures
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.picture_content import PictureSource
from pcdms_bench.picture_views import View
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.weights_store import cache_folder
from pcdms_data.types import Picture, PictureError

BLOCK = 32
"""Pictures looked up, decoded and added to the sums at a time."""


def feature_key(network: FeatureNetwork, digest: bytes) -> bytes:
    """Return the key of a network's features of an input."""
    return content_key(
        "features", library_versions(), network.label, network.preprocessing, "float32", digest
    )


def features_of(
    inputs: Sequence[Seen], bank: InputBank, network: FeatureNetwork, store: ResultStore
) -> list[NDArray[np.float32]]:
    """Return the features (D,) of each input; equal inputs and known ones cost no forward pass."""
    digests = [bank.digest(seen) for seen in inputs]
    keys = {digest: feature_key(network, digest) for digest in digests}
    stored = store.get_many(list(keys.values()))
    found = {
        digest: np.frombuffer(stored[key], np.float32)
        for digest, key in keys.items()
        if key in stored and len(stored[key]) == 4 * network.width
    }
    missing = {d: seen for d, seen in zip(digests, inputs, strict=True) if d not in found}
    for batch in _batches(list(missing), missing, bank, network.chunk):
        pictures = np.stack([bank.array(missing[digest]) for digest in batch])
        for digest, row in zip(batch, network.features(pictures), strict=True):
            found[digest] = row
            store.put(keys[digest], np.ascontiguousarray(row, np.float32).tobytes())
    return [found[digest] for digest in digests]


def _batches(
    digests: list[bytes], inputs: dict[bytes, Seen], bank: InputBank, size: int
) -> Iterator[list[bytes]]:
    """Yield batches of equal shape and type."""
    groups: dict[object, list[bytes]] = {}
    for digest in digests:
        array = bank.array(inputs[digest])
        groups.setdefault((array.shape, array.dtype), []).append(digest)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


@dataclass(eq=False)
class Reference:
    """The pictures that a set metric compares with, in name order, and what is known of them."""

    pictures: Sequence[Picture]
    """Those used: a dropped last batch is left out already."""
    offered: int
    """How many there were."""
    network: FeatureNetwork
    view: View
    store: ResultStore
    memory: ScoreMemory
    _digests: list[bytes] | None = field(default=None, repr=False)

    @property
    def count(self) -> int:
        """Return how many pictures could be decoded."""
        return len(self.digests())

    def problem(self) -> str:
        """Return the note for a row when reference pictures could not be decoded, else ''."""
        lost = len(self.pictures) - self.count
        total = len(self.pictures)
        return f"{lost} of {total} reference pictures could not be decoded" if lost else ""

    def key(self) -> bytes:
        """Return what stands for all pictures as this network sees them."""
        own = content_key("reference", *self.digests())
        return feature_key(self.network, own)

    def digests(self) -> list[bytes]:
        """Return the digest of every picture's input; new pictures are decoded and passed on."""
        if self._digests is None:
            kept = self.memory.get(self._quick()) or self._look_up()
            if kept is None:
                pass_together([self])
            else:
                self.keep(kept)
        return self._digests or []

    def keep(self, digests: list[bytes]) -> None:
        """Take the digests that a pass over the pictures gave."""
        self._digests = digests
        self.memory.put(self._quick(), digests, 40 * len(digests))

    def gaussian(self) -> GaussianOfFeatures:
        """Return mean and covariance. Raises InputError for fewer than two pictures."""
        key = self.key()
        kept = self.memory.get(key)
        if isinstance(kept, GaussianOfFeatures):
            return kept
        path = _path(key)
        found = _read(path, self.network.width)
        if found is None:
            statistics = FeatureStatistics()
            for block in self.blocks():
                statistics.update(block)
            found = statistics.result()
            _write(path, found)
        self.memory.put(key, found, found.covariance.nbytes)
        return found

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the features in blocks (b, D), in name order."""
        for start in range(0, len(self.pictures), BLOCK):
            bank = InputBank(self.store)
            rows = features_of(self._inputs(start, bank), bank, self.network, self.store)
            if rows:
                yield np.stack(rows)

    def known(self) -> bool:
        """Tell whether nothing has to be decoded: statistics of these very inputs are stored."""
        if self._digests is None:
            self._digests = self.memory.get(self._quick()) or self._look_up()
        return self._digests is not None and (
            self.memory.get(self.key()) is not None or _path(self.key()).is_file()
        )

    def pass_block(self, start: int, bank: InputBank) -> list[bytes]:
        """Pass some pictures through the network; returns the digests of the decodable ones."""
        inputs = self._inputs(start, bank)
        features_of(inputs, bank, self.network, self.store)
        return [bank.digest(seen) for seen in inputs]

    def _inputs(self, start: int, bank: InputBank) -> list[Seen]:
        """Return the decodable inputs of a block."""
        pictures = self.pictures[start : start + BLOCK]
        block = _readable([Seen(PictureSource(picture), self.view) for picture in pictures])
        bank.look_up(block)
        usable = []
        for seen in block:
            with contextlib.suppress(PictureError):
                bank.digest(seen)
                usable.append(seen)
        return usable

    def _look_up(self) -> list[bytes] | None:
        """Return all digests where every one is known, without decoding anything."""
        keys = []
        for picture in self.pictures:
            try:
                keys.append(Seen(PictureSource(picture), self.view).key())
            except PictureError:
                return None
        known = self.store.get_many(keys)
        return [known[key] for key in keys] if len(known) == len(set(keys)) else None

    def _quick(self) -> bytes:
        """Return a key for this process, which changes when a file's time or size does."""
        parts = [self.network.label, repr(self.view)]
        stamps: dict[Path, str] = {}
        for picture in self.pictures:
            if picture.path not in stamps:
                stamps[picture.path] = _stamp(picture.path)
            parts.append(f"{picture!r}{stamps[picture.path]}")
        return content_key("quick", *parts)


def pass_together(
    references: Sequence[Reference], progress: Callable[[int], object] | None = None
) -> None:
    """Pass the pictures of all references that are new through their networks, each decoded once.

    The references are of the same pictures in different views or networks. `progress` is called
    with the number of pictures done.
    """
    new = [reference for reference in references if not reference.known()]
    found: list[list[bytes]] = [[] for _ in new]
    for start in range(0, max((len(reference.pictures) for reference in new), default=0), BLOCK):
        bank, done = InputBank(references[0].store), 0
        for reference, digests in zip(new, found, strict=True):
            digests += reference.pass_block(start, bank)
            done = max(done, len(reference.pictures[start : start + BLOCK]))
        if progress:
            progress(done)
    for reference, digests in zip(new, found, strict=True):
        reference.keep(digests)


def _path(key: bytes) -> Path:
    """Return where the statistics of a reference are stored."""
    return cache_folder() / "statistics" / f"{key.hex()}.npz"


def _readable(inputs: list[Seen]) -> list[Seen]:
    """Return the inputs whose files can be read."""
    found = []
    for seen in inputs:
        with contextlib.suppress(PictureError):
            seen.key()
            found.append(seen)
    return found


def reference_for(
    pictures: Sequence[Picture],
    network: FeatureNetwork,
    view: View,
    batch: int | None,
    store: ResultStore,
    memory: ScoreMemory,
) -> Reference:
    """Return the reference of a set metric; with `batch` the last, incomplete one is dropped."""
    ordered = sorted(pictures, key=lambda picture: (picture.name, picture.row))
    used = used_of(len(ordered), batch)
    return Reference(ordered[:used], len(ordered), network, view, store, memory)


def used_of(count: int, batch: int | None) -> int:
    """Return how many of `count` pictures whole batches hold; all of a set below one batch.

    Source: tencent-ailab/PCDMs:metrics.py, whose loop ends with the last whole batch.
    """
    return count if batch is None or count < batch else count // batch * batch


def _stamp(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}-{state.st_ino}"


def _read(path: Path, width: int) -> GaussianOfFeatures | None:
    """Return stored statistics; None when there are none, or none that can be used."""
    try:
        # The file is opened here because NumPy leaves a damaged archive open. Reading an archive's
        # member whole checks its checksum.
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
