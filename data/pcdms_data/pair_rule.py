"""The published rule that makes pair lists from key points, in the published order.

All ordered pairs of one group whose pictures both show shoulders and hips; the test lists are the
first 12,000 rows at most of those in a random order that pandas once drew with seed 0. The random
order is computed here in whole numbers (Mersenne Twister, masked rejection, swaps from the end),
so that no release of NumPy or pandas can change a list. Source: tengteng95/Pose-Transfer,
tool/create_pairs_dataset.py; numpy/numpy, numpy/random/src/legacy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pcdms_data.names import MARKET, group_of, is_junk, parse_fashion
from pcdms_data.pair_set import PairRows, ordered_pairs
from pcdms_data.types import InputError

TEST_ROWS = 12_000
"""Length that the published test lists are cut to."""

KNOWN_LISTS: dict[str, str] = {
    "3da031d5b376d544a1cc6e24f2618d9909e8d3bd4f9f44d7f355c9e02be644ba": (
        "the published DeepFashion test list (8,570 pairs)"
    ),
    "3384a3a2242adde1a9437a6e8bc5e827a348ce86859f655cc42144a2d82178f6": (
        "the published DeepFashion test list with tree names (8,570 pairs)"
    ),
    "3594bd8b677d2b4af69bea783eaeb0283432957691c6f00b20f4b31c2421b5e2": (
        "the published Def-GAN DeepFashion test list (8,670 pairs)"
    ),
    "4db9c2cc128070c6d060990ea0ec6234675a4c94dbc58b0ec00a0cb027edd551": (
        "the published Market-1501 test list (12,000 pairs)"
    ),
    "3ae6ffea206c1ec32b5f8e6aced8031cef8b2ee8798a6bedd6132408950d1fb6": (
        "the Market-1501 training list of the published rule (263,632 pairs)"
    ),
}
"""SHA-256 of the text of a pair list -> what it is."""

_STATE = 624
_SHIFT = 397
_UPPER = np.uint32(0x80000000)
_LOWER = np.uint32(0x7FFFFFFF)
_TWIST = np.uint32(0x9908B0DF)


def published_rows(
    names: Sequence[str], visible: NDArray[np.bool_], dataset: str, split: str
) -> PairRows:
    """Return the pairs (N, 2) that the published rule makes of the pictures of one split.

    `names` are flat names in the order of the annotation file, `visible` bool (pictures, 18);
    `dataset` and `split` are names of the command line. The test split is sampled, the others are
    whole. Junk and distractors of Market-1501 (`-1`, `0000`) enter no pair.
    Raises InputError where names and key points differ in number.
    """
    if visible.shape != (len(names), 18):
        raise InputError(
            f"{len(names)} names with key points of shape {visible.shape}, "
            f"expected ({len(names)}, 18)"
        )
    if dataset == "market1501":
        person = np.array([not is_junk(name) for name in names], dtype=np.bool_)
        visible = visible & person[:, None]
    rows = ordered_pairs([group_of(dataset, name) for name in names], visible)
    if split != "test":
        return rows
    return rows[legacy_permutation(len(rows))[:TEST_ROWS]]


def check_names(names: Sequence[str], dataset: str, where: str) -> None:
    """Refuse names of the other dataset, whose groups would be cut wrongly without a word."""
    for name in names:
        if dataset == "deepfashion" and MARKET.fullmatch(name):
            raise InputError(f"{where} names {name}, a picture of Market-1501, not of DeepFashion")
        if dataset == "market1501" and parse_fashion(name):
            raise InputError(f"{where} names {name}, a picture of DeepFashion, not of Market-1501")


def legacy_permutation(count: int, seed: int = 0) -> NDArray[np.int64]:
    """Return what `numpy.random.RandomState(seed).permutation(count)` is, int64 (count,).

    `seed` from 0 to 2**32 - 1, `count` up to 2**32.
    """
    order = list(range(count))
    words = _words(seed)
    for last in range(count - 1, 0, -1):
        mask = (1 << last.bit_length()) - 1
        other = next(words) & mask
        while other > last:
            other = next(words) & mask
        order[last], order[other] = order[other], order[last]
    return np.array(order, dtype=np.int64)


def _words(seed: int) -> Iterator[int]:
    """Yield the 32-bit words of the Mersenne Twister (MT19937) initialised with one number."""
    state = _initial_state(seed)
    while True:
        state = _next_state(state)
        yield from _tempered(state).tolist()


def _initial_state(seed: int) -> NDArray[np.uint32]:
    words = [seed & 0xFFFFFFFF]
    for position in range(1, _STATE):
        previous = words[-1]
        words.append((1812433253 * (previous ^ previous >> 30) + position) & 0xFFFFFFFF)
    return np.array(words, dtype=np.uint32)


def _next_state(old: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the next 624 words of state.

    Word i is made of the old words i and i + 1 and of word i + 397, which is an old one for the
    first 227 words and a new one for the others; the last word takes the first new one.
    """
    new = np.empty_like(old)
    mixed = _mixed(old[:-1], old[1:])
    first = _STATE - _SHIFT
    new[:first] = old[_SHIFT:] ^ mixed[:first]
    new[first : 2 * first] = new[:first] ^ mixed[first : 2 * first]
    new[2 * first : -1] = new[first : _SHIFT - 1] ^ mixed[2 * first :]
    new[-1:] = new[_SHIFT - 1 : _SHIFT] ^ _mixed(old[-1:], new[:1])
    return new


def _mixed(upper: NDArray[np.uint32], lower: NDArray[np.uint32]) -> NDArray[np.uint32]:
    joined = (upper & _UPPER) | (lower & _LOWER)
    return (joined >> np.uint32(1)) ^ (joined & np.uint32(1)) * _TWIST


def _tempered(state: NDArray[np.uint32]) -> NDArray[np.uint32]:
    words = state ^ (state >> np.uint32(11))
    words ^= (words << np.uint32(7)) & np.uint32(0x9D2C5680)
    words ^= (words << np.uint32(15)) & np.uint32(0xEFC60000)
    return words ^ (words >> np.uint32(18))


def pair_list_text(names: Sequence[str], rows: PairRows) -> str:
    """Return the CSV text of a pair list: `from,to`, then one pair of names a line, LF ends."""
    lines = (f"{names[source]},{names[target]}\n" for source, target in rows.tolist())
    return "from,to\n" + "".join(lines)
