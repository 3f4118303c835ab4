"""File names of published result folders, turned into pair ids once; the one table of namings.

Every published script pairs its pictures by its own reading of file names. These rules are used to
import a folder and for nothing else: from here on a picture has its pair id. Sources:
tencent-ailab/PCDMs:metrics.py, ankanbhunia/PIDM:utils/metrics.py,
RenYurui/Global-Flow-Local-Attention:script/metrics.py,
tengteng95/Pose-Transfer:tool/crop_fashion.py, AliaksandrSiarohin/pose-gan:test.py (names joined by
one underscore, tiles in the order `iog`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pcdms_data.names import parse_fashion
from pcdms_data.types import InputError, flat_stem, make_pair_id

Way = tuple[str, str]
"""(text between source and target, text after the target), extension left out."""

_EXTENSIONS = re.compile(r"(?:\.(?:jpg|jpeg|png))+$", re.IGNORECASE)
_AFTER_EXTENSION = re.compile(r"\.(?:jpg|jpeg|png)_", re.IGNORECASE)
_PREFIX = "deep"
"""PIDM's ground truth folder spells `deepfashion...` what its results call `fashion...`."""


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


class SpeltNames:
    """Looks up picture names in any spelling: flat, underscores, Def-GAN, with extensions or not.

    `names` are file names or stems; the answer is always the stem that was given.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._spelt: dict[str, str | None] = {}
        for name in names:
            stem = flat_stem(name) if _EXTENSIONS.search(name) else name
            self._exact[stem] = stem
            for spelling in _spellings(stem):
                known = self._spelt.setdefault(spelling, stem)
                if known != stem:
                    self._spelt[spelling] = None  # two pictures: such a spelling tells neither

    def find(self, text: str) -> str | None:
        """Return the stem that `text` spells, None where it is none or could be two."""
        if text in self._exact:
            return text
        bare = _EXTENSIONS.sub("", text)
        return self._spelt.get(bare) or self._spelt.get(bare.removeprefix(_PREFIX))

    def stems(self) -> Iterator[str]:
        """Yield every stem, in the order given."""
        yield from self._exact


def _spellings(stem: str) -> set[str]:
    bare = _EXTENSIONS.sub("", stem)
    found = {bare, bare.removeprefix(_PREFIX)}
    parsed = parse_fashion(f"{bare.removeprefix(_PREFIX)}.jpg")
    if parsed is not None:
        found |= {flat_stem(name) for name in (parsed.flat, parsed.underscores, parsed.defgan)}
    return found


@dataclass(frozen=True)
class Known:
    """What names are compared with: a pair list, the names of targets, or nothing.

    `pairs` maps (source stem, target stem) to the pair id, in the order of the list.
    """

    pairs: Mapping[tuple[str, str], str] | None = None
    targets: SpeltNames | None = None
    _sources: SpeltNames | None = None

    @classmethod
    def of_pairs(cls, names: Sequence[tuple[str, str, str]]) -> Known:
        """Return what a pair list knows; `names` are (source, target, pair id)."""
        pairs = {(flat_stem(source), flat_stem(target)): pair for source, target, pair in names}
        return cls(
            pairs, SpeltNames(target for _, target, _ in names),
            SpeltNames(source for source, _, _ in names),
        )  # fmt: skip

    def pair_of(self, source: str, target: str) -> tuple[str, str] | None:
        """Return the (source stem, target stem) that two spellings name, None for no known pair."""
        if self.targets is None:
            return _EXTENSIONS.sub("", source), _EXTENSIONS.sub("", target)
        to = self.targets.find(target)
        if to is None:
            return None
        if self._sources is None or self.pairs is None:
            return _EXTENSIONS.sub("", source), to
        start = self._sources.find(source)
        return (start, to) if start is not None and (start, to) in self.pairs else None


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
    pairs = [known.pair_of(*cut) for cut in _cuts(file.stem, naming.ways)]
    fitting = list(dict.fromkeys(pair for pair in pairs if pair is not None))
    if not fitting or (known.pairs is not None and len(fitting) > 1):
        return None
    # Without a list every cut of the source is possible: the longest known target, else the last
    # separator, as the published rules have it.
    chosen = max(fitting, key=lambda pair: len(pair[1])) if known.targets else fitting[0]
    if known.pairs is not None:
        return NamedFile(known.pairs[chosen], chosen[1], file)
    try:
        return NamedFile(make_pair_id(f"{chosen[0]}.", f"{chosen[1]}."), chosen[1], file)
    except InputError:
        return None


def _cuts(stem: str, ways: Sequence[Way]) -> Iterator[tuple[str, str]]:
    """Yield every (source, target) a name can be cut into, the last separator first."""
    for separator, ending in ways:
        if not stem.endswith(ending):
            continue
        text = stem.removesuffix(ending)
        if separator == "_":  # one underscore is no separator unless an extension stands before it
            places = [match.end() - 1 for match in _AFTER_EXTENSION.finditer(text)]
            places += [at for at, letter in enumerate(text) if letter == "_" and at not in places]
        else:
            places = [match.start() for match in re.finditer(f"(?={separator})", text)][::-1]
        for at in places:
            source, target = text[:at], text[at + len(separator) :]
            if source and target:
                yield source, target


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
