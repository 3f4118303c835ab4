"""The text lists of DeepFashion In-shop: `Eval/list_eval_partition.txt` and two of `Anno/`.

The first line is the number of rows, the second the column names (not in the list of items);
columns are padded by runs of blanks. Source: open-mmlab/mmfashion,
docs/dataset/IN_SHOP_DATASET.md; czla/cloth-image-retrieval, data/InShop/README.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pcdms_data.names import parse_fashion
from pcdms_data.tables import read_lines
from pcdms_data.types import InputError

STATUSES = ("train", "query", "gallery")

POSE_TYPES = ("front", "side", "back", "full", "additional", "flat")
"""Meaning of pose type 1 to 6: frontal, side, back, zoom-out, zoom-in, stand-alone."""

CLOTHES_TYPES = ("upper", "lower", "full")
"""Meaning of clothes type 1 to 3: upper body, lower body, full body."""

_T = TypeVar("_T")
Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the 256x256 picture."""


@dataclass(frozen=True)
class ClothesBox:
    """One row of `list_bbox_inshop.txt`; the types are of `CLOTHES_TYPES` and `POSE_TYPES`."""

    clothes: str
    pose: str
    box: Box


def read_partition(path: Path) -> dict[str, str]:
    """Return the status, one of `STATUSES`, by flat picture name, in file order.

    Raises InputError with file and line on a malformed row, on an item that is not the one in the
    picture's name, on a name given twice, and where the count in line 1 is not the number of rows.
    """
    found: dict[str, str] = {}
    expected = "rows of image_name item_id evaluation_status"
    for line, cells in _rows(path, 3, expected, header=True):
        name, item = _parsed(cells[0], path, line)
        if cells[1] != item:
            raise InputError(f"{path} line {line}: item {cells[1]!r}, expected {item} as in {name}")
        if cells[2] not in STATUSES:
            raise InputError(
                f"{path} line {line}: status {cells[2]!r}, expected one of {', '.join(STATUSES)}"
            )
        _add(found, name, cells[2], path, line)
    return found


def read_boxes(path: Path) -> dict[str, ClothesBox]:
    """Return what `list_bbox_inshop.txt` says of each picture, by flat name, in file order.

    Raises InputError as `read_partition` does, and on numbers outside of their ranges.
    """
    found: dict[str, ClothesBox] = {}
    expected = "rows of image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    for line, cells in _rows(path, 7, expected, header=True):
        name, _ = _parsed(cells[0], path, line)
        try:
            clothes, pose, left, top, right, bottom = (int(cell) for cell in cells[1:])
        except ValueError:
            clothes = pose = left = top = right = bottom = 0
        good = 1 <= clothes <= len(CLOTHES_TYPES) and 1 <= pose <= len(POSE_TYPES)
        if not good or not (0 <= left <= right <= 256 and 0 <= top <= bottom <= 256):
            raise InputError(f"{path} line {line}: {' '.join(cells[1:])!r}, expected {expected}")
        box = ClothesBox(
            CLOTHES_TYPES[clothes - 1], POSE_TYPES[pose - 1], (left, top, right, bottom)
        )
        _add(found, name, box, path, line)
    return found


def read_items(path: Path) -> tuple[str, ...]:
    """Return the item ids of `list_item_inshop.txt` (`id_00000001`), in file order.

    Raises InputError on anything that is no item id, on an id given twice and on a wrong count.
    """
    found: dict[str, None] = {}
    for line, (item,) in _rows(path, 1, "rows of item ids", header=False):
        if len(item) != 11 or not item.startswith("id_") or not item[3:].isdigit():
            raise InputError(f"{path} line {line}: {item!r}, expected an item such as id_00000001")
        _add(found, item, None, path, line)
    return tuple(found)


def _rows(path: Path, width: int, expected: str, header: bool) -> list[tuple[int, list[str]]]:
    """Return (line, cells) of the rows after the head; checks their width and their number."""
    lines = read_lines(path, expected)
    count = lines[0].strip() if lines else ""
    if not (count.isascii() and count.isdigit()):
        raise InputError(f"{path} line 1: {count[:40]!r}, expected the number of rows")
    first = 3 if header else 2
    rows = []
    for line, text in enumerate(lines[first - 1 :], start=first):
        cells = text.split()
        if not cells:
            continue
        if len(cells) != width:
            raise InputError(f"{path} line {line} has {len(cells)} cells, expected {expected}")
        rows.append((line, cells))
    if len(rows) != int(count):
        raise InputError(f"{path} has {len(rows)} rows, expected {int(count)} as its line 1 says")
    return rows


def _parsed(name: str, path: Path, line: int) -> tuple[str, str]:
    """Return the flat name and the item folder (`id_00000001`) of a tree name."""
    parsed = parse_fashion(name)
    if parsed is None or "/" not in name:
        raise InputError(
            f"{path} line {line}: {name!r}, expected a name such as "
            "img/WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg"
        )
    return parsed.flat, f"id_{parsed.item}"


def _add(found: dict[str, _T], name: str, value: _T, path: Path, line: int) -> None:
    if name in found:
        raise InputError(f"{path} line {line} names {name} a second time")
    found[name] = value
