"""The rows of a table that make an ablation: stage subsets of one method, and refined methods."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from pcdms_reports.stage_rows import StageRow, StageTable
from pcdms_reports.tables import REFINED

Specs = Mapping[str, Mapping[str, object] | None]
"""{run: its specification}."""


def ablation_rows(table: StageTable, specs: Specs) -> StageTable | None:
    """Return the table with the rows of an ablation alone, named by their stages.

    None unless a method was run with several lists of stages, or with `refine` behind it. Of a
    method's runs those count that differ in their stages alone; of several such sets, the largest.
    Subsets that two runs share stand once.
    """
    staged = [row for row in table.rows if row.stage != "final" and not _refined(row)]
    sets: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in staged:
        members = sets.setdefault((row.method, _all_else(specs.get(row.run))), {})
        members.setdefault(row.stages, []).append(row.run)
    several: set[str] = set()
    kept: set[str] = set()
    for method in dict.fromkeys(row.method for row in staged):
        found = max((m for (name, _), m in sets.items() if name == method), key=len)
        if len(found) > 1:
            several.add(method)
            kept |= {run for runs in found.values() for run in runs}
    coarse = {row.method.removesuffix(REFINED) for row in table.rows if _refined(row)}
    rows: dict[str, StageRow] = {}
    for row in table.rows:
        if row.method in several:
            if row.run not in kept:
                continue
            rows.setdefault(_path(row), replace(row, label=_path(row)))
        elif row.method in coarse or row.method.removesuffix(REFINED) in coarse:
            rows.setdefault(row.method, replace(row, label=row.method))
    if len(rows) < 2:
        return None
    order = sorted(rows.values(), key=lambda row: (row.method not in several, _place(row.label)))
    return replace(table, rows=tuple(order))


def _all_else(spec: Mapping[str, object] | None) -> str:
    """Return what a run was asked for beside its stages."""
    rest = {key: value for key, value in (spec or {}).items() if key != "stages"}
    return json.dumps(rest, sort_keys=True, default=str)


def _refined(row: StageRow) -> bool:
    return row.method.endswith(REFINED)


def _path(row: StageRow) -> str:
    """Return the stages up to the row's own."""
    names = row.stages.split("+")
    return "+".join(names[: names.index(row.stage) + 1]) if row.stage in names else row.stages


def _place(label: str) -> tuple[str, bool]:
    """Return what orders a label: by its coarse stages, the one without refining first."""
    return label.removesuffix(REFINED), label.endswith(REFINED)
