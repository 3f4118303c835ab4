"""Run folders as they lie on disk: finding them and reading their small files."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pandas as pd

from pcdms_reports.csv_records import Field, read_records
from pcdms_reports.records import RecordError
from pcdms_reports.scores import load_scores

PAIR_COLUMNS = ("pair", "stage", "protocol", "metric", "value")
MARKERS = ("spec.json", "scores.csv")
SELECTION_FIELDS = (
    Field("stage"), Field("pair"), Field("sample", "whole", low=0),
    Field("ssim", "real", optional=True),
)  # fmt: skip
"""Columns of `selection.csv`."""
SHOWN = 8
"""Entries of a folder that a message names."""


@dataclass(frozen=True)
class RunFolder:
    """One `<dataset>-<split>/<method>/<hash8>` folder. A file that is absent is None or empty."""

    path: Path
    scores: pd.DataFrame | None
    spec: dict[str, object] | None
    environment: dict[str, object] | None
    status: dict[str, object] | None
    notices: tuple[str, ...] = ()
    name: str = ""
    """What the run is called where another one of this hash is shown too; empty elsewhere."""

    @property
    def method(self) -> str:
        """Return the method, the name of the folder above."""
        return self.path.parent.name

    @property
    def run(self) -> str:
        """Return the hash, which is the folder's own name, or the `name` it was given."""
        return self.name or self.path.name

    @property
    def examples(self) -> Path:
        """Return the folder of source, pose and target pictures that all methods share."""
        return self.path.parent.parent / "examples"


def find_runs(roots: Path | Sequence[Path]) -> list[RunFolder]:
    """Return the run folders under `roots` (output folders or single run folders), sorted by path.

    Raises RecordError when a root is no folder, holds no run, or a `scores.csv` is damaged. An
    unreadable JSON file is a notice of its run, since the scores do not depend on it.
    """
    roots = [roots] if isinstance(roots, Path) else list(roots)
    found: dict[Path, None] = {}
    for root in roots:
        if not root.is_dir():
            raise RecordError(f"{root}: no such folder, expected an output folder of `run`")
        # An output folder has a scores.csv of its own, so only the spec tells a run folder here.
        single = (root / "spec.json").is_file()
        paths = [root] if single else [path for path in root.glob("*/*/*") if _is_run(path)]
        # Or the folder of one dataset, or of one method in it.
        paths = paths or [spec.parent for d in ("*", "*/*") for spec in root.glob(f"{d}/spec.json")]
        if not paths:
            held = sorted(path.name for path in root.iterdir())[:SHOWN]
            raise RecordError(
                f"{root}: holds no run folder <dataset>-<split>/<method>/<hash>, expected one; "
                f"there is {', '.join(held) or 'nothing'}"
            )
        found.update(dict.fromkeys(path.resolve() for path in sorted(paths)))
    return [read_run(path) for path in found]


def read_run(path: Path) -> RunFolder:
    """Return one run folder read from disk."""
    notices: list[str] = []
    spec, environment, status = (
        _json(path / f"{name}.json", notices) for name in ("spec", "environment", "status")
    )
    scores = load_scores(path / "scores.csv") if (path / "scores.csv").is_file() else None
    if scores is None:
        notices.append("no scores.csv: this run was not scored")
    return RunFolder(path, scores, spec, environment, status, tuple(notices))


def read_pair_scores(
    path: Path, pairs: Collection[str], metrics: Collection[str]
) -> dict[tuple[str, str, str, str], float]:
    """Return {(pair, stage, protocol, metric): value} of a `pairs.csv`, for the pairs asked for.

    A missing file gives an empty dict. Raises RecordError naming file and line on a bad number or a
    missing column.
    """
    if not path.is_file():
        return {}
    scores: dict[tuple[str, str, str, str], float] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in PAIR_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise RecordError(f"{path}:1: missing column {', '.join(map(repr, missing))}")
        for row in reader:
            pair, stage, protocol, metric, text = (row[name] or "" for name in PAIR_COLUMNS)
            if pair not in pairs or metric not in metrics or not text:
                continue
            try:
                value = float(text)
            except ValueError:
                raise RecordError(
                    f"{path}:{reader.line_num}: value {text!r}, expected a number"
                ) from None
            scores.setdefault((pair, stage, protocol, metric), value)
    return scores


def read_selection(path: Path, pairs: Collection[str]) -> dict[tuple[str, str], int]:
    """Return {(pair, stage): sample} of a `selection.csv`: which sample of a pair was scored.

    Empty without the file, where the first sample counts. Raises RecordError naming file, line and
    column.
    """
    if not path.is_file():
        return {}
    return {
        (str(row["pair"]), str(row["stage"])): cast("int", row["sample"])
        for _, row in read_records(path, SELECTION_FIELDS, "stage, pair, sample and ssim")
        if row["pair"] in pairs
    }


def _is_run(path: Path) -> bool:
    return path.parent.name != "examples" and any((path / name).is_file() for name in MARKERS)


def _json(path: Path, notices: list[str]) -> dict[str, object] | None:
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        notices.append(f"{path.name} is not readable: {error}")
        return None
    return document if isinstance(document, dict) else {"content": document}
