"""The source or the target as the result: floor for pose, and ceiling of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import Pair


@dataclass(frozen=True)
class CopySource:
    """The source picture at `resolution` = (H, W): right appearance, pose of the source.

    On a pair list that is closed under reversal its pictures are the targets in another order, so
    its FID equals that of `target-copy` up to rounding and says nothing about the pose.
    """

    resolution: tuple[int, int]
    kernel: str = "pil-bicubic-u8"
    name: str = "copy-source"
    stages: tuple[str, ...] = ("final",)

    def unavailable(self) -> str | None:
        """Return None: always available."""
        return None

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the source of every pair; returns {pair_id: reason} of failures."""

        def source(pair: Pair) -> NDArray[np.uint8]:
            return load_picture(pair.source, self.resolution, self.kernel)

        return write_pictures(pairs, out, samples, source)


@dataclass(frozen=True)
class TargetCopy:
    """The target picture at `resolution` = (H, W): the best value every metric can reach."""

    resolution: tuple[int, int]
    kernel: str = "pil-bicubic-u8"
    name: str = "target-copy"
    stages: tuple[str, ...] = ("final",)

    def unavailable(self) -> str | None:
        """Return None: always available."""
        return None

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the target of every pair; returns {pair_id: reason} of failures."""

        def target(pair: Pair) -> NDArray[np.uint8]:
            return load_picture(pair.target, self.resolution, self.kernel)

        return write_pictures(pairs, out, samples, target)
