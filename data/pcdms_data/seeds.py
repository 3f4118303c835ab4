"""One random seed per pair, stage and sample, so that no picture depends on its neighbours."""

from __future__ import annotations

from hashlib import blake2b


def pair_seed(seed: int, pair_id: str, stage: str, sample: int) -> int:
    """Return an integer in [0, 2**63) that depends on all four arguments and nothing else.

    Source: the reproducibility rule of the project, `blake2b(seed, pair_id, stage, sample)`.
    """
    text = "\x1f".join((str(seed), pair_id, stage, str(sample)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
