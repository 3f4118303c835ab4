"""The result of a comparison in two or three plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pcdms_reports.tables import Cell, StageRow, StageTable

# The first of these that has numbers carries the summary: the person counts, not the backdrop.
LEADING = ("masked_l1", "ssim", "l1", "psnr")


def summarise(tables: Sequence[StageTable], scores: pd.DataFrame) -> str:
    """Return what the tables of one comparison say, and how many numbers are missing."""
    where = f"of {scores['dataset'].iloc[0]} ({scores['split'].iloc[0]} split)"
    sentences = [_leading_sentence(tables, where), _missing_sentence(scores)]
    return " ".join(sentence for sentence in sentences if sentence)


def _leading_sentence(tables: Sequence[StageTable], where: str) -> str:
    for metric in LEADING:
        for table in tables:
            names = [words.name for words in table.columns]
            if metric in names:
                sentence = _compare(table, names.index(metric), where)
                if sentence:
                    return sentence
    return "No picture of this comparison could be scored."


def _compare(table: StageTable, index: int, where: str) -> str:
    """Return how the last stage of the staged method stands against the best of the others."""
    words = table.columns[index]
    rows = [row for row in table.rows if row.cells[index].value is not None and not row.bound]
    if not rows:
        return ""
    staged = [row for row in rows if row.stage != "final" and "final" not in row.stages]
    ours = max(staged, key=lambda row: _STAGES.index(row.stage)) if staged else None
    ranked = sorted(rows, key=lambda row: _loss(row.cells[index], words.direction))
    lead = ours or ranked[0]
    pairs = "pair" if lead.count == "1" else "pairs"
    text = (
        f"On {lead.count} {pairs} {where}, {lead.label} has a {words.title} of "
        f"{lead.cells[index].text} ({words.phrase})"
    )
    sentences = []
    others = [row for row in ranked if row.method != lead.method]
    sentences.append(
        f"{text}; {_verdict(lead, others[0], index, words.direction)}." if others else f"{text}."
    )
    before = [row for row in staged if row.run == lead.run and row.stage != lead.stage]
    if before:
        sentences.append(
            f"The stage before, {before[-1].stage}, has {before[-1].cells[index].text}."
        )
    return " ".join(sentences)


def _verdict(lead: StageRow, other: StageRow, index: int, direction: str) -> str:
    a, b = lead.cells[index], other.cells[index]
    against = f"{other.label}, the best other method, with {b.text}"
    if a.value == b.value:
        verdict = f"that is equal to {against}"
    elif _loss(a, direction) < _loss(b, direction):
        verdict = f"that is better than {against}"
    else:
        verdict = f"that is behind {against}"
    if None in (a.low, a.high, b.low, b.high):
        return verdict
    apart = a.high < b.low or b.high < a.low  # type: ignore[operator]
    return f"{verdict}; their intervals {'do not overlap' if apart else 'overlap'}"


def _loss(cell: Cell, direction: str) -> float:
    value = cell.value or 0.0
    return -value if direction == "up" else abs(value - 1) if direction == "one" else value


def _missing_sentence(scores: pd.DataFrame) -> str:
    missing = scores[scores["status"].isin(["unavailable", "failed"])]
    if not len(missing):
        return "Every number could be computed."
    metrics = len(set(missing["metric"]))
    return (
        f"{len(missing)} of {len(scores)} numbers ({metrics} metric{'s' if metrics > 1 else ''}) "
        "are missing; the reasons are listed below."
    )


_STAGES = ("prior", "inpaint", "refine", "final")
