"""NTED: pictures in lmdb folders, poses as text, pair lines that put the target first.

```
256-176/ , 512-352/                 lmdb folders named H-W (or img/, the pictures themselves)
pose/WOMEN/Dresses/id_.../02_1_front.txt
train_pairs.txt , test_pairs.txt , train.lst , test.lst
```

A split's gallery holds the pictures of its pairs, and those of its `.lst` that have a pose file and
a stored picture; the order is that of the `.lst`. What the lists do not carry: slices, and in the
training list the order of pairs, since one line holds all sources of a target (test lines hold one
source each and keep their order). Source: RenYurui/Neural-Texture-Extraction-Distribution
data/fashion_data.py and scripts/prepare_data.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdms_data.images import write_atomically
from pcdms_data.layouts.lmdb_pictures import folder_name, lmdb_folders, lmdb_keys, write_lmdb
from pcdms_data.layouts.pair_lines import (
    PICTURE_FOLDER,
    listed_name,
    name_list,
    pair_lines,
    read_name_list,
    read_pair_lines,
    tree_stem,
)
from pcdms_data.layouts.picture_files import picture_bytes
from pcdms_data.layouts.pose_text import CONTENT, PADDED, pose_text, read_pose
from pcdms_data.layouts.split import HIGHRES_RESIZE, SplitRecord
from pcdms_data.names import FashionName, parsed_name
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.tables import inside
from pcdms_data.types import AbsentSplitError, InputError, Picture

SPLITS = ("train", "test")
Size = tuple[int, int]
Progress = Callable[[int, int], None]


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    return recognise_form(root, lambda size: size[0] != size[1], or_files=True)


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split, every source of every line, in file order.

    Raises InputError on a missing file or folder, malformed lines, and a pair without pose text.
    """
    del dataset
    return read_form(root, split, lambda size: size[0] != size[1])


def write(sets: Sequence[PairSet], out: Path, progress: Progress | None = None) -> int:
    """Write splits with pictures of their own resolution, in one lmdb folder named after it.

    Returns the number of pictures. Raises InputError on other splits than train and test and on
    names that are no DeepFashion names.
    """
    return write_form(sets, out, sets[0].resolution, progress)


def recognise_form(root: Path, fits: Callable[[Size], bool], or_files: bool) -> str | None:
    """Return a line on a folder with pair lines and lmdb folders whose size fits, or None."""
    lists = [f"{split}_pairs.txt" for split in SPLITS if (root / f"{split}_pairs.txt").is_file()]
    if not lists:
        return None
    folders = [path.name for size, path in lmdb_folders(root).items() if fits(size)]
    if folders:
        return f"{lists[0]}, lmdb {', '.join(folders)}"
    files = or_files and (root / PICTURE_FOLDER).is_dir() and (root / "pose").is_dir()
    return f"{lists[0]}, {PICTURE_FOLDER}/" if files else None


def read_form(root: Path, split: str, fits: Callable[[Size], bool]) -> SplitRecord:
    """Return a split whose pictures lie in the lmdb folders of fitting sizes, or else in `img/`."""
    check_choice("split", split, SPLITS)
    path = root / f"{split}_pairs.txt"
    if not path.is_file():
        raise AbsentSplitError(f"{path} is missing, expected lines of a target and its sources")
    lines = read_pair_lines(path)
    stores = _stores(root, fits, lines[0][1])
    used: dict[str, tuple[FashionName, int]] = {}
    for line, target, sources in lines:
        for name in (target, *sources):
            used.setdefault(name.flat, (name, line))
    gallery = _gallery(root, split, used, stores)
    keypoints = []
    for name in gallery:
        pose = _pose_path(root, name)
        if name.flat in used and not pose.is_file():
            raise InputError(
                f"{path} line {used[name.flat][1]}: {listed_name(name)} has no pose text, "
                f"expected {pose}"
            )
        keypoints.append(read_pose(pose, PADDED))
    position = {name.flat: number for number, name in enumerate(gallery)}
    rows = [
        (position[source.flat], position[target.flat])
        for _, target, sources in lines
        for source in sources
    ]
    pictures_at = {store.size: store.handles(gallery) for store in stores}
    train_list = root / "train.lst"
    return SplitRecord(
        pictures=pictures_at[stores[0].size],
        keypoints=keypoints,
        rows=np.array(rows, dtype=np.int32).reshape(-1, 2),
        where=path,
        frame=CONTENT,
        convention=HIGHRES_RESIZE,
        train_names=frozenset(name.flat for name in read_name_list(train_list))
        if train_list.is_file()
        else None,
        pictures_at=pictures_at,
    )


