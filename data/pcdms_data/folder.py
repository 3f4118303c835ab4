"""The plain layout for anybody's pictures: `pictures/`, `keypoints.csv`, `pairs.csv`.

`keypoints.csv`, one row a picture: `name` (file in `pictures/`), `height`, `width` (the frame of
the coordinates, normally the picture's size), then `<joint>_x`, `<joint>_y` in pixels for the 18
joints of `KEYPOINT_NAMES`; both cells empty where a joint is missing. Optional columns: `group`
(person and clothes), `split`, `mask` (PNG in `masks/`, person = label above 0). Without `split` all
pictures belong to the split test.
`pairs.csv`, one row a pair: `source`, `target` (picture names of the same split); every further
column is a slice, its cells the labels. Without this file all ordered pairs of each group whose
pictures both show shoulders and hips are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdms_data.pair_set import PairRow, PairSet, limited, ordered_pairs
from pcdms_data.tables import read_table, safe_name
from pcdms_data.types import KEYPOINT_NAMES, Gallery, InputError, K, Keypoints, Picture

KEYPOINT_COLUMNS = tuple(f"{name}_{axis}" for name in KEYPOINT_NAMES for axis in "xy")
_REQUIRED = ("name", "height", "width", *KEYPOINT_COLUMNS)
_EXPECTED = "a table of key points (folder layout)"


@dataclass(frozen=True, eq=False)
class _Row:
    picture: Picture
    pose: Keypoints
    group: str
    split: str
    mask: Picture | None


def read_folder(
    root: Path, split: str, resolution: tuple[int, int] | None = None, limit: int | None = None
) -> PairSet:
    """Return the pairs of one split of a folder in the plain layout, in the order of its list.

    `resolution` None takes the common frame of the pictures. Raises InputError on a missing or
    malformed table, an unknown split, or frames that differ while no resolution is given.
    """
    path = root / "keypoints.csv"
    table = [
        _read_row(root, path, line, cells)
        for line, cells in enumerate(read_table(path, _REQUIRED, _EXPECTED), start=2)
    ]
    splits = sorted({row.split for row in table})
    if split not in splits:
        raise InputError(
            f"{path} has no pictures of split {split!r}, expected one of {', '.join(splits)}"
        )
    rows = [row for row in table if row.split == split]
    gallery = Gallery(
        tuple(row.picture for row in rows),
        tuple(row.pose for row in rows),
        tuple(row.group for row in rows),
    )
    sizes = {row.pose.size for row in rows}
    if resolution is None:
        if len(sizes) > 1:
            raise InputError(
                f"{path} has pictures of {len(sizes)} sizes in split {split!r}: "
                "give a resolution, such as 256x176"
            )
        resolution = rows[0].pose.size
    pairs = _read_pairs(root / "pairs.csv", gallery, {row.picture.name for row in table})
    masks = tuple(row.mask for row in rows)
    return PairSet("folder", split, resolution, gallery, limited(pairs, limit), masks)


def _read_row(root: Path, path: Path, line: int, cells: dict[str, str]) -> _Row:
    name = safe_name(cells["name"], path, line)
    try:
        size = (int(cells["height"]), int(cells["width"]))
    except ValueError:
        size = (0, 0)
    if min(size) < 1:
        raise InputError(f"{path} line {line}: height and width must be whole numbers above 0")
    xy = np.zeros((K, 2), dtype=np.float32)
    visible = np.zeros(K, dtype=np.bool_)
    for joint, label in enumerate(KEYPOINT_NAMES):
        x, y = cells[f"{label}_x"], cells[f"{label}_y"]
        if not x and not y:
            continue
        try:
            xy[joint] = float(x), float(y)
        except ValueError:
            xy[joint] = np.nan
        if not np.isfinite(xy[joint]).all():
            raise InputError(
                f"{path} line {line}: {label} is ({x!r}, {y!r}), expected two numbers or two "
                "empty cells"
            )
        visible[joint] = True
    mask = cells.get("mask", "")
    return _Row(
        picture=Picture(name, root / "pictures" / name),
        pose=Keypoints(xy, visible, size),
        group=cells.get("group", ""),
        split=cells.get("split") or "test",
        mask=Picture(name, root / "masks" / safe_name(mask, path, line)) if mask else None,
    )


def _read_pairs(path: Path, gallery: Gallery, known: set[str]) -> list[PairRow]:
    """Read the list of one split, or make it by the pair rule where there is no list."""
    position = {picture.name: number for number, picture in enumerate(gallery.pictures)}
    if len(position) != len(gallery.pictures):
        raise InputError(f"{path.with_name('keypoints.csv')} names a picture twice")
    if not path.exists():
        visible = np.stack([pose.visible for pose in gallery.keypoints])
        return [PairRow(i, j, {}) for i, j in ordered_pairs(gallery.groups, visible)]
    rows = []
    expected = "a table of pairs with the columns source and target"
    for line, cells in enumerate(read_table(path, ("source", "target"), expected), start=2):
        source, target = cells.pop("source"), cells.pop("target")
        for name in (source, target):
            if name not in known:
                raise InputError(f"{path} line {line}: {name!r} is not listed in keypoints.csv")
        if (source in position) != (target in position):
            raise InputError(f"{path} line {line}: source and target are of different splits")
        if source in position:
            rows.append(PairRow(position[source], position[target], cells))
    return rows
