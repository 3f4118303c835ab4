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

from pcdms_data.layouts.split import SplitRecord
from pcdms_data.pair_set import PairRows
from pcdms_data.tables import read_table, safe_name
from pcdms_data.types import KEYPOINT_NAMES, InputError, K, Keypoints, Picture

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


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    return "keypoints.csv" if (root / "keypoints.csv").is_file() else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return one split of a folder in the plain layout, pairs in the order of its list.

    Raises InputError on a missing or malformed table, an unknown split, or frames that differ.
    """
    del dataset
    path = root / "keypoints.csv"
    table = _read_rows(root, path)
    splits = sorted({row.split for row in table})
    if split not in splits:
        raise InputError(
            f"{path} has no pictures of split {split!r}, expected one of {', '.join(splits)}"
        )
    rows = [row for row in table if row.split == split]
    pairs, slices = _read_pairs(root / "pairs.csv", rows, {row.picture.name for row in table})
    return SplitRecord(
        pictures=[row.picture for row in rows],
        keypoints=[row.pose for row in rows],
        rows=pairs,
        where=path,
        frame=rows[0].pose.size if len({row.pose.size for row in rows}) == 1 else None,
        groups=[row.group for row in rows],
        masks=[row.mask for row in rows],
        slices=slices,
    )


def read_keypoints(path: Path) -> dict[str, Keypoints]:
    """Return the key points of every picture of a `keypoints.csv`, all splits, in file order.

    Raises InputError on a malformed table and on a picture that is named twice.
    """
    poses: dict[str, Keypoints] = {}
    for row in _read_rows(path.parent, path):
        if row.picture.name in poses:
            raise InputError(f"{path} names the picture {row.picture.name} twice")
        poses[row.picture.name] = row.pose
    return poses


def keypoint_cells(pose: Keypoints) -> list[str]:
    """Return the cells of `KEYPOINT_COLUMNS`, both empty where a joint is missing.

    Each is the shortest text that reads back to the same float32.
    """
    cells: list[str] = []
    for (x, y), seen in zip(pose.xy, pose.visible, strict=True):
        cells += [str(x), str(y)] if seen else ["", ""]
    return cells


def _read_rows(root: Path, path: Path) -> list[_Row]:
    return [
        _read_row(root, path, line, cells)
        for line, cells in enumerate(read_table(path, _REQUIRED, _EXPECTED), start=2)
    ]


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


def _read_pairs(
    path: Path, split: list[_Row], known: set[str]
) -> tuple[PairRows | None, dict[str, list[str]]]:
    """Return the listed pairs of one split and their slices; None where there is no list."""
    if not path.exists():
        return None, {}
    position = {row.picture.name: number for number, row in enumerate(split)}
    rows: list[tuple[int, int]] = []
    slices: dict[str, list[str]] = {}
    expected = "a table of pairs with the columns source and target"
    for line, cells in enumerate(read_table(path, ("source", "target"), expected), start=2):
        source, target = cells.pop("source"), cells.pop("target")
        for name in (source, target):
            if name not in known:
                raise InputError(f"{path} line {line}: {name!r} is not listed in keypoints.csv")
        if (source in position) != (target in position):
            raise InputError(f"{path} line {line}: source and target are of different splits")
        if source in position:
            rows.append((position[source], position[target]))
            for name, label in cells.items():
                slices.setdefault(name, []).append(label)
    return np.array(rows, dtype=np.int32).reshape(-1, 2), slices
