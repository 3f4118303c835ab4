"""The annotation file, pair list and split list that lie beside an original download.

The downloads carry no 18-point poses. Their key points come in annotation files of the PATN family,
in the frame of the 256x176 crop, or with Def-GAN names in the 256x256 frame.
Source: tengteng95/Pose-Transfer, tool/resize_fashion.py; AliaksandrSiarohin/pose-gan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcdms_data.layouts.annotation import Annotation, read_names
from pcdms_data.layouts.downloads import CROP
from pcdms_data.tables import read_lines
from pcdms_data.types import AbsentSplitError

SPLITS = ("train", "test")

_FOLDERS = (".", "Anno", "Eval", "annotations")
_STEMS = {
    "deepfashion": ("fasion-resize", "fashion-resize", "fasion", "fashion"),
    "market1501": ("market",),
}


@dataclass(frozen=True)
class Lists:
    """The lists of one split; `pairs` and `names` are None where there is no such file."""

    split: str
    annotation: Path
    pairs: Path | None
    names: Path | None


def find_lists(dataset: str, split: str, place: Path) -> Lists | None:
    """Return the lists of a split in `place`, None where there is no annotation file.

    `place` is the annotation file itself or a folder: the folder, its `Anno`, `Eval` and
    `annotations` are searched. A file counts for the split that its name says, for the test split
    where it says none.
    """
    if place.is_file():
        said = next((name for name in SPLITS if name in place.name), "test")
        found = place if said == split else None
        folders = [place.parent]
    else:
        folders = [place / name for name in _FOLDERS]
        found = _first(folders, [f"{stem}-annotation-{split}.csv" for stem in _STEMS[dataset]])
    if found is None:
        return None
    return Lists(
        split,
        found,
        _first(folders, [f"{stem}-pairs-{split}.csv" for stem in _STEMS[dataset]]),
        _first(folders, [f"{split}.lst"]) if dataset == "deepfashion" else None,
    )


def missing_lists(dataset: str, split: str, place: Path) -> str:
    """Return the line that says which annotation file is missing and how to get one."""
    stem = _STEMS[dataset][0]
    return (
        f"{place} holds no annotation file of split {split!r}, expected "
        f"{stem}-annotation-{split}.csv: the pictures come without the 18 key points; give the "
        "file with --annotations or make one with `pcdms-bench data pose --format patn`"
    )


def left_column(rows: Annotation) -> int:
    """Return the column at which the crop frame begins in the frame of an annotation file.

    Def-GAN names (`fasion...`) go with the 256x256 frame, all others with the 256x176 crop.
    """
    return CROP[0] if rows.written[0].startswith("fasion") else 0


def paired_names(path: Path) -> list[tuple[int, str]]:
    """Return (line, name as written) of every cell of a pair list, malformed rows left out."""
    cells = []
    for line, text in enumerate(read_lines(path, "rows of from,to"), start=1):
        names = [name.strip() for name in text.rstrip(", \t").split(",")]
        if len(names) == 2 and not (line == 1 and names == ["from", "to"]):
            cells += [(line, name) for name in names]
    return cells


def train_names(dataset: str, place: Path) -> frozenset[str] | None:
    """Return the flat names of the training split, None where no list or annotation tells them.

    `place` is as for `find_lists`. Raises InputError on a malformed list.
    """
    if place.is_file():
        place = place.parent
    listed = _first([place / name for name in _FOLDERS], ["train.lst"])
    if listed is None or dataset != "deepfashion":
        lists = find_lists(dataset, "train", place)
        listed = lists.annotation if lists is not None else None
    return frozenset(read_names(listed)) if listed is not None else None


def require_lists(dataset: str, split: str, place: Path) -> Lists:
    """Return `find_lists`; raises AbsentSplitError where there is no annotation file."""
    lists = find_lists(dataset, split, place)
    if lists is None:
        raise AbsentSplitError(missing_lists(dataset, split, place))
    return lists


def _first(folders: list[Path], names: list[str]) -> Path | None:
    for folder in folders:
        for name in names:
            for suffix in ("", ".gz"):
                if (folder / f"{name}{suffix}").is_file():
                    return folder / f"{name}{suffix}"
    return None
