"""Reader of the PATN lists of DeepFashion and Market-1501: a pair CSV, an annotation CSV, pictures.

An annotation row is `name: [18 y] : [18 x]` in pixels of the annotation frame, -1 in both for a
missing joint. Source: specification of the datasets, sections 1 to 6.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdms_data.layouts.split import FRAMES, SplitRecord
from pcdms_data.pair_set import PairRows
from pcdms_data.people.presets import check_choice
from pcdms_data.tables import read_lines, safe_name
from pcdms_data.types import InputError, K, Keypoints, Picture, flat_stem

SPLITS = ("train", "test")


@dataclass(frozen=True)
class PatnLayout:
    """Where the files of a dataset lie, `{split}` open, and the frame (H, W) of its key points."""

    pairs: tuple[str, ...]
    annotation: tuple[str, ...]
    pictures: tuple[str, ...]
    frame: tuple[int, int]


LAYOUTS: dict[str, PatnLayout] = {
    "deepfashion": PatnLayout(
        pairs=(
            "fasion-resize-pairs-{split}.csv",
            "fashion-resize-pairs-{split}.csv",
            "fasion-pairs-{split}.csv",
            "fashion-pairs-{split}.csv",
        ),
        annotation=(
            "fasion-resize-annotation-{split}.csv",
            "fashion-resize-annotation-{split}.csv",
            "fasion-annotation-{split}.csv",
            "fashion-annotation-{split}.csv",
        ),
        pictures=("{split}", "{split}_highres"),
        frame=(256, 176),
    ),
    "market1501": PatnLayout(
        pairs=("market-pairs-{split}.csv",),
        annotation=("market-annotation-{split}.csv",),
        pictures=("{split}", "bounding_box_{split}"),
        frame=(128, 64),
    ),
}


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    for names in LAYOUTS[dataset].annotation:
        for split in SPLITS:
            if (root / names.format(split=split)).is_file():
                return names.format(split=split)
    return None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the listed pairs of a split in file order.

    Raises InputError on an unknown split, a missing file or folder, and malformed rows.
    """
    check_choice("split", split, SPLITS)
    layout = LAYOUTS[dataset]
    annotation = _find(root, layout.annotation, split, dataset)
    pairs = _find(root, layout.pairs, split, dataset)
    folder = _find(root, layout.pictures, split, dataset)
    poses = read_annotation(annotation, layout.frame)
    names = list(poses)
    as_png = not (folder / names[0]).exists() and (folder / _png(names[0])).exists()
    position = {name: number for number, name in enumerate(names)}
    return SplitRecord(
        pictures=[Picture(name, folder / (_png(name) if as_png else name)) for name in names],
        keypoints=list(poses.values()),
        rows=_read_pairs(pairs, position, annotation),
        where=pairs,
        frame=FRAMES[dataset],
    )


def read_annotation(path: Path, frame: tuple[int, int]) -> dict[str, Keypoints]:
    """Return the key points of every picture of an annotation file, in file order.

    Blanks around colons, trailing commas and empty rows are accepted, as real copies have them.
    Raises InputError with the line on anything else, and on a name that occurs twice.
    """
    expected = "rows of name:[18 y]:[18 x]"
    poses: dict[str, Keypoints] = {}
    for line, text in enumerate(read_lines(path, expected), start=1):
        row = text.strip().rstrip(",").strip()
        if not row or (line == 1 and row.startswith("name")):
            continue
        cells = [cell.strip() for cell in row.split(":")]
        if len(cells) != 3:
            raise InputError(f"{path} line {line} has {len(cells)} parts, expected {expected}")
        name = safe_name(cells[0], path, line)
        if name in poses:
            raise InputError(f"{path} line {line} names {name} a second time")
        ys, xs = (_integers(cell, path, line) for cell in cells[1:])
        visible = ~((xs == -1) & (ys == -1))
        xy = np.where(visible[:, None], np.stack([xs, ys], axis=1), 0).astype(np.float32)
        poses[name] = Keypoints(xy, visible, frame)
    if not poses:
        raise InputError(f"{path} holds no row, expected {expected}")
    return poses


def _integers(cell: str, path: Path, line: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    try:
        values = np.array(json.loads(cell), dtype=np.float64)
    except (ValueError, TypeError):
        values = np.zeros(0)
    if values.shape != (K,) or not np.isfinite(values).all():
        raise InputError(f"{path} line {line}: {cell[:40]!r}, expected a list of {K} numbers")
    return values


def _read_pairs(path: Path, position: dict[str, int], annotation: Path) -> PairRows:
    expected = "rows of from,to"
    rows: list[tuple[int, int]] = []
    for line, text in enumerate(read_lines(path, expected), start=1):
        row = text.strip().rstrip(",").strip()
        if not row or (line == 1 and row.replace(" ", "") == "from,to"):
            continue
        names = [name.strip() for name in row.split(",")]
        if len(names) != 2:
            raise InputError(f"{path} line {line} has {len(names)} cells, expected {expected}")
        for name in names:
            if name not in position:
                raise InputError(f"{path} line {line}: {name!r} is not listed in {annotation}")
        rows.append((position[names[0]], position[names[1]]))
    return np.array(rows, dtype=np.int32).reshape(-1, 2)


def _find(root: Path, names: tuple[str, ...], split: str, dataset: str) -> Path:
    """Return the first of the names a file or folder has in copies of the dataset."""
    candidates = [root / name.format(split=split) for name in names]
    for path in candidates:
        if path.exists():
            return path
    others = ", ".join(path.name for path in candidates[1:])
    raise InputError(
        f"dataset {dataset}: {candidates[0]} is missing" + (f" (or {others})" if others else "")
    )


def _png(name: str) -> str:
    """Return the name of a lossless copy, as several code bases keep beside the JPEG names."""
    return flat_stem(name) + ".png"
