"""The words of a check: what `data check` prints."""

from __future__ import annotations

from collections.abc import Sequence

from pcdms_data.checking import CheckReport, SplitCounts
from pcdms_data.preparing.problems import listing
from pcdms_data.published_counts import SHARED_ITEMS

_COLUMNS = ("split", "pictures", "groups", "items", "pairs", "no joints", "frame", "stored")


def report_text(report: CheckReport, most: int = 5) -> str:
    """Return the report in plain text, at most `most` lines for each kind of finding."""
    lines = [
        f"root        {report.root}",
        f"dataset     {report.dataset}",
        f"layout      {report.layout}: {report.found}",
    ]
    if report.others:
        lines.append(f"also fits   {', '.join(report.others)}; choose with --layout")
    if report.convention:
        lines.append(f"convention  {report.convention}")
    if report.splits:
        lines += ["", *_table(report.splits), *_comparison(report)]
    for title, findings in (("notes", report.notes), ("problems", report.problems)):
        if findings:
            lines += ["", title, listing(findings, most)]
    return "\n".join([*lines, "", report.verdict, f"next: {report.next_command}"])


def _comparison(report: CheckReport) -> list[str]:
    """Return how the splits stand to the published ones and to each other."""
    lines = []
    for one in report.splits:
        if one.published:
            lines.append(f"{one.split}: {one.published}")
        if one.list_known_as:
            lines.append(f"{one.split}: the pair list is {one.list_known_as}")
    for shared in report.overlaps:
        line = f"train and {shared.split} share {shared.pictures} pictures, {shared.groups} groups"
        if shared.items is not None:
            line += f", {shared.items} items"
            published = report.dataset == "deepfashion" and shared.split == "test"
            line += f" ({SHARED_ITEMS} in the published split)" if published else ""
        lines.append(line)
    return lines


def _table(splits: Sequence[SplitCounts]) -> list[str]:
    rows = [_COLUMNS, *(_cells(one) for one in splits)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cells(one: SplitCounts) -> tuple[str, ...]:
    numbers = (one.pictures, one.groups, one.items, one.pairs, one.without_joints)
    cells = ("-" if number is None else f"{number:,}" for number in numbers)
    return (one.split, *cells, one.resolution, one.stored or "-")