@dataclass(frozen=True)
class _Store:
    """Pictures of one size: an lmdb folder with its keys, or files below `path` (size unknown)."""

    path: Path
    size: Size
    keys: frozenset[str] | None
    extension: str

    def holds(self, name: FashionName) -> bool:
        """Tell whether the picture is there."""
        key = self._key(name)
        return (self.path / key).is_file() if self.keys is None else key in self.keys

    def handles(self, names: Sequence[FashionName]) -> list[Picture]:
        """Return the handles of the pictures; raises InputError on a file outside of the root."""
        if self.keys is not None:
            return [Picture(name.flat, self.path, key=self._key(name)) for name in names]
        return [
            Picture(name.flat, inside(self.path, self.path / self._key(name))) for name in names
        ]

    def _key(self, name: FashionName) -> str:
        return f"{PICTURE_FOLDER}/{tree_stem(name)}{self.extension}"


def _stores(root: Path, fits: Callable[[Size], bool], first: FashionName) -> list[_Store]:
    """Return the stores with pictures; files are PNG where the `first` picture is one."""
    folders = lmdb_folders(root)
    fitting = {size: path for size, path in folders.items() if fits(size)}
    if fitting:
        return [
            _Store(inside(root, path), size, lmdb_keys(path), ".png")
            for size, path in fitting.items()
        ]
    if (root / PICTURE_FOLDER).is_dir():
        as_png = (root / PICTURE_FOLDER / f"{tree_stem(first)}.png").is_file()
        return [_Store(root, CONTENT, None, ".png" if as_png else ".jpg")]
    others = f", only {', '.join(path.name for path in folders.values())}" if folders else ""
    raise InputError(
        f"{root} has no pictures: no fitting lmdb folder named H-W{others}, no {PICTURE_FOLDER}/"
    )


def _gallery(
    root: Path, split: str, used: dict[str, tuple[FashionName, int]], stores: list[_Store]
) -> list[FashionName]:
    """Return the pictures of a split in the order of its list, those of pairs only at the end."""
    path = root / f"{split}.lst"
    listed = {name.flat: name for name in read_name_list(path)} if path.is_file() else {}
    kept = [
        name
        for flat, name in listed.items()
        if flat in used
        or (all(store.holds(name) for store in stores) and _pose_path(root, name).is_file())
    ]
    return kept + [name for flat, (name, _) in used.items() if flat not in listed]


def _pose_path(root: Path, name: FashionName) -> Path:
    return inside(root, root / "pose" / f"{tree_stem(name)}.txt")


def write_form(
    sets: Sequence[PairSet], out: Path, size: Size, progress: Progress | None = None
) -> int:
    """Write splits with pictures of `size` = (H, W), resized by antialiased bicubic if need be."""
    pictures: dict[str, Picture] = {}
    for pairs in sets:
        check_choice("split", pairs.split, SPLITS)
        names = [parsed_name(picture.name) for picture in pairs.gallery.pictures]
        for name, picture, pose in zip(
            names, pairs.gallery.pictures, pairs.gallery.keypoints, strict=True
        ):
            key = f"{PICTURE_FOLDER}/{tree_stem(name)}.png"
            if key in pictures:
                raise InputError(f"picture {picture.name} is given twice, expected splits apart")
            pictures[key] = picture
            text = pose_text(pose, PADDED)
            write_atomically(out / "pose" / f"{tree_stem(name)}.txt", text.encode())
        listed = ((names[source], names[target]) for source, target in pairs.rows)
        text = pair_lines(listed, gathered=pairs.split == "train")
        write_atomically(out / f"{pairs.split}_pairs.txt", text.encode())
        write_atomically(out / f"{pairs.split}.lst", name_list(names).encode())

    def encoded(number: int, picture: Picture) -> bytes:
        content = picture_bytes(picture, size, ".png")
        if progress and (number % 20 == 0 or number == len(pictures)):
            progress(number, len(pictures))
        return content

    return write_lmdb(
        out / folder_name(size),
        (
            (key, encoded(number, picture))
            for number, (key, picture) in enumerate(pictures.items(), start=1)
        ),
    )
