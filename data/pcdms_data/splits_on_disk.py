"""Which splits a dataset on disk may have, and the reading of those that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pcdms_data.layouts.table import Layout
from pcdms_data.types import AbsentSplitError

TRAIN_TEST = ("train", "test")

Follow = Callable[[str], Callable[[int, int], None]]
"""From the title of a part of the work to the function that is told (done, total)."""

_Split = TypeVar("_Split")


def splits_on_disk(root: Path, layout: Layout) -> tuple[str, ...]:
    """Return the splits that a prepared or plain dataset names; train and test of other layouts.

    Of those two one may be absent: only reading it tells. Raises InputError on a malformed list of
    a prepared or plain dataset.
    """
    if layout.name == "prepared":
        from pcdms_data.preparing.manifest import read_manifest

        return tuple(read_manifest(root)["splits"])
    if layout.name == "folder":
        from pcdms_data.layouts.folder import splits_of

        return splits_of(root)
    return TRAIN_TEST


def read_splits(
    read: Callable[[str], _Split], splits: Sequence[str], may_lack: bool
) -> tuple[list[_Split], tuple[str, ...]]:
    """Return what `read` gives for each split, and with `may_lack` a line for each that is absent.

    Raises AbsentSplitError where none is there, or without `may_lack` one is not; what else `read`
    raises passes.
    """
    found: list[_Split] = []
    absent: list[tuple[str, AbsentSplitError]] = []
    for split in splits:
        try:
            found.append(read(split))
        except AbsentSplitError as error:
            if not may_lack:
                raise
            absent.append((split, error))
    if not found and absent:
        raise absent[0][1]
    return found, tuple(f"split {split} is left out: {error}" for split, error in absent)
