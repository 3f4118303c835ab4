"""Which stages stand behind a score: the stages of its run, up to the one that was scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pcdms_reports.paper_tables.measured_rows import MeasuredRow, measured_rows
from pcdms_reports.paper_tables.request import TableRequest
from pcdms_reports.paper_tables.stored_runs import StoredRuns
from pcdms_reports.tables import REFINED, comparable_frames

STAGED = ("inpaint", "prior+inpaint", "truth+inpaint", "inpaint+refine", "prior+inpaint+refine",
          "truth+inpaint+refine")  # fmt: skip
"""The stage subsets of PCDMs that make a picture, in the order of the table."""
SINGLE = ("final", "final+refine")
"""A method of one step, alone and with its picture refined."""
_OF_THE_STAGES = ("stages",)
"""Fields of a run's specification that differ between the subsets of one ablation."""


@dataclass(frozen=True)
class PathRow:
    """One stage subset of one configuration. `setting` is equal where only the stages differ."""

    path: str
    setting: str
    row: MeasuredRow
    over: str = ""
    """Run whose pictures were refined; empty where that is not stored."""

    @property
    def method(self) -> str:
        """Return the method; of a refined picture the one that made it."""
        return self.row.method.removesuffix(REFINED)


@dataclass(frozen=True)
class Part:
    """Scores that may be compared: one dataset, frame, protocol, selection and set of pairs."""

    caption: str
    frame: pd.DataFrame
    rows: tuple[PathRow, ...]


def comparable_parts(request: TableRequest) -> list[Part]:
    """Return the picture scores asked for, cut into parts that may share a table.

    Raises RecordError with what exists when there is nothing.
    """
    frame = request.select()
    parts = []
    for whole in comparable_frames(frame):
        sets = whole["run"].map(request.stored.pairs_of)
        for pair_set in dict.fromkeys(sets):
            part = whole[sets == pair_set]
            if (part["protocol"] != "").any():
                parts.append(
                    Part(_caption(part, pair_set), part, tuple(path_rows(part, request.stored)))
                )
    return parts


def path_rows(frame: pd.DataFrame, runs: StoredRuns) -> list[PathRow]:
    """Return one row per stage subset and setting, ordered as `STAGED` and `SINGLE` are.

    A subset that has a run of its own is taken from it; else the stage of a longer run stands for
    it, since a stage's picture depends on nothing after it.
    """
    chosen: dict[tuple[str, str, str], MeasuredRow] = {}
    for row in measured_rows(frame, runs):
        path = path_of(row)
        if path not in (*STAGED, *SINGLE):
            continue
        key = row.method, path, _setting(row, runs)
        if key not in chosen or (row.stages == path and chosen[key].stages != path):
            chosen[key] = row
    found = [
        PathRow(path, setting, row, _refined_run(row, runs))
        for (_, path, setting), row in chosen.items()
    ]
    methods = list(dict.fromkeys(one.method for one in found))

    def order(one: PathRow) -> tuple[int, int, int]:
        if one.path in STAGED:
            return 0, methods.index(one.method), STAGED.index(one.path)
        return 1, methods.index(one.method), SINGLE.index(one.path)

    return sorted(found, key=order)


def path_of(row: MeasuredRow) -> str:
    """Return the stages up to the scored one, joined by `+`."""
    stages = row.stages.split("+")
    return "+".join(stages[: stages.index(row.stage) + 1]) if row.stage in stages else ""


def labels_of(rows: Sequence[PathRow]) -> list[str]:
    """Return the shortest name of each row that tells it from the others."""
    staged = {one.method for one in rows if one.path in STAGED}
    labels = []
    for one in rows:
        if one.path in STAGED:
            label = one.path if len(staged) == 1 else f"{one.method} · {one.path}"
        else:
            label = one.method + (" + refine" if one.path == "final+refine" else "")
        same = [other for other in rows if (other.method, other.path) == (one.method, one.path)]
        labels.append(f"{label} [{one.row.run}]" if len(same) > 1 else label)
    return labels


def _refined_run(row: MeasuredRow, runs: StoredRuns) -> str:
    """Return the run named in `refine_over`, which is written `METHOD@RUN`."""
    folder = runs.folder(row.run)
    if folder is None or not folder.spec:
        return ""
    return str(folder.spec.get("refine_over") or "").rpartition("@")[2]


def _setting(row: MeasuredRow, runs: StoredRuns) -> str:
    """Return what a run is besides its stages, as text that is equal for equal settings."""
    folder = runs.folder(row.run)
    fields: dict[str, object] = {"weights": row.weights, "seed": row.seed}
    if folder is not None and folder.spec:
        fields = {k: v for k, v in folder.spec.items() if k not in _OF_THE_STAGES}
    return json.dumps({**fields, "samples": row.samples}, sort_keys=True, default=str)


def _caption(part: pd.DataFrame, pair_set: str) -> str:
    known = part[part["protocol"] != ""].iloc[0]
    words = [f"{known['dataset']}", f"{known['split']} split", f"protocol {known['protocol']}"]
    words += [f"frame {known['resolution']}", pair_set]
    selection = str(known["selection"])
    samples = int(known["samples"])
    words.append(f"selection {selection}" + (f" of {samples}" if samples > 1 else ""))
    return ", ".join(filter(None, words))
