"""The result of a comparison in two or three plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pcdms_reports.stage_rows import StageCell, StageRow, StageTable

# The first of these that has numbers carries the summary: the person counts, not the backdrop.
LEADING = ("masked_l1", "ssim", "l1", "psnr")


def summarise(
    tables: Sequence[StageTable],
    scores: pd.DataFrame,
    paired: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """Return what the tables of one comparison say, and how many numbers are missing.

    `paired` = {(metric, label of a row): words on how the leading row differs from it on the same
    pairs}; without them all that is said is whether the two intervals overlap.
    """
    where = f"of {scores['dataset'].iloc[0]} ({scores['split'].iloc[0]} split)"
    sentences = [_leading_sentence(tables, where, paired or {}), _missing_sentence(scores)]
    return " ".join(sentence for sentence in sentences if sentence)


def _leading_sentence(
    tables: Sequence[StageTable], where: str, paired: Mapping[tuple[str, str], str]
) -> str:
    for metric in LEADING:
        for table in tables:
            names = [words.name for words in table.columns]
            if metric in names:
                sentence = _compare(table, names.index(metric), where, paired)
                if sentence:
                    return sentence
    return "No picture of this comparison could be scored."


def _compare(
    table: StageTable, index: int, where: str, paired: Mapping[tuple[str, str], str]
) -> str:
    """Return how the last stage of the staged method stands against the best of the others."""
    words = table.columns[index]
    rows = _ranked(table, index)
    lead = leading_row(table, index)
    if lead is None:
        return ""
    staged = [row for row in rows if _is_staged(row)]
    ranked = sorted(rows, key=lambda row: _loss(row.cells[index], words.direction))
    pairs = "pair" if lead.count == "1" else "pairs"
    text = (
        f"On {lead.count} {pairs} {where}, {lead.label} has a {words.title} of "
        f"{lead.cells[index].text} ({words.phrase})"
    )
    sentences = []
    others = [row for row in ranked if row.method != lead.method]
    verdict = ""
    if others:
        words_of_pairs = paired.get((words.name, others[0].label), "")
        verdict = f"; {_verdict(lead, others[0], index, words.direction, words_of_pairs)}"
    sentences.append(f"{text}{verdict}.")
    before = [row for row in staged if row.run == lead.run and row.stage != lead.stage]
    if before:
        sentences.append(
            f"The stage before, {before[-1].stage}, has {before[-1].cells[index].text}."
        )
    return " ".join(sentences)


def leading_row(table: StageTable, index: int) -> StageRow | None:
    """Return the row a comparison is about: the last stage of the staged method, else the best.

    `index` is the column that counts; None where no row that may be ranked has a number there.
    """
    rows = _ranked(table, index)
    staged = [row for row in rows if _is_staged(row)]
    if staged:
        return max(staged, key=lambda row: _STAGES.index(row.stage))
    direction = table.columns[index].direction
    return min(rows, key=lambda row: _loss(row.cells[index], direction), default=None)


def _ranked(table: StageTable, index: int) -> list[StageRow]:
    return [row for row in table.rows if row.cells[index].value is not None and not row.bound]


def _is_staged(row: StageRow) -> bool:
    return row.stage != "final" and "final" not in row.stages


def _verdict(lead: StageRow, other: StageRow, index: int, direction: str, paired: str) -> str:
    a, b = lead.cells[index], other.cells[index]
    against = f"{other.label}, the best other method, with {b.text}"
    if a.value == b.value:
        verdict = f"that is equal to {against}"
    elif _loss(a, direction) < _loss(b, direction):
        verdict = f"that is better than {against}"
    else:
        verdict = f"that is behind {against}"
    if paired:
        return f"{verdict}; {paired}"
    if None in (a.low, a.high, b.low, b.high):
        return verdict
    apart = a.high < b.low or b.high < a.low  # type: ignore[operator]
    return f"{verdict}; their intervals {'do not overlap' if apart else 'overlap'}"


def _loss(cell: StageCell, direction: str) -> float:
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
