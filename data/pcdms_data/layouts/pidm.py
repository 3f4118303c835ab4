"""PIDM and X-MDPT: the files of NTED, with pictures squashed to a square (256-256, 512-512).

Only the picture is squashed; the pose text keeps its padded 256x256 frame, and the loaders scale
both. Source: ankanbhunia/PIDM data/prepare_data.py, data/fashion_data.py; trungpx/xmdpt README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pcdms_data.layouts.nted import read_form, recognise_form, write_form
from pcdms_data.layouts.split import SplitRecord
from pcdms_data.pair_set import PairSet


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    return recognise_form(root, _is_square, or_files=False)


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split as `nted.read` does, from the square pictures."""
    del dataset
    return read_form(root, split, _is_square)


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write splits with pictures squashed to the height of their resolution in both directions.

    What comes back equal is the squashed picture, not the one before it. Otherwise as `nted.write`.
    """
    height = sets[0].resolution[0]
    return write_form(sets, out, (height, height), progress)


def _is_square(size: tuple[int, int]) -> bool:
    return size[0] == size[1]
