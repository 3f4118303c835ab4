"""PCDMs: JSON lists of pairs, renamed pictures, normalised pose text, pictures of poses.

```
train_all_png/<name>.png              all pictures (code), or all_data_png/ (README), or
                                      {train,test}_lst_{512,256}_png/ of one split (README)
normalized_pose_txt/<name>.txt        18 lines of "x y", or normalized_pose_txt.zip (README)
openpose_all_img/<name>_pose.jpg      the drawn pose (code)
train_data.json , test_data.json      [{"source_image": "<name>.jpg", "target_image": ...}, ...]
pose_coding.json                      this project's: how the pose text is coded (`PoseCoding`)
```

Names are the tree names with underscores (`WOMEN_Tees_Tanks_id_00004153_03_3_back`), as logs of its
users show; all other forms are read, and names of no known form (`img17.jpg`) stay as they are:
then pictures that pairs connect are one group. How the published pose text is normalised was never
said: `pose_coding.json`, such as `{"width": 176, "height": 256, "missing": 0}`, says it for a root,
and those numbers with -1 for a missing joint are this project's choice without it.

A split's gallery holds the pictures of its pairs in order of appearance. Pictures are written at
their own size: the loaders squash every picture to 512x512 (bicubic) when they open it, and poses
are drawn at that size. Source: tencent-ailab/PCDMs README.md, src/dataset/stage{1,2,3}_dataset.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pcdms_data.images import write_atomically
from pcdms_data.layouts.picture_files import jpeg_bytes, write_pictures
from pcdms_data.layouts.pose_store import PoseStore
from pcdms_data.layouts.pose_text import (
    CODING_FILE,
    CONTENT,
    NORMALISED,
    PoseCoding,
    coding_text,
    pose_text,
    read_coding,
)
from pcdms_data.layouts.split import HIGHRES_RESIZE, SplitRecord
from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.tables import inside, read_lines, safe_name
from pcdms_data.types import AbsentSplitError, InputError, Picture, flat_stem

SPLITS = ("train", "test")
KEEPS_SIZE = True
POSE_CANVAS = (512, 512)
PICTURES, POSES, DRAWN = "train_all_png", "normalized_pose_txt", "openpose_all_img"
_EITHER_SPLIT = (PICTURES, "all_data_png")
_OF_SPLIT = {(512, 512): "{split}_lst_512_png", (256, 256): "{split}_lst_256_png"}
_KEYS = ("source_image", "target_image")
_EXPECTED = f"a list of objects with {' and '.join(_KEYS)}"


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    lists = [f"{split}_data.json" for split in SPLITS if (root / f"{split}_data.json").is_file()]
    return lists[0] if lists else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order.

    Raises InputError on a missing file or folder, a malformed list, and a picture without pose.
    """
    del dataset
    check_choice("split", split, SPLITS)
    path = inside(root, root / f"{split}_data.json")
    rows, stems = _read_pairs(path)
    position = {name: place for place, name in enumerate(stems)}
    listed = np.array([(position[a], position[b]) for a, b in rows], dtype=np.int32).reshape(-1, 2)
    poses = PoseStore(root, POSES, read_coding(root / CODING_FILE))
    pictures_at = {size: _handles(root, folder, stems) for size, folder in _folders(root, split)}
    return SplitRecord(
        pictures=next(iter(pictures_at.values())),
        keypoints=[poses.read(stem, path) for stem in stems.values()],
        rows=listed,
        where=path,
        frame=CONTENT,
        convention=HIGHRES_RESIZE,
        groups=_groups(list(stems), rows),
        pictures_at=pictures_at,
    )


