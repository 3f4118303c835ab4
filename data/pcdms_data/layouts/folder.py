"""The plain layout for anybody's pictures: `pictures/`, `keypoints.csv`, `pairs.csv`.

`keypoints.csv`, one row a picture: `name` (file in `pictures/`), `height`, `width` (the frame of
the coordinates, normally the picture's size), then `<joint>_x`, `<joint>_y` in pixels for the 18
joints of `KEYPOINT_NAMES`; both cells empty where a joint is missing. Optional columns: `group`
(person and clothes), `split`, `mask` (PNG in `masks/`, person = label above 0). Without `split` all
pictures belong to the split test.
`pairs.csv`, one row a pair: `source`, `target` (picture names of the same split); every further
column is a slice, its cells the labels. Without this file all ordered pairs of each group whose
pictures both show shoulders and hips are taken. A slice that is empty in all rows of a split is
no slice of that split.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdms_data.images import load_labels, png_bytes, write_atomically
from pcdms_data.layouts.picture_files import (
    Progress,
    picture_bytes,
    png_name,
    stored_as,
)
from pcdms_data.layouts.split import SplitRecord
from pcdms_data.pair_set import PairRows, PairSet
from pcdms_data.tables import inside, read_table, safe_name
from pcdms_data.types import (
    KEYPOINT_NAMES,
    LARGEST_PLACE,
    InputError,
    K,
    Keypoints,
    Picture,
    flat_stem,
)

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
    splits = _splits(table)
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


def splits_of(root: Path) -> tuple[str, ...]:
    """Return the splits of the table of key points in order of first appearance.

    Raises InputError as `read` does.
    """
    return _splits(_read_rows(root, root / "keypoints.csv"))


def _splits(table: Iterable[_Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.split for row in table))


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


def write(sets: Sequence[PairSet], out: Path, progress: Progress | None = None) -> int:
    """Write splits with pictures of their resolution; return the number of pictures.

    A stored PNG or JPEG of that size is copied, all others become PNG, `.png` in their names:
    nothing is lost. Pictures and masks that are there stay, so that an interrupted writing goes on;
    the tables come last. Raises InputError where two pictures of the splits have one name.
    """
    total = sum(len(pairs.gallery.pictures) for pairs in sets)
    names: dict[str, list[str]] = {}
    taken: set[str] = set()
    for pairs in sets:
        listed = names.setdefault(pairs.split, [])
        for picture, mask in zip(pairs.gallery.pictures, pairs.mask_handles, strict=True):
            suffix = stored_as(picture, pairs.resolution) or ".png"
            name = png_name(picture.name) if suffix == ".png" else picture.name
            if flat_stem(name) in taken:
                raise InputError(f"two pictures are named {flat_stem(name)}, expected one")
            taken.add(flat_stem(name))
            listed.append(name)
            if not (out / "pictures" / name).exists():
                content = picture_bytes(picture, pairs.resolution, suffix)
                write_atomically(out / "pictures" / name, content)
            labels = out / "masks" / png_name(name)
            if mask is not None and not labels.exists():
                write_atomically(labels, png_bytes(load_labels(mask)))
            if progress and (len(taken) % 20 == 0 or len(taken) == total):
                progress(len(taken), total)
    write_atomically(out / "keypoints.csv", _keypoint_table(sets, names).encode())
    write_atomically(out / "pairs.csv", _pair_table(sets, names).encode())
    return total


def _keypoint_table(sets: Sequence[PairSet], names: dict[str, list[str]]) -> str:
    header = ("name", "split", "group", "height", "width", "mask", *KEYPOINT_COLUMNS)
    rows = []
    for pairs in sets:
        gallery = pairs.gallery
        for name, pose, group, mask in zip(
            names[pairs.split], gallery.keypoints, gallery.groups, pairs.mask_handles, strict=True
        ):
            labels = png_name(name) if mask is not None else ""
            frame = map(str, pose.size)
            rows.append((name, pairs.split, group, *frame, labels, *keypoint_cells(pose)))
    return _csv_text(header, rows)


def _pair_table(sets: Sequence[PairSet], names: dict[str, list[str]]) -> str:
    slices = tuple(dict.fromkeys(name for pairs in sets for name in pairs.slices))
    rows = []
    for pairs in sets:
        listed = names[pairs.split]
        for row, (source, target) in enumerate(pairs.rows.tolist()):
            labels = (
                pairs.slices[name].label(row) if name in pairs.slices else "" for name in slices
            )
            rows.append((listed[source], listed[target], *labels))
    return _csv_text(("source", "target", *slices), rows)


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _read_rows(root: Path, path: Path) -> list[_Row]:
    return [
        _read_row(root, path, line, cells) for line, cells in read_table(path, _REQUIRED, _EXPECTED)
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
            place = float(x), float(y)
        except ValueError:
            place = math.nan, math.nan
        if not all(abs(part) <= LARGEST_PLACE for part in place):
            raise InputError(
                f"{path} line {line}: {label} is ({x!r}, {y!r}), expected two numbers or two "
                "empty cells"
            )
        xy[joint] = place
        visible[joint] = True
    mask = cells.get("mask", "")
    return _Row(
        picture=Picture(name, inside(root, root / "pictures" / name)),
        pose=Keypoints(xy, visible, size),
        group=cells.get("group", ""),
        split=safe_name(cells.get("split") or "test", path, line, "split"),
        mask=Picture(name, inside(root, root / "masks" / safe_name(mask, path, line)))
        if mask
        else None,
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
    table = read_table(path, ("source", "target"), expected)
    if not table:
        raise InputError(f"{path} holds no pair, expected {expected}, or no such file")
    for line, cells in table:
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
    named = {name: labels for name, labels in slices.items() if any(labels)}
    return np.array(rows, dtype=np.int32).reshape(-1, 2), named
