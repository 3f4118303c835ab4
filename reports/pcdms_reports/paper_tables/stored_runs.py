"""Stored results that a table is made from: the scores of output folders, and their run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcdms_reports import reid_results, study_results
from pcdms_reports.folders import RunFolder, find_runs
from pcdms_reports.records import RecordError
from pcdms_reports.scores import merge_scores

RESULTS = (reid_results.NAME, study_results.NAME)
"""Files of an output folder that hold results of other kinds than scores."""


@dataclass(frozen=True)
class StoredRuns:
    """All score rows, and the folders they came from. `place` names them in messages."""

    place: str
    scores: pd.DataFrame
    folders: tuple[RunFolder, ...]
    roots: tuple[Path, ...]

    def pairs_of(self, run: str) -> str:
        """Return the set of pairs of a run in words, as far as its specification tells.

        `scores.csv` holds neither size nor data seed of an embedded dataset.
        """
        for folder in self.folders:
            if folder.run == run and folder.spec:
                size, seed = folder.spec.get("size"), folder.spec.get("data_seed")
                words = [f"size {size}"] if size else []
                return ", ".join(words + ([f"data seed {seed}"] if seed else []))
        return ""

    def files(self, name: str) -> list[Path]:
        """Return the files of this name in the output folders, such as `reid.csv`."""
        paths = [root if root.name == name else root / name for root in self.roots]
        return [path for path in paths if path.is_file()]

    def folder(self, run: str) -> RunFolder | None:
        """Return the folder of a run, None where only its score rows are known."""
        return next((folder for folder in self.folders if folder.run == run), None)


def read_runs(roots: Sequence[Path]) -> StoredRuns:
    """Return what lies below `roots`: output folders of `run`, run folders, or score files.

    An output folder's own `scores.csv` counts, since it is the contract; without one the files of
    its run folders do. Raises RecordError where there is nothing, and on a damaged file.
    """
    paths: list[Path] = []
    folders: list[RunFolder] = []
    for root in roots:
        if root.is_file():
            paths += [root] if root.name not in RESULTS else []
            continue
        own = root / "scores.csv"
        if not _holds_runs(root) and any((root / name).is_file() for name in RESULTS):
            continue
        found = find_runs(root)
        folders += found
        if own.is_file():
            paths.append(own)
        else:
            paths += [path for run in found if (path := run.path / "scores.csv").is_file()]
    if not roots:
        raise RecordError("no runs given, expected an output folder of `run`")
    return StoredRuns(", ".join(map(str, roots)), merge_scores(paths), tuple(folders), tuple(roots))


def _holds_runs(root: Path) -> bool:
    return (root / "scores.csv").is_file() or any(root.glob("*/*/*/scores.csv"))
