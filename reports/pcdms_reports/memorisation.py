"""The memorisation check in the report: how near generated pictures come to training pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcdms_reports.csv_frames import read_frame
from pcdms_reports.csv_records import Field
from pcdms_reports.folders import RunFolder
from pcdms_reports.tables import stage_label

COLUMNS = ("pair", "stage", "nearest", "distance", "target_nearest", "target_distance")
_FIELDS = tuple(
    Field(name, "real", optional=True) if name.endswith("distance") else Field(name, optional=True)
    for name in COLUMNS
)
TABLE, GRID = "memorisation.csv", "memorisation.png"
QUANTILE = 0.01
"""Nearer to a training picture than all but this share of the true targets is suspect."""


@dataclass(frozen=True)
class StageRepeats:
    """One stage of a run; distances are between features, smaller is nearer."""

    label: str
    n: int
    nearest: float
    """Distance of the picture that comes nearest to a training picture."""
    median: float
    target_median: float
    """The same of the pairs' true targets, which no method was trained on."""
    suspects: int
    """Pictures nearer to a training picture than 99 % of the true targets are."""

    @property
    def expected(self) -> str:
        """Return how many suspects pictures like the true targets would have."""
        return f"{QUANTILE * self.n:.0f}"


@dataclass(frozen=True)
class Repeats:
    """One run's check: its stages, and the nearest pictures as one data URI (empty without)."""

    name: str
    stages: tuple[StageRepeats, ...]
    grid: str


def repeats_of(runs: Sequence[RunFolder]) -> list[Repeats]:
    """Return the checks stored beside the runs, in their order; runs without one are left out.

    Raises RecordError naming the file where a table is damaged.
    """
    found = []
    for run in runs:
        table = read_memorisation(run.path / TABLE)
        if not len(table):
            continue
        stages = [
            _stage(run.method, str(stage), part)
            for stage, part in table.groupby("stage", sort=False)
        ]
        grid = run.path / GRID
        uri = ""
        if grid.is_file():
            uri = f"data:image/png;base64,{base64.b64encode(grid.read_bytes()).decode()}"
        found.append(Repeats(f"{run.method} [{run.run}]", tuple(stages), uri))
    return found


def read_memorisation(path: Path) -> pd.DataFrame:
    """Return a `memorisation.csv` as a frame of `COLUMNS`; a missing file gives an empty frame.

    Raises RecordError naming file, line and column on other columns or a distance that is none.
    """
    return read_frame(path, _FIELDS)


def _stage(method: str, stage: str, part: pd.DataFrame) -> StageRepeats:
    targets = part["target_distance"].dropna()
    threshold = float(targets.quantile(QUANTILE)) if len(targets) else 0.0
    return StageRepeats(
        label=stage_label(method, stage),
        n=len(part),
        nearest=float(part["distance"].min()),
        median=float(part["distance"].median()),
        target_median=float(targets.median()) if len(targets) else float("nan"),
        suspects=int((part["distance"] < threshold).sum()),
    )
