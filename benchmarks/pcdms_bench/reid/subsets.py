"""Which real training pictures a share keeps: drawn per person, every share inside a larger one."""

from __future__ import annotations

from collections.abc import Sequence

from pcdms_data.persons import PersonPicture
from pcdms_data.seeds import pair_seed
from pcdms_data.types import InputError, flat_stem

ALL = 100
"""The share that keeps every picture, in percent."""


def parse_fractions(text: str) -> tuple[int, ...]:
    """Return the shares of `20,40,100`, whole percentages, ascending.

    Raises InputError on anything but different whole numbers from 1 to 100.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdigit() and 1 <= int(part) <= ALL):
            raise InputError(
                f"fraction {part!r} in {text!r}: expected whole percentages from 1 to {ALL}, such "
                "as 20,40,60,80,100"
            )
    shares = [int(part) for part in parts]
    if len(set(shares)) != len(shares):
        raise InputError(f"fractions {text!r} name a share twice, expected different ones")
    return tuple(sorted(shares))


def kept_pictures(
    pictures: Sequence[PersonPicture], percent: int, seed: int
) -> tuple[PersonPicture, ...]:
    """Return the pictures that a share of `percent` (1 to 100) keeps, in their order.

    Every person keeps the rounded share of its pictures, at least one, drawn by name and seed; what
    a share keeps, a larger one of the same seed keeps too. That each person keeps a picture is as
    published (IMAGPose, table 4); how the published subsets were drawn is not recorded.
    """
    members: dict[str, list[PersonPicture]] = {}
    for one in pictures:
        members.setdefault(one.person, []).append(one)
    kept: set[str] = set()
    for own in members.values():
        own.sort(key=lambda one: pair_seed(seed, flat_stem(one.picture.name), "reid", 0))
        count = max(1, (len(own) * percent + ALL // 2) // ALL)
        kept.update(one.picture.name for one in own[:count])
    return tuple(one for one in pictures if one.picture.name in kept)
