"""The inputs of metrics: every picture decoded at most once at a time, equal inputs known as equal.

An input is a picture seen through a view. It is known by the digest of its pixels, which is itself
remembered by the bytes of the file and the view, so that nothing is decoded to look a result up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.garments import garment_region
from pcdms_bench.picture_content import PersonMask, Source, array_digest, pose_digest
from pcdms_bench.picture_views import View, apply_view
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_data.types import Keypoints


@dataclass(eq=False)
class Seen:
    """A picture through a view; `mask` and its recipe where the view takes one."""

    source: Source
    view: View
    mask: PersonMask | None = None
    recipe: Protocol | None = None
    known: bytes | None = None
    """Digest of the input's pixels, once somebody asked for it."""
    _key: bytes | None = None

    def key(self) -> bytes:
        """Return the key under which the digest of this input is kept. Raises PictureError."""
        if self._key is None:
            mask = b""
            if self.view.outside is not None and self.mask is not None and self.recipe is not None:
                mask = self.mask.digest(self.recipe)
            elif self.view.cut and (pose := self._pose()) is not None:
                mask = pose_digest(pose)
            self._key = content_key(
                "input", library_versions(), self.source.digest(), repr(self.view), mask
            )
        return self._key

    def array(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the input made of the decoded picture."""
        mask = None
        if self.view.outside is not None and self.mask is not None and self.recipe is not None:
            mask = self.mask.mask(self.recipe)
        elif self.view.cut and (pose := self._pose()) is not None:
            mask = garment_region(pose)
        return apply_view(self.view, pixels, mask)

    def _pose(self) -> Keypoints | None:
        """Return the pose in the recipe's metric frame."""
        if self.mask is None or self.mask.pose is None or self.recipe is None:
            return None
        return self.mask.pose.resized(self.recipe.frame)


class InputBank:
    """The inputs of a few pairs: decoded pictures and views are kept until it is dropped."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._decoded: dict[bytes, NDArray[np.uint8]] = {}
        self._arrays: dict[bytes, NDArray[Any]] = {}

    def look_up(self, inputs: Iterable[Seen]) -> None:
        """Ask the store for the digests of readable `inputs` at once; others are made later."""
        asked = [seen for seen in inputs if seen.known is None]
        found = self._store.get_many([seen.key() for seen in asked])
        for seen in asked:
            seen.known = found.get(seen.key())

    def digest(self, seen: Seen) -> bytes:
        """Return the digest of an input's pixels. Raises PictureError."""
        if seen.known is None:
            seen.known = array_digest(self.array(seen))
            self._store.put(seen.key(), seen.known)
        return seen.known

    def array(self, seen: Seen) -> NDArray[Any]:
        """Return an input's pixels, uint8 or float32 (H, W, 3) on 0 to 255. Raises PictureError."""
        key = seen.key()
        if key not in self._arrays:
            own = seen.source.digest()
            if own not in self._decoded:
                self._decoded[own] = seen.source.pixels()
            self._arrays[key] = seen.array(self._decoded[own])
        return self._arrays[key]
