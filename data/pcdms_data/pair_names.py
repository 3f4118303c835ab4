"""File names of foreign results, cut into a source and a target that a pair list knows.

Separators such as `_2_` also occur inside picture names, so that a name is never cut blindly: every
cut is looked up in the list, in any spelling of the names. Both the released folders that are
scored and the pictures that an official repository leaves are read in this way. Sources of the
spellings: tengteng95/Pose-Transfer:tool/crop_fashion.py, ankanbhunia/PIDM:utils/metrics.py,
AliaksandrSiarohin/pose-gan:test.py (names joined by one underscore).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pcdms_data.names import parse_fashion
from pcdms_data.types import flat_stem

Way = tuple[str, str]
"""(text between source and target, text after the target), extension left out."""

_EXTENSIONS = re.compile(r"(?:\.(?:jpg|jpeg|png))+$", re.IGNORECASE)
_AFTER_EXTENSION = re.compile(r"\.(?:jpg|jpeg|png)_", re.IGNORECASE)
_PREFIX = "deep"
"""PIDM's ground truth folder spells `deepfashion...` what its results call `fashion...`."""


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


def pair_of_name(stem: str, ways: Sequence[Way], known: Known) -> tuple[str, str] | None:
    """Return the (source stem, target stem) that a file name without its extension tells.

    None where no cut of it is known, and with a pair list also where two pairs could be meant.
    Without a list every cut of the source is possible: the longest known target counts, else the
    last separator, as the published rules have it.
    """
    pairs = [known.pair_of(*cut) for cut in _cuts(stem, ways)]
    fitting = list(dict.fromkeys(pair for pair in pairs if pair is not None))
    if not fitting or (known.pairs is not None and len(fitting) > 1):
        return None
    return max(fitting, key=lambda pair: len(pair[1])) if known.targets else fitting[0]


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
