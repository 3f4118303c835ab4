"""What a study asks: pictures to judge in a round per method, and cases to choose in; by seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pcdms_bench.study.competitors import Competitor
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Pair, PictureError

USUAL = 30
"""Real pictures, generated pictures and cases of the published studies (PIDM, section 4)."""


@dataclass(frozen=True)
class Questions:
    """The draw of a study, as pairs; the picture of a real one is its target."""

    generated: tuple[Pair, ...]
    """Judged by the picture that each method made; the same pairs for all methods."""
    real: dict[str, tuple[Pair, ...]]
    """Method -> the pairs whose targets are judged in its round."""
    cases: tuple[Pair, ...]
    """Pairs whose pictures by all methods stand side by side; none with one method."""
    repeated: int
    """How many showings of a real picture are not its first, for want of other real pictures."""
    problems: tuple[str, ...]
    """Pairs that were left out, each with the reason."""


def draw_questions(
    competitors: Sequence[Competitor], pairs: Sequence[Pair], count: int | None, seed: int
) -> Questions:
    """Draw `count` real and generated pictures per method and as many cases, from `seed` alone.

    A round of as many real as generated pictures per method keeps its R2G apart from that of the
    others, and a rater's guess at even odds. Within a round no picture comes twice, the generated
    pictures are of the same pairs in all rounds, and real pictures and cases are taken from other
    pairs as far as there are enough. `count` None: 30, or all where there are fewer. A pair of
    which any picture is missing or cannot be decoded is left out and reported.
    Raises InputError where `count` pictures are not there.
    """
    # In an order of their own first: two runs may list the same pairs differently.
    known = sorted(pairs, key=lambda pair: pair.pair_id)
    order = np.random.default_rng((seed, len(pairs))).permutation(len(pairs))
    shuffled = [known[i] for i in order]
    ids = [pair.pair_id for pair in shuffled]
    problems = {
        pair_id: f"{one.method} has no picture"
        for one in competitors
        for pair_id in one.missing(ids)
    }
    there = [pair for pair in shuffled if pair.pair_id not in problems]
    wanted = USUAL if count is None else count
    usable = list(_usable(there, competitors, 2 * wanted, problems))
    targets = _distinct_targets(usable, there, wanted * len(competitors), problems)
    most = min(len(usable), len(targets))
    if most < (1 if count is None else wanted):
        raise InputError(
            f"{wanted} pictures were asked for, but the runs hold {most} pairs with a different "
            f"target and all pictures, of {len(pairs)}: {_some(problems)}"
        )
    number = min(wanted, most)
    rounds = _rounds(targets, number, competitors)
    cases = (usable[number:] + usable[:number])[:number] if len(competitors) > 1 else []
    return Questions(
        generated=tuple(usable[:number]),
        real=rounds,
        cases=tuple(cases),
        repeated=max(0, number * len(competitors) - len(targets)),
        problems=tuple(f"{pair_id}: {reason}" for pair_id, reason in problems.items()),
    )


def _rounds(
    targets: Sequence[Pair], number: int, competitors: Sequence[Competitor]
) -> dict[str, tuple[Pair, ...]]:
    """Deal the real pictures to the methods in turn, beginning anew when they are used up."""
    dealt = {}
    for place, one in enumerate(competitors):
        start = place * number
        dealt[one.method] = tuple(targets[(start + i) % len(targets)] for i in range(number))
    return dealt


def _usable(
    pairs: Sequence[Pair], competitors: Sequence[Competitor], count: int, problems: dict[str, str]
) -> Iterator[Pair]:
    """Yield the first `count` pairs all of whose pictures can be decoded; notes the others."""
    for pair in pairs:
        if not count:
            return
        try:
            for picture in (pair.source, pair.target):
                load_picture(picture)
            for one in competitors:
                load_picture(one.picture(pair.pair_id))
        except PictureError as error:
            problems[pair.pair_id] = str(error)
            continue
        count -= 1
        yield pair


def _distinct_targets(
    usable: Sequence[Pair], there: Sequence[Pair], count: int, problems: dict[str, str]
) -> list[Pair]:
    """Return up to `count` pairs with different targets, those of no other question first."""
    asked = {pair.target.name for pair in usable}
    fresh = [pair for pair in there if pair.target.name not in asked]
    found: dict[str, Pair] = {}
    for pair in (*fresh, *reversed(usable)):
        if len(found) == count:
            break
        if pair.target.name in found or pair.pair_id in problems:
            continue
        try:
            load_picture(pair.target)
        except PictureError as error:
            problems[pair.pair_id] = str(error)
            continue
        found[pair.target.name] = pair
    return list(found.values())


def _some(problems: dict[str, str]) -> str:
    """Return the first problem in words."""
    if not problems:
        return "nothing is missing"
    pair_id, reason = next(iter(problems.items()))
    return f"{len(problems)} left out, the first is {pair_id}: {reason}"
