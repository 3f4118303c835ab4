"""Reader of the PATN lists of DeepFashion and Market-1501: a pair CSV, an annotation CSV, pictures.

An annotation row is `name: [18 y] : [18 x]` in pixels of the annotation frame, -1 in both for a
missing joint. Source: specification of the datasets, sections 1 to 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcdms_data.layouts.annotation import read_annotation
from pcdms_data.layouts.pair_list import read_pair_list
from pcdms_data.layouts.split import FRAMES, SplitRecord
from pcdms_data.people.presets import check_choice
from pcdms_data.types import InputError, Picture, flat_stem

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
        rows=read_pair_list(pairs, position, annotation),
        where=pairs,
        frame=FRAMES[dataset],
    )


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
