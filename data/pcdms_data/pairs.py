"""The pairs of a dataset by name: `load_pairs` is the way in for everybody."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pcdms_data.pair_set import PairSet, SliceColumn, ordered_pairs, shuffled
from pcdms_data.people.presets import check_choice, plan_split
from pcdms_data.types import Gallery, InputError

__all__ = ["DATASETS", "PairSet", "load_pairs"]

DATASETS: dict[str, str] = {
    "people": "embedded procedural people, fashion look; rendered on first use",
    "people-street": "embedded procedural people, street look; rendered on first use",
    "deepfashion": "DeepFashion In-shop, PATN lists (needs a root folder)",
    "market1501": "Market-1501, PATN lists (needs a root folder)",
    "folder": "your own pictures: pictures/, keypoints.csv, pairs.csv (needs a root folder)",
}
"""Dataset names of the command line and what they are."""

Progress = Callable[[int, int], None]

_HOW_TO_GET = {
    "deepfashion": "DeepFashion In-shop comes from its maintainers after a signed agreement",
    "market1501": "Market-1501 comes from its authors, for research use",
    "folder": "data/README.md describes the files",
}


def load_pairs(
    dataset: str,
    root: str | Path | None = None,
    split: str = "test",
    resolution: tuple[int, int] | None = None,
    size: str = "mini",
    limit: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    layout: str | None = None,
) -> PairSet:
    """Return the pairs of one split of `dataset`, one of `DATASETS`.

    `resolution` = (H, W), None for the dataset's own. `limit` takes the first pairs.
    For `people` and `people-street`, `size` is smoke, mini or full, `seed` decides the people and
    the order of the pairs, and `progress(done, total)` follows the rendering where the pictures
    are not in the cache yet; a `root` given for them is a dataset prepared from them, which is
    read in their place. For the others `root` (or the environment variable PCDMS_DATA_ROOT)
    names the folder and `layout` its layout (`layouts.table.LAYOUTS`; None finds it); the order is
    that of the pair list, and `size` and `seed` have no effect.
    Raises InputError on an unknown name and on missing or malformed lists. Pictures are not opened
    here: one that cannot be decoded raises PictureError when it is loaded.
    """
    check_choice("dataset", dataset, tuple(DATASETS))
    if dataset in ("people", "people-street") and root is None:
        return _people(dataset, split, resolution, size, limit, seed, progress)
    folder = find_root(dataset, root)
    from pcdms_data.layouts.split import build
    from pcdms_data.layouts.table import find_layout

    found = find_layout(dataset, folder, layout)
    record = found.load().read(folder, dataset, split)
    return build(record, dataset, split, found.name, resolution, limit)


def find_root(dataset: str, root: str | Path | None) -> Path:
    """Return the folder of a dataset on disk; raises InputError naming what to give."""
    given = root if root is not None else os.environ.get("PCDMS_DATA_ROOT")
    how = _HOW_TO_GET.get(dataset, "data prepare makes it")
    if not given:
        raise InputError(
            f"dataset {dataset} needs its folder: give --root DIR or set PCDMS_DATA_ROOT ({how})"
        )
    folder = Path(given)
    if root is None and (folder / dataset).is_dir():
        folder = folder / dataset
    if not folder.is_dir():
        raise InputError(f"dataset {dataset}: {folder} is no folder, expected its root ({how})")
    return folder


def _people(
    dataset: str,
    split: str,
    resolution: tuple[int, int] | None,
    size: str,
    limit: int | None,
    seed: int,
    progress: Progress | None,
) -> PairSet:
    from pcdms_data.people.cache import RenderedSplit, rendered_split

    plan = plan_split(dataset, size, split, resolution, seed)
    rendered: RenderedSplit = rendered_split(plan, progress=progress)
    count = len(rendered)
    gallery = Gallery(
        tuple(rendered.picture(row) for row in range(count)),
        tuple(rendered.pose(row) for row in range(count)),
        rendered.groups,
    )
    pairs = ordered_pairs(rendered.groups, rendered.visible)
    order = shuffled(pairs, rendered.names, seed)
    slices = {
        "view_change": SliceColumn.of(
            view_change(rendered.yaw[source], rendered.yaw[target]) for source, target in order
        ),
        "back_print": SliceColumn.of(
            _yes(rendered.back_print[target] and not rendered.back_print[source])
            for source, target in order
        ),
        "framing": SliceColumn.of(rendered.framing[target] for _, target in order),
    }
    masks = tuple(rendered.parts(row) for row in range(count))
    found = PairSet(dataset, split, plan.resolution, gallery, order, slices, masks)
    return found.limited(limit)


def view_change(source_yaw: float, target_yaw: float) -> str:
    """Return `under45`, `45to135` or `over135`: degrees between two yaws given in radians."""
    turn = abs(math.remainder(target_yaw - source_yaw, 2 * math.pi))
    if turn < math.radians(45):
        return "under45"
    return "45to135" if turn <= math.radians(135) else "over135"


def _yes(value: bool | np.bool_) -> str:
    return "yes" if value else "no"
