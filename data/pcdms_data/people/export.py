"""Writes the embedded people as files in the plain `folder` layout.

The folder gets `pictures/*.png`, `masks/*.png` (body part labels, person above 0), `keypoints.csv`
and `pairs.csv`; `load_pairs("folder", root=...)` reads back the same pictures, poses and pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pcdms_data.images import write_atomically
from pcdms_data.layouts import folder
from pcdms_data.pairs import load_pairs
from pcdms_data.people.cache import split_key
from pcdms_data.people.presets import SPLITS, check_choice, plan_split
from pcdms_data.people.rendering import Progress
from pcdms_data.types import InputError

STAMP = "people.json"


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
    return folder.write(sets, out, progress)


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
