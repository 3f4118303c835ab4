"""Stage names and the combinations that can run."""

from __future__ import annotations

from difflib import get_close_matches

from pcdms_data.types import InputError

STAGE_LISTS = (
    "prior+inpaint+refine",
    "prior+inpaint",
    "inpaint+refine",
    "inpaint",
    "truth+inpaint+refine",
    "truth+inpaint",
    "prior",
)
"""Combinations in pipeline order; `truth` puts the true target embedding in the prior's place."""


def parse_stages(stages: str) -> tuple[str, ...]:
    """Return the stage names of `stages`; raises InputError with the choices for any other list."""
    if stages not in STAGE_LISTS:
        near = get_close_matches(stages, STAGE_LISTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(
            f"unknown stage list {stages!r}, expected one of {', '.join(STAGE_LISTS)}{hint}"
        )
    return tuple(stages.split("+"))
