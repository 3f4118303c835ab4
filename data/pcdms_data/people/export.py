"""Writes the embedded people as files in the plain `folder` layout.

The folder gets `pictures/*.png`, `masks/*.png` (body part labels, person above 0), `keypoints.csv`
and `pairs.csv`; `load_pairs("folder", root=...)` reads back the same pictures, poses and pairs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from pcdms_data.images import load_labels, load_picture, save_picture, write_atomically
from pcdms_data.layouts.folder import KEYPOINT_COLUMNS, keypoint_cells
from pcdms_data.pair_set import PairSet
from pcdms_data.pairs import load_pairs
from pcdms_data.people.cache import split_key
from pcdms_data.people.presets import SPLITS, check_choice, plan_split
from pcdms_data.people.rendering import Progress
from pcdms_data.types import InputError, flat_stem

STAMP = "people.json"
_SLICES = ("view_change", "back_print", "framing")


def export_people(
    out: Path,
    dataset: str = "people",
    size: str = "mini",
    splits: Sequence[str] = SPLITS,
    resolution: tuple[int, int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> int:
    """Write the pictures and annotations of `splits` into `out`; return the number of pictures.

    Files that are there are kept, so that an interrupted export goes on where it stopped; each
    file appears whole or not at all, the tables last. `progress(done, total)` counts pictures,
    first those rendered, then those written. Raises InputError where `out` holds something else:
    another export, or files that are none.
    """
    for split in splits:
        check_choice("split", split, SPLITS)
    plans = [plan_split(dataset, size, split, resolution, seed) for split in splits]
    _claim(out, json.dumps([asdict(plan) | {"key": split_key(plan)} for plan in plans], indent=1))
    sets = [
        load_pairs(dataset, None, split, resolution, size, None, seed, progress) for split in splits
    ]
    total = sum(plan.count for plan in plans)
    done = 0
    for pairs in sets:
        for picture, mask in zip(pairs.gallery.pictures, pairs.mask_handles, strict=True):
            path = out / "pictures" / picture.name
            if not path.exists():
                save_picture(path, load_picture(picture))
            path = out / "masks" / f"{flat_stem(picture.name)}.png"
            if mask is not None and not path.exists():
                save_picture(path, load_labels(mask))
            done += 1
            if progress and (done % 20 == 0 or done == total):
                progress(done, total)
    write_atomically(out / "keypoints.csv", _keypoint_table(sets).encode())
    write_atomically(out / "pairs.csv", _pair_table(sets).encode())
    return total


def _claim(out: Path, stamp: str) -> None:
    """Mark `out` as the place of this export, or refuse a folder that holds anything else."""
    path = out / STAMP
    if path.exists():
        if path.read_text(encoding="utf-8") != stamp:
            raise InputError(
                f"{out} holds an export of other people (see {path}), expected an empty folder "
                "or the same export"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty, expected an empty folder or an earlier export")
    write_atomically(path, stamp.encode())


def _keypoint_table(sets: Iterable[PairSet]) -> str:
    header = ("name", "split", "group", "height", "width", "mask", *KEYPOINT_COLUMNS)
    rows = []
    for pairs in sets:
        gallery = pairs.gallery
        for picture, pose, group in zip(
            gallery.pictures, gallery.keypoints, gallery.groups, strict=True
        ):
            mask = f"{flat_stem(picture.name)}.png"
            rows.append(
                (
                    picture.name,
                    pairs.split,
                    group,
                    *map(str, pose.size),
                    mask,
                    *keypoint_cells(pose),
                )
            )
    return _csv_text(header, rows)


def _pair_table(sets: Iterable[PairSet]) -> str:
    rows = [
        (pair.source.name, pair.target.name, *(pair.slices[name] for name in _SLICES))
        for pairs in sets
        for pair in pairs
    ]
    return _csv_text(("source", "target", *_SLICES), rows)


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
