"""Annotation files of the PATN family: rows `name: [18 y] : [18 x]`, -1 in both where missing.

Real copies differ: with and without blanks after the colons, dozens of commas appended to the
header, rows of commas alone, flat, Def-GAN and tree names, plain and compressed by gzip. All of
that is accepted, and every picture gets its flat name. Source: tengteng95/Pose-Transfer,
tool/pose_utils.py; copies in FineURRight/Step-Network and sgoldyaev/DeepFashion.ADGAN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.names import parse_fashion
from pcdms_data.tables import read_lines, safe_name
from pcdms_data.types import LARGEST_PLACE, InputError, K, Keypoints

HEADER = "name:keypoints_y:keypoints_x"
_EXPECTED = "rows of name:[18 y]:[18 x]"
_ROW = re.compile(r"\s*([^:\[\]]+?)\s*:\s*(\[[^:\[\]]*\])\s*:\s*(\[[^:\[\]]*\])[\s,]*")
_FASHION_STARTS = frozenset("fiMW")


@dataclass(frozen=True, eq=False)
class Annotation:
    """The rows of an annotation file, in file order.

    `names` are flat, `written` as the file has them. `coded` float32 (N, 18, 2) holds (x, y) as
    written, -1 for a missing joint; `visible` bool (N, 18). A joint is missing where both numbers
    are -1: x alone may be -1, as the crop by 40 columns leaves it of a joint in column 39.
    """

    path: Path
    names: tuple[str, ...]
    written: tuple[str, ...]
    coded: NDArray[np.float32]
    visible: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    def keypoints(self, frame: tuple[int, int], left: int = 0) -> list[Keypoints]:
        """Return the key points of each row in the frame (H, W) that begins at column `left`."""
        places = self.coded - np.array([left, 0], dtype=np.float32)
        places[~self.visible] = 0
        return [Keypoints(xy, seen, frame) for xy, seen in zip(places, self.visible, strict=True)]


def read_annotation(path: Path, frame: tuple[int, int]) -> dict[str, Keypoints]:
    """Return the key points of every picture of an annotation file, by flat name, in file order.

    Raises InputError as `read_annotation_rows` does.
    """
    rows = read_annotation_rows(path)
    return dict(zip(rows.names, rows.keypoints(frame), strict=True))


def read_annotation_rows(path: Path) -> Annotation:
    """Return all rows of an annotation file (`.gz` is unpacked) as arrays.

    Raises InputError with file and line on a malformed row, on a joint of which y alone is -1, and
    on a picture that is named twice.
    """
    numbers: list[int] = []
    written: list[str] = []
    cells: list[str] = []
    for number, text in enumerate(read_lines(path, _EXPECTED), start=1):
        match = _ROW.fullmatch(text)
        if match:
            numbers.append(number)
            written.append(match[1])
            cells += match[2], match[3]
        elif text.strip(", \t") and not (number == 1 and text.lstrip().startswith("name")):
            raise InputError(f"{path} line {number}: {text[:60]!r}, expected {_EXPECTED}")
    if not written:
        raise InputError(f"{path} holds no row, expected {_EXPECTED}")
    names = [_flat(name, path, line) for name, line in zip(written, numbers, strict=True)]
    _refuse_repeats(names, numbers, path)
    # (N, 2, 18) y before x -> (N, 18, 2) x before y
    values = _numbers(cells, numbers, path).transpose(0, 2, 1)[:, :, ::-1]
    missing = (values == -1).all(axis=2)
    half = (values[:, :, 1] == -1) & ~missing
    if half.any():
        row, joint = np.argwhere(half)[0]
        raise InputError(
            f"{path} line {numbers[row]}: joint {joint} has y -1 and x {values[row, joint, 0]:g}, "
            "expected -1 in both for a missing joint"
        )
    return Annotation(path, tuple(names), tuple(written), values.astype(np.float32), ~missing)


def read_names(path: Path) -> tuple[str, ...]:
    """Return the flat names of a list with one name a line (`train.lst`), or of an annotation file.

    Raises InputError with the line on an unsafe name and on one that occurs twice.
    """
    lines = enumerate(read_lines(path, "one picture name a line"), start=1)
    listed = [(line, text.partition(":")[0].strip(", \t")) for line, text in lines]
    listed = [(line, name) for line, name in listed if name and (line, name) != (1, "name")]
    names = [_flat(name, path, line) for line, name in listed]
    _refuse_repeats(names, [line for line, _ in listed], path)
    return tuple(names)


def names_as_written(path: Path, count: int) -> tuple[str, ...]:
    """Return the names of the first rows of an annotation file in the form they are written."""
    matches = filter(None, map(_ROW.fullmatch, read_lines(path, _EXPECTED)))
    return tuple(match[1] for match in islice(matches, count))


def annotation_text(names: Sequence[str], poses: Iterable[Keypoints]) -> str:
    """Return the file that `read_annotation` reads, key points in whole pixels of their frame.

    The format has no other numbers. A visible joint in the row above the picture (y = -1), which
    the format cannot tell from a missing one, goes to its first row.
    """
    lines = [HEADER]
    for name, pose in zip(names, poses, strict=True):
        whole = np.rint(pose.xy).astype(np.int64)
        whole[:, 1] = np.where(whole[:, 1] == -1, 0, whole[:, 1])
        whole[~pose.visible] = -1
        lines.append(f"{name}: {whole[:, 1].tolist()}: {whole[:, 0].tolist()}")
    return "\n".join(lines) + "\n"


def _flat(name: str, path: Path, line: int) -> str:
    """Return the flat form of a DeepFashion name in any form; other names must be file names."""
    parsed = parse_fashion(name) if name[0] in _FASHION_STARTS else None
    return parsed.flat if parsed is not None else safe_name(name, path, line)


def _refuse_repeats(names: Sequence[str], numbers: Sequence[int], path: Path) -> None:
    if len(set(names)) == len(names):
        return
    seen: set[str] = set()
    for name, line in zip(names, numbers, strict=True):
        if name in seen:
            raise InputError(f"{path} line {line} names {name} a second time")
        seen.add(name)


def _numbers(cells: list[str], numbers: list[int], path: Path) -> NDArray[np.float64]:
    """Return the lists of all rows as one array (N, 2, 18), parsed in one go."""
    values = _parsed(f"[{','.join(cells)}]")
    if values.shape == (len(cells), K) and _are_places(values):
        return values.reshape(-1, 2, K)
    for position, cell in enumerate(cells):
        values = _parsed(cell)
        if values.shape != (K,) or not _are_places(values):
            raise InputError(
                f"{path} line {numbers[position // 2]}: {cell[:40]!r}, "
                f"expected a list of {K} numbers"
            )
    raise AssertionError(f"{path}: each list is well formed, all of them are not")


def _parsed(text: str) -> NDArray[np.float64]:
    """Return the numbers of JSON text, an empty array where they are none."""
    try:
        return np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return np.zeros(0)


def _are_places(values: NDArray[np.float64]) -> bool:
    return bool((np.abs(values) <= LARGEST_PLACE).all())
