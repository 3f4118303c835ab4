"""The loop that leaves one picture per pair on disk and collects the pairs that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import save_picture
from pcdms_data.types import InputError, Pair


def picture_path(out: Path, stage: str, pair_id: str, sample: int) -> Path:
    """Return `out/<stage>/<pair_id>.png`, or `<pair_id>.<sample>.png` for sample 1 and later.

    Raises InputError on a pair id that would leave the folder.
    """
    if not pair_id or pair_id.startswith(".") or any(mark in pair_id for mark in "/\\\0"):
        raise InputError(f"pair id {pair_id!r} cannot name a file, expected A-Z a-z 0-9 _ . -")
    return out / stage / (f"{pair_id}.{sample}.png" if sample else f"{pair_id}.png")


def write_pictures(
    pairs: Iterable[Pair],
    out: Path,
    samples: int,
    make: Callable[[Pair], NDArray[np.uint8]],
    stage: str = "final",
) -> dict[str, str]:
    """Write `make(pair)`, uint8 (H, W, 3), for every pair and return {pair_id: reason} of failures.

    Pictures already there are not made again. All samples of a pair are equal: the methods that use
    this loop draw nothing at random. An InputError, such as a picture that cannot be decoded, fails
    its own pair only.
    """
    failures: dict[str, str] = {}
    for pair in pairs:
        try:
            paths = [picture_path(out, stage, pair.pair_id, k) for k in range(samples)]
            wanted = [path for path in paths if not path.exists()]
            if not wanted:
                continue
            pixels = make(pair)
            for path in wanted:
                save_picture(path, pixels)
        except InputError as error:
            failures[pair.pair_id] = str(error)
    return failures
