"""How many pictures, groups and pairs the published splits have. Nobody's copy should differ.

Counted in the lists of tengteng95/Pose-Transfer, sgoldyaev/DeepFashion.ADGAN and
myeongjun2/pose-guided-human-image-generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from pcdms_data.names import parse_fashion
from pcdms_data.pair_rule import KNOWN_LISTS, pair_list_text
from pcdms_data.pair_set import PairRows


@dataclass(frozen=True)
class PublishedSplit:
    """One published split.

    `pictures` are all numbers it can have: some layouts leave out those without a pair.
    """

    name: str
    pictures: tuple[int, ...]
    pairs: int


PUBLISHED: dict[tuple[str, str], tuple[PublishedSplit, ...]] = {
    ("deepfashion", "test"): (
        PublishedSplit("PATN test", (4038, 3144), 8570),
        PublishedSplit("Def-GAN test", (4061,), 8670),
        PublishedSplit("Def-GAN new split test", (8146,), 12_000),
    ),
    ("deepfashion", "train"): (PublishedSplit("PATN train", (48_674, 37_016), 101_966),),
    ("market1501", "test"): (PublishedSplit("Market-1501 test", (19_732,), 12_000),),
    ("market1501", "train"): (PublishedSplit("Market-1501 train", (12_936,), 263_632),),
}
"""(dataset, split) -> the splits in use, the common one first."""

SHARED_ITEMS = 503
"""Garments (gender, category, number) that PATN's training and test split share."""


def compared_with_published(dataset: str, split: str, pictures: int, pairs: int) -> str:
    """Return in words how the numbers of a split stand to the published ones, "" where none are."""
    known = PUBLISHED.get((dataset, split), ())
    if not known:
        return ""
    for one in known:
        if pairs == one.pairs and pictures in one.pictures:
            return f"the numbers of {one.name}"
    usual = known[0]
    return (
        f"not the published set: {usual.name} has {usual.pictures[0]:,} pictures and "
        f"{usual.pairs:,} pairs"
    )


def known_list(names: Sequence[str], rows: PairRows) -> str:
    """Return what the pair list is where it equals a published one, pair by pair, else "".

    `names` are flat; the list is compared in the flat spelling and in that of Def-GAN.
    """
    spellings = [list(names)]
    parsed = [parse_fashion(name) for name in names]
    if parsed and all(parsed):
        spellings.append([one.defgan for one in parsed if one is not None])
    for spelt in spellings:
        digest = sha256(pair_list_text(spelt, rows).encode()).hexdigest()
        if digest in KNOWN_LISTS:
            return KNOWN_LISTS[digest]
    return ""
