"""Pair lines of NTED and PIDM: a target picture, then the pictures it may be made from.

`train_pairs.txt`, `test_pairs.txt`: comma-separated tree names with `.jpg`, the target first, one
source or several after it, no header. `train.lst`, `test.lst`: one flat name a line. Source:
RenYurui/Neural-Texture-Extraction-Distribution data/fashion_data.py, ankanbhunia/PIDM the same;
the README of PIDM says that the source comes first, its code reads the target first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pcdms_data.names import TREE, FashionName, parse_fashion
from pcdms_data.tables import read_lines
from pcdms_data.types import InputError

PICTURE_FOLDER = "img"
"""First folder of the names, and of the keys in lmdb."""
_EXPECTED = "lines of a target picture and its source pictures (img/.../02_1_front.jpg,...)"


def read_pair_lines(path: Path) -> list[tuple[int, FashionName, list[FashionName]]]:
    """Return (line number, target, sources) of every line.

    Raises InputError with the line on a line of fewer than two names and on a name that is no tree
    name, which every `..` and absolute path is.
    """
    found = []
    for line, text in enumerate(read_lines(path, _EXPECTED), start=1):
        if not text.strip(" ,\t"):
            continue
        cells = [cell.strip() for cell in text.strip().rstrip(",").split(",")]
        if len(cells) < 2:
            raise InputError(f"{path} line {line} has one name, expected a target and its sources")
        target, *sources = (_parsed(cell, path, line) for cell in cells)
        found.append((line, target, sources))
    if not found:
        raise InputError(f"{path} holds no pair, expected {_EXPECTED}")
    return found


def read_name_list(path: Path) -> list[FashionName]:
    """Return the names of a `.lst` file, in any of their forms; raises InputError with the line."""
    names = []
    for line, text in enumerate(read_lines(path, "one picture name a line"), start=1):
        if text.strip():
            names.append(_parsed(text.strip(), path, line, tree=False))
    return names


def pair_lines(pairs: Iterable[tuple[FashionName, FashionName]], gathered: bool) -> str:
    """Return the text of a pair file for (source, target) pairs.

    `gathered` puts all sources of a target into the line of its first pair, as training lists have
    it; otherwise each pair is one line, in the given order, as test lists have it.
    """
    lines: dict[str, list[str]] = {}
    for number, (source, target) in enumerate(pairs):
        first = listed_name(target)
        key = first if gathered else str(number)
        lines.setdefault(key, [first]).append(listed_name(source))
    return "".join(",".join(names) + "\n" for names in lines.values())


def listed_name(name: FashionName) -> str:
    """Return `img/WOMEN/Dresses/id_00000002/02_1_front.jpg`: the loaders swap `.jpg` for `.png`."""
    return f"{PICTURE_FOLDER}/{name.tree.rpartition('.')[0]}.jpg"


def tree_stem(name: FashionName) -> str:
    """Return `WOMEN/Dresses/id_00000002/02_1_front`: the name below its folder, no extension."""
    return name.tree.rpartition(".")[0]


def name_list(names: Sequence[FashionName]) -> str:
    """Return the text of a `.lst` file: flat names with `.jpg`."""
    return "".join(f"{name.flat.rpartition('.')[0]}.jpg\n" for name in names)


def _parsed(text: str, path: Path, line: int, tree: bool = True) -> FashionName:
    name = parse_fashion(text) if not tree or TREE.fullmatch(text) else None
    if name is None:
        expected = "img/WOMEN/Dresses/id_00000002/02_1_front.jpg" if tree else "a DeepFashion name"
        raise InputError(f"{path} line {line}: picture name {text!r}, expected {expected}")
    return name
