"""What sources print of a method beside the numbers of a table: other frames, variants, recipes."""

from __future__ import annotations

from collections.abc import Sequence

from pcdms_reports.paper_tables.published_cells import PublishedCells, agree, making_words
from pcdms_reports.published import UNKNOWN, PublishedValue, load_published

MAIN_FRAME = "256x176"
LOOSE_FRAMES = ("256x256", "256x256-padded", UNKNOWN)
"""Frames whose numbers are quoted beside those of the main frame, which they are mistaken for."""


def elsewhere(
    dataset: str,
    resolution: str,
    spellings: Sequence[str],
    published: PublishedCells,
    metric: str,
) -> dict[str, str]:
    """Return {method: one sentence} with the numbers that cannot stand in the method's own cell."""
    found: dict[str, list[str]] = {}
    for value in load_published("quantitative"):
        if value.dataset != dataset or value.metric not in spellings:
            continue
        cell = published.kept.get((value.method, metric), ())
        if value in cell or (not value.variant and any(agree(value, one) for one in cell)):
            continue
        here = value.resolution == resolution
        loose = resolution == MAIN_FRAME and value.resolution in LOOSE_FRAMES
        if not (loose or (here and _apart(value, published))):
            continue
        found.setdefault(value.method, []).append(_words(value, here))
    return {
        method: f"{spellings[0]} of {method} elsewhere: {'; '.join(texts)}"
        for method, texts in found.items()
    }


def _apart(value: PublishedValue, published: PublishedCells) -> bool:
    """Return whether a number of the same frame is another quantity than the table's."""
    protocols = {kept.protocol for cell in published.kept.values() for kept in cell}
    return bool(value.variant) or value.protocol not in protocols


def _words(value: PublishedValue, here: bool) -> str:
    where = "" if here else f" at {value.resolution}"
    if value.resolution == UNKNOWN:
        where = ", frame not stated"
    variant = f", {value.variant}" if value.variant else ""
    making = making_words([value])
    return f"{value.text}{where}{variant} ({making})"
