"""The ablation over stages: which runs hold the pictures of which stage subsets."""

from __future__ import annotations

from collections.abc import Sequence

VARIANTS = (
    "inpaint",
    "prior+inpaint",
    "truth+inpaint",
    "inpaint+refine",
    "prior+inpaint+refine",
    "truth+inpaint+refine",
)
"""Stage subsets that leave pictures. Without `prior` and `truth` the stage `inpaint` gets the null
embedding; `truth` gives it the target's own, which bounds what a prior can bring."""


def covering_runs(variants: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest stage lists whose runs hold the pictures of all `variants`.

    A run leaves the pictures of every stage, so `prior+inpaint` is part of `prior+inpaint+refine`.
    """
    return tuple(
        one
        for one in variants
        if not any(other != one and other.startswith(f"{one}+") for other in variants)
    )