def write(
    sets: Sequence[PairSet],
    out: Path,
    progress: Callable[[int, int], None] | None = None,
    coding: PoseCoding = NORMALISED,
) -> int:
    """Write splits in the tree that the code opens; return the number of pictures.

    `coding` decides how the pose text is normalised and what stands for a missing joint.
    """
    for pairs in sets:
        check_choice("split", pairs.split, SPLITS)
    count = write_pictures(
        sets, lambda _, picture: out / PICTURES / f"{_stem(picture)}.png", True, progress
    )
    for pairs in sets:
        stems = [_stem(picture) for picture in pairs.gallery.pictures]
        for stem, pose in zip(stems, pairs.gallery.keypoints, strict=True):
            write_atomically(out / POSES / f"{stem}.txt", pose_text(pose, coding).encode())
            drawn = draw_pose(pose.xy, pose.visible, pose.size, POSE_CANVAS)
            write_atomically(out / DRAWN / f"{stem}_pose.jpg", jpeg_bytes(drawn))
        listed = [
            dict(zip(_KEYS, (f"{stems[source]}.jpg", f"{stems[target]}.jpg"), strict=True))
            for source, target in pairs.rows
        ]
        text = json.dumps(listed, indent=0) + "\n"
        write_atomically(out / f"{pairs.split}_data.json", text.encode())
    write_atomically(out / CODING_FILE, coding_text(coding).encode())
    return count


def _read_pairs(path: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return (source, target) of every pair by flat name, and the written stem of each picture."""
    if not path.is_file():
        raise AbsentSplitError(f"{path} is missing, expected {_EXPECTED}")
    text = "\n".join(read_lines(path, _EXPECTED))
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {error.lineno}: {error.msg}, expected JSON") from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise InputError(f"{path} cannot be read as JSON, expected {_EXPECTED}") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} holds no pair, expected {_EXPECTED}")
    known: dict[str, str] = {}
    stems: dict[str, str] = {}
    rows = []
    for number, entry in enumerate(entries, start=1):
        names = [entry.get(key) for key in _KEYS] if isinstance(entry, dict) else [None]
        ends = []
        for name in names:
            if not isinstance(name, str):
                raise InputError(f"{path} pair {number}: {str(entry)[:60]!r}, expected {_EXPECTED}")
            if name not in known:
                known[name] = _known_as(name, path, number)
                stems.setdefault(known[name], flat_stem(name))
            ends.append(known[name])
        rows.append((ends[0], ends[1]))
    return rows, stems


def _known_as(name: str, path: Path, number: int) -> str:
    """Return the flat name of a picture, or the name itself where it has no known form."""
    parsed = parse_fashion(name)
    if parsed is not None:
        return parsed.flat
    try:
        return safe_name(name, path)
    except InputError as error:
        raise InputError(
            f"{path} pair {number}: picture name {name[:80]!r}, expected a file name of letters, "
            "digits, _ . -"
        ) from error


def _stem(picture: Picture) -> str:
    parsed = parse_fashion(picture.name)
    return flat_stem(parsed.underscores if parsed is not None else picture.name)


def _folders(root: Path, split: str) -> list[tuple[tuple[int, int], Path]]:
    """Return the folders with pictures by the size (H, W) they are said to have."""
    for name in _EITHER_SPLIT:
        if (root / name).is_dir():
            return [(CONTENT, inside(root, root / name))]
    found = [(size, root / name.format(split=split)) for size, name in _OF_SPLIT.items()]
    found = [(size, inside(root, folder)) for size, folder in found if folder.is_dir()]
    if not found:
        others = ", ".join([_EITHER_SPLIT[1], *(n.format(split=split) for n in _OF_SPLIT.values())])
        raise AbsentSplitError(f"{root / PICTURES} is missing (or {others}), expected the pictures")
    return found


def _handles(root: Path, folder: Path, stems: dict[str, str]) -> list[Picture]:
    """Return the handles by flat name; the files are PNG, or JPEG where only such are there."""
    first = next(iter(stems.values()))
    jpeg = not (folder / f"{first}.png").exists() and (folder / f"{first}.jpg").exists()
    suffix = ".jpg" if jpeg else ".png"
    return [Picture(name, inside(root, folder / f"{stem}{suffix}")) for name, stem in stems.items()]


def _groups(names: list[str], rows: list[tuple[str, str]]) -> list[str] | None:
    """Return None where all names tell their group, else one group for what pairs connect."""
    if all(parse_fashion(name) is not None for name in names):
        return None
    leader = {name: name for name in names}

    def lead(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for source, target in rows:
        leader[lead(target)] = lead(source)
    return [flat_stem(lead(name)) for name in names]
