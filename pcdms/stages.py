"""Stage names and the combinations that can run."""

from __future__ import annotations

from collections.abc import Sequence
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

REFINE_OVER = "final+refine"
"""The stage `refine` over pictures of another method, which that method's stage `final` left."""

EVERY_LIST = (*STAGE_LISTS, REFINE_OVER)

PARTS = ("prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder")
"""The parts of a model directory, each a sub-folder."""

STAGE_PARTS = {
    "prior": ("prior", "image_encoder"),
    "truth": ("image_encoder",),
    "final": (),
    "inpaint": ("inpaint", "vae", "source_encoder"),
    "refine": ("refine", "vae", "source_encoder"),
}
"""Stage -> the parts of a model directory that it computes with."""


def parts_for(stages: str, null: str = "published") -> tuple[str, ...]:
    """Return the parts that a stage list needs, in the order of `PARTS`.

    The trained null branch of `inpaint` holds the embedding of the zero picture, hence the image
    encoder.
    """
    names = parse_stages(stages, EVERY_LIST)
    needed = {part for name in names for part in STAGE_PARTS[name]}
    if null == "trained" and "inpaint" in names:
        needed.add("image_encoder")
    return tuple(part for part in PARTS if part in needed)


def parse_stages(stages: str, lists: Sequence[str] = STAGE_LISTS) -> tuple[str, ...]:
    """Return the stage names of `stages`; raises InputError unless it is one of `lists`."""
    if stages not in lists:
        near = get_close_matches(stages, lists, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"unknown stage list {stages!r}, expected one of {', '.join(lists)}{hint}")
    return tuple(stages.split("+"))
