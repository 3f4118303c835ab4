"""What the layouts of the PATN family share: reading and writing of their lists and pictures.

Each of them says where its files lie (`FamilyFiles`); syntax and rules are alike. Where a split has
no pair list, its pairs are made by the published rule. Source:
tengteng95/Pose-Transfer, tool/create_pairs_dataset.py and data/keypoint.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.images import write_atomically
from pcdms_data.layouts.annotation import (
    Annotation,
    annotation_text,
    read_annotation_rows,
    read_names,
)
from pcdms_data.layouts.family_pictures import find_masks, find_pictures
from pcdms_data.layouts.pair_list import read_pair_list
from pcdms_data.layouts.picture_files import jpeg_name, write_pictures
from pcdms_data.layouts.split import FRAMES, SplitRecord
from pcdms_data.pair_rule import pair_list_text, published_rows
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.tables import inside
from pcdms_data.types import AbsentSplitError, InputError, flat_stem

SPLITS = ("train", "test")


@dataclass(frozen=True)
class FamilyFiles:
    """Where the files of a layout lie below its root, `{split}` open; the first name is written.

    `folders` are those that may hold the lists, the root itself being the empty name. `lists` are
    the split lists (`train.lst`), empty where there are none. `left` is the column of the stored
    picture at which the frame of this project begins: 40 where key points are of the 256x256
    picture. `crops` tells whether a picture of 256x256 is cut to columns 40 to 216.
    """

    folders: tuple[str, ...]
    annotation: tuple[str, ...]
    pairs: tuple[str, ...]
    pictures: tuple[str, ...]
    lists: str = ""
    masks: str = ""
    left: int = 0
    crops: bool = False
    convention: str = ""


def find_annotation(root: Path, files: FamilyFiles, split: str) -> Path | None:
    """Return the annotation file of a split, plain or `.gz`, or None."""
    return _find(root, files.folders, files.annotation, split)


def found_annotation(root: Path, files: FamilyFiles) -> Path | None:
    """Return the first annotation file of any split, or None."""
    found = (find_annotation(root, files, split) for split in SPLITS)
    return next((path for path in found if path is not None), None)


def read_family(root: Path, files: FamilyFiles, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order, made by the rule where there is no list.

    Raises InputError on an unknown split, a missing file or folder, malformed rows, names that the
    split lists contradict, and paths that leave the root.
    """
    check_choice("split", split, SPLITS)
    annotation = find_annotation(root, files, split)
    if annotation is None:
        first, *others = (name.format(split=split) for name in files.annotation)
        raise AbsentSplitError(
            f"dataset {dataset}: {root / first} is missing"
            + (f" (or {', '.join(others)})" if others else "")
        )
    rows = read_annotation_rows(inside(root, annotation))
    train_names = _check_lists(root, annotation.parent, files, split, rows)
    pairs = _find(root, files.folders, files.pairs, split)
    if pairs is not None:
        position = {name: place for place, name in enumerate(rows.names)}
        position |= {name: place for place, name in enumerate(rows.written)}
        listed = read_pair_list(inside(root, pairs), position, annotation)
    else:
        listed = published_rows(rows.names, rows.visible, dataset, split)
    return SplitRecord(
        pictures=find_pictures(root, files.folders, files.pictures, files.crops, split, rows),
        keypoints=rows.keypoints(FRAMES[dataset], files.left),
        rows=listed,
        where=pairs or annotation,
        frame=FRAMES[dataset],
        convention=files.convention,
        masks=find_masks(root, annotation.parent / files.masks.format(split=split), rows.names)
        if files.masks
        else None,
        train_names=train_names,
    )


def write_family(
    sets: Sequence[PairSet],
    out: Path,
    files: FamilyFiles,
    native: bool,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write splits under the first names of `files`; return the number of pictures.

    Pictures become JPEG with the extension `.jpg`, at their own size where `native`, else at the
    resolution of their set; key points become whole pixels of the published frame.
    Raises InputError on a split other than train and test.
    """
    for pairs in sets:
        check_choice("split", pairs.split, SPLITS)
    frame = FRAMES[_dataset_of(sets)]
    count = write_pictures(
        sets,
        lambda pairs, picture: (
            out / files.pictures[0].format(split=pairs.split) / jpeg_name(picture.name)
        ),
        native,
        progress,
    )
    for pairs in sets:
        names = [jpeg_name(picture.name) for picture in pairs.gallery.pictures]
        poses = (pose.resized(frame) for pose in pairs.gallery.keypoints)
        texts = {
            files.annotation[0]: annotation_text(names, poses),
            files.pairs[0]: pair_list_text(names, pairs.rows),
        }
        if files.lists:
            texts[files.lists] = "".join(f"{name}\n" for name in names)
        for name, text in texts.items():
            write_atomically(out / name.format(split=pairs.split), text.encode())
    return count


def _dataset_of(sets: Sequence[PairSet]) -> str:
    street = {pairs.dataset in ("people-street", "market1501") for pairs in sets}
    if len(street) != 1:
        raise InputError("splits of one dataset are written together, expected one look")
    return "market1501" if street.pop() else "deepfashion"


def _check_lists(
    root: Path, folder: Path, files: FamilyFiles, split: str, rows: Annotation
) -> frozenset[str] | None:
    """Return the names of the training split if they are known; compare the lists with the rows.

    A name with key points must be in the list of its split and in no other. A list may hold more:
    pictures without key points.
    """
    known: dict[str, frozenset[str]] = {}
    for name in SPLITS if files.lists else ():
        path = _find_in(folder, (files.lists,), name)
        if path is None:
            continue
        known[name] = frozenset(read_names(inside(root, path)))
        stems = {flat_stem(listed) for listed in known[name]}
        for row in rows.names:
            if (flat_stem(row) in stems) != (name == split):
                lists = "does not list" if name == split else "lists too"
                raise InputError(
                    f"{rows.path} holds {row}, which {path} {lists}: expected the pictures of "
                    f"{split} in {files.lists.format(split=split)} alone"
                )
    if "train" in known or split == "train":
        return known.get("train", frozenset(rows.names))
    train = find_annotation(root, files, "train")
    return frozenset(read_names(inside(root, train))) if train and files.lists else None


def _find(root: Path, folders: tuple[str, ...], names: tuple[str, ...], split: str) -> Path | None:
    found = (_find_in(root / folder, names, split) for folder in folders)
    return next((path for path in found if path is not None), None)


def _find_in(folder: Path, names: tuple[str, ...], split: str) -> Path | None:
    for name in names:
        for suffix in ("", ".gz"):
            path = folder / f"{name.format(split=split)}{suffix}"
            if path.is_file():
                return path
    return None
