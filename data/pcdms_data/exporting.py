"""Export: any dataset, the embedded people included, written in a layout of the field."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.layouts.split import FRAMES
from pcdms_data.layouts.table import LAYOUTS, Layout, find_layout
from pcdms_data.pair_set import PairSet
from pcdms_data.pairs import DATASETS, find_root, load_pairs
from pcdms_data.people.presets import SPLITS, check_choice
from pcdms_data.splits_on_disk import TRAIN_TEST, Follow, read_splits, splits_on_disk
from pcdms_data.types import InputError

LOOKS: dict[str, str] = {"people": "deepfashion", "people-street": "market1501"}
"""The real dataset whose layouts fit the look of the embedded people."""


@dataclass(frozen=True)
class Exported:
    """What was written: `pairs` by split, `dataset` that reads it back, splits left out, notes."""

    out: Path
    layout: str
    dataset: str
    pictures: int
    pairs: dict[str, int]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def export(
    dataset: str,
    layout: str,
    out: Path,
    root: Path | None = None,
    splits: Sequence[str] | None = None,
    size: str = "mini",
    resolution: tuple[int, int] | None = None,
    layout_in: str | None = None,
    seed: int = 0,
    follow: Follow | None = None,
) -> Exported:
    """Write `splits` (None: all that are there and have a place) of a dataset to the new `out`.

    `resolution` = (H, W) of the pictures; None takes the dataset's own, for the embedded people in
    a layout of DeepFashion or Market-1501 the published frame. `out` appears when it is whole and
    has been read back. `follow` shows the progress of each part. Raises InputError where `out` is
    not empty, the layout is not written or does not hold such pictures, and where the dataset
    cannot be read; PictureError on a picture that cannot.
    """
    chosen = _writable(dataset, layout)
    wanted, left_out = _splits(dataset, chosen, root, layout_in, splits)
    frame = resolution
    if dataset in LOOKS and frame is None and chosen.name != "folder":
        frame = FRAMES[LOOKS[dataset]]
    module = chosen.load()
    if resolution is not None and dataset not in LOOKS and getattr(module, "KEEPS_SIZE", False):
        raise InputError(
            f"layout {layout!r} keeps the size of every picture, so that resolution "
            f"{resolution[0]}x{resolution[1]} has no place; expected none"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty, expected a new or empty folder")

    def load(split: str) -> PairSet:
        progress = follow(f"reading {split}") if follow else None
        return load_pairs(dataset, root, split, frame, size, None, seed, progress, layout_in)

    sets, absent = read_splits(load, wanted, may_lack=splits is None)
    back = "folder" if chosen.name == "folder" else LOOKS.get(dataset, dataset)
    temporary = out.absolute().parent / f".{uuid.uuid4().hex}.tmp"
    temporary.mkdir(parents=True)
    try:
        progress = follow(f"writing {layout}") if follow else None
        pictures = module.write(sets, temporary, progress)
        notes = absent + _read_back(sets, temporary, back, layout)
        temporary.rename(out.absolute())
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    pairs = {one.split: len(one) for one in sets}
    return Exported(out, layout, back, pictures, pairs, left_out, notes)


def _writable(dataset: str, layout: str) -> Layout:
    """Return the layout; raises InputError where it cannot take the dataset."""
    check_choice("dataset", dataset, tuple(DATASETS))
    check_choice("layout", layout, tuple(LAYOUTS))
    held = LOOKS.get(dataset, dataset)
    fitting = [
        one.name
        for one in LAYOUTS.values()
        if one.writable and (one.name == "folder" or held in one.datasets)
    ]
    if layout not in fitting:
        reason = "is read only" if not LAYOUTS[layout].writable else f"does not hold {dataset}"
        raise InputError(
            f"layout {layout!r} {reason}: {dataset} can be written as {', '.join(fitting)}"
        )
    return LAYOUTS[layout]


def _splits(
    dataset: str,
    layout: Layout,
    root: Path | None,
    layout_in: str | None,
    wanted: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the splits to write, and those that the layout has no place for."""
    have: tuple[str, ...] = SPLITS
    if dataset not in LOOKS:
        folder = find_root(dataset, root)
        have = splits_on_disk(folder, find_layout(dataset, folder, layout_in))
    for split in wanted or ():
        check_choice("split", split, have)
    places = have if layout.name == "folder" else TRAIN_TEST
    homeless = [split for split in wanted or () if split not in places]
    if homeless:
        raise InputError(
            f"layout {layout.name!r} has no place for split {homeless[0]!r}, expected "
            f"{' or '.join(places)} (the layout folder takes every split)"
        )
    if wanted:
        return tuple(wanted), ()
    written = tuple(split for split in have if split in places)
    return written, tuple(split for split in have if split not in places)


def _read_back(sets: Sequence[PairSet], folder: Path, dataset: str, layout: str) -> tuple[str, ...]:
    """Read what was written; return what it says otherwise than the splits it was made of."""
    notes = []
    for pairs in sets:
        again = load_pairs(dataset, folder, pairs.split, layout=layout)
        if len(again) != len(pairs):
            raise InputError(
                f"layout {layout!r} keeps {len(again)} of the {len(pairs)} pairs of split "
                f"{pairs.split!r}, expected all: nothing was written"
            )
        if pairs.convention and again.convention and again.convention != pairs.convention:
            notes.append(
                f"split {pairs.split}: the pictures were made by {pairs.convention}, a reader of "
                f"layout {layout} takes them for {again.convention}"
            )
    return tuple(notes)
