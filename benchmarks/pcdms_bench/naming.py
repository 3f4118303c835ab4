"""File names of published result folders, turned into pair ids once; the one table of namings.

Every published script pairs its pictures by its own reading of file names. These rules are used to
import a folder and for nothing else: from here on a picture has its pair id. Sources:
tencent-ailab/PCDMs:metrics.py, ankanbhunia/PIDM:utils/metrics.py,
RenYurui/Global-Flow-Local-Attention:script/metrics.py,
tengteng95/Pose-Transfer:tool/crop_fashion.py, AliaksandrSiarohin/pose-gan:test.py (names joined by
one underscore, tiles in the order `iog`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pcdms_data.pair_names import Known, Way, pair_of_name
from pcdms_data.types import InputError, make_pair_id


@dataclass(frozen=True)
class Naming:
    """How one method's result files are called, and which part of a file is the picture.

    `kind` `target`: a file has its target's name; `pair`: it names source and target; `row`: it is
    the number of a row of the pair list. Tiles are counted from 0, left to right.
    """

    name: str
    summary: str
    kind: Literal["target", "pair", "row"]
    ways: tuple[Way, ...] = ()
    tiles: int = 1
    picture_tile: int = 0
    target_tile: int | None = None


_VIS: tuple[Way, ...] = (("_2_", "_vis"),)
_SHEET: tuple[Way, ...] = (("___", "_vis"),)
_ANY: tuple[Way, ...] = (*_VIS, ("_2_", ""), ("_to_", ""), *_SHEET, ("___", ""))

NAMINGS: dict[str, Naming] = {
    naming.name: naming
    for naming in (
        Naming("same-name", "the target's own name, extension aside", "target"),
        Naming("pair-id", "<source>_to_<target>, as runs of this tool leave them", "pair",
               (("_to_", ""),)),
        Naming("pcdms", "PCDMs: <source>_to_<target>.png", "pair", (("_to_", ""),)),
        Naming("pidm", "PIDM: <source>_2_<target>_vis.png, targets may begin with `deep`", "pair",
               _VIS),
        Naming("gfla", "GFLA: <source>_2_<target>_vis.jpg", "pair", _VIS),
        Naming("nted", "NTED: <source>_2_<target>_vis.png", "pair", _VIS),
        Naming("pise", "PISE: <source>_2_<target>_vis.jpg, 256x256 between white columns", "pair",
               _VIS),
        Naming("dptn", "DPTN: <source>_2_<target>_vis.jpg, 256x176 or 128x64", "pair", _VIS),
        Naming("pocold", "PoCoLD: <source>_2_<target>_vis.png", "pair", _VIS),
        Naming("plain", "<source>_2_<target>", "pair", (("_2_", ""),)),
        Naming("patn", "PATN: sheets <source>___<target>_vis of 5 tiles, third target, last made",
               "pair", _SHEET, 5, 4, 2),
        Naming("adgan", "ADGAN: sheets <source>.jpg___<target>.jpg_vis.jpg of 5 tiles, as PATN",
               "pair", _SHEET, 5, 4, 2),
        Naming("defgan", "Def-GAN: sheets <source>_<target> of 3 tiles: source, target, made",
               "pair", (("_", ""),), 3, 2, 1),
        Naming("pidm-vs-others", "PIDM's comparison: sheets of 10 tiles, third target; --tile",
               "pair", _ANY, 10, 9, 2),
        Naming("cfld", "CFLD: by row of the pair list, files 0.png, 1.png ... or from 1", "row"),
    )
}  # fmt: skip
"""Name of the command line -> naming; `list namings` shows them."""

AUTO = "auto"
_TRIED = (
    "same-name", "pair-id", "gfla", "plain", "patn",
)  # fmt: skip
"""Namings that `auto` compares; the others spell names the same way or need to be told."""


@dataclass(frozen=True)
class NamedFile:
    """One result file and the pair it belongs to; `target` is the target's stem."""

    pair_id: str
    target: str
    file: Path


@dataclass
class NamedFiles:
    """Every file of a folder: `found`, one per pair, `unmatched`, and `duplicates` of a pair."""

    naming: Naming
    found: dict[str, NamedFile] = field(default_factory=dict[str, NamedFile])
    unmatched: list[str] = field(default_factory=list[str])
    duplicates: list[str] = field(default_factory=list[str])


def read_names(files: Sequence[Path], naming: str, known: Known) -> NamedFiles:
    """Return which pair each of `files` belongs to, under a name of `NAMINGS` or `auto`.

    `auto` takes the naming that explains most names. Raises InputError on an unknown naming, and
    where `row` is asked for without a pair list.
    """
    if naming != AUTO:
        from pcdms_bench.suggestions import check_choice

        check_choice("naming", naming, (*NAMINGS, AUTO))
        return _named(files, NAMINGS[naming], known)
    tried = [_named(files, NAMINGS[name], known) for name in _TRIED]
    best = max(tried, key=lambda names: len(names.found))
    if not best.found:
        raise InputError(
            f"no name in {files[0].parent} fits a known naming (the first is {files[0].name}): "
            "give --naming, `pcdms-bench list namings` shows them"
        )
    return best


def _named(files: Sequence[Path], naming: Naming, known: Known) -> NamedFiles:
    result = NamedFiles(naming)
    rows = _rows(files, known) if naming.kind == "row" else {}
    for file in files:
        one = rows.get(file) if naming.kind == "row" else _read_name(file, naming, known)
        if one is None:
            result.unmatched.append(file.name)
        elif one.pair_id in result.found:
            result.duplicates.append(f"{file.name} and {result.found[one.pair_id].file.name}")
        else:
            result.found[one.pair_id] = one
    return result


def _read_name(file: Path, naming: Naming, known: Known) -> NamedFile | None:
    if naming.kind == "target":
        if known.pairs is not None or known.targets is None:
            return None
        stem = known.targets.find(file.stem)
        return NamedFile(stem, stem, file) if stem is not None else None
    chosen = pair_of_name(file.stem, naming.ways, known)
    if chosen is None:
        return None
    if known.pairs is not None:
        return NamedFile(known.pairs[chosen], chosen[1], file)
    try:
        return NamedFile(make_pair_id(f"{chosen[0]}.", f"{chosen[1]}."), chosen[1], file)
    except InputError:
        return None


def _rows(files: Sequence[Path], known: Known) -> dict[Path, NamedFile]:
    """Return the files whose name is the number of a row, from 0, or from 1 without a file 0."""
    if known.pairs is None:
        raise InputError("a naming by row needs the pair list: give --dataset")
    listed = list(known.pairs.items())
    numbers = {
        file: int(file.stem) for file in files if file.stem.isascii() and file.stem.isdigit()
    }
    first = 0 if 0 in numbers.values() else 1
    if first == 1 and numbers and max(numbers.values()) != len(listed):
        raise InputError(
            f"{files[0].parent} holds neither row 0 nor row {len(listed)} of {len(listed)} pairs: "
            "it cannot be told whether rows count from 0 or from 1"
        )
    found = {}
    for file, number in numbers.items():
        if number - first < len(listed):
            (_, target), pair_id = listed[number - first]
            found[file] = NamedFile(pair_id, target, file)
    return found
