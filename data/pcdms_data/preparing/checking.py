"""The check of every picture before anything is written: there, whole, and of the right size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pcdms_data.layouts.downloads import HIGHRES, LOWRES
from pcdms_data.layouts.split import HIGHRES_RESIZE, LOWRES_CROP
from pcdms_data.pair_set import PairSet
from pcdms_data.picture_check import look_at
from pcdms_data.picture_store import where
from pcdms_data.preparing.problems import Problem

_SIZES: dict[tuple[str, str], tuple[int, int]] = {
    ("inshop", LOWRES_CROP): LOWRES,
    ("inshop", HIGHRES_RESIZE): HIGHRES,
    ("market", ""): (128, 64),
}
"""Size (H, W) that all pictures of a layout and convention have."""


def expected_size(pairs: PairSet) -> tuple[int, int] | None:
    """Return the size (H, W) that every picture of a split must have, None where it may differ."""
    return _SIZES.get((pairs.layout, pairs.convention))


def check_pictures(
    sets: Sequence[PairSet],
    root: Path | None,
    any_size: bool,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Return what is wrong with the pictures and label maps of some splits, in their order.

    Read are the bytes, the announced size, and the marks and checksums that show a whole file; the
    pixels are decoded later. `any_size` accepts sizes other than the layout's own; `root` is the
    folder that no picture may lie outside of.
    """
    parts = [(pairs, pairs.gallery.pictures, False) for pairs in sets]
    masks = ((pairs, [mask for mask in pairs.mask_handles if mask]) for pairs in sets)
    parts += [(pairs, tuple(handles), True) for pairs, handles in masks if handles]
    total = sum(len(pictures) for _, pictures, _ in parts)
    problems: list[Problem] = []
    before = 0

    def follow(done: int, _: int) -> None:
        if progress:
            progress(before + done, total)

    for pairs, pictures, labels in parts:
        states = look_at(pictures, "bytes", workers, follow, root, labels)
        size = None if any_size or labels else expected_size(pairs)
        for picture, state in zip(pictures, states, strict=True):
            if state.fault:
                problems.append(Problem(state.fault, state.reason))
            elif size is not None and state.size not in (None, size):
                height, width = state.size or (0, 0)
                text = f"picture {where(picture)} is {height}x{width}, expected {size[0]}x{size[1]}"
                problems.append(Problem("picture of a wrong size", text))
        before += len(pictures)
    return problems
