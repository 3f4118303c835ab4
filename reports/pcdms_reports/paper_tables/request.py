"""What a table is asked for: dataset, frame, protocols, metrics, and where stored results lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pcdms_reports.paper_tables.stored_runs import StoredRuns
from pcdms_reports.records import RecordError


@dataclass(frozen=True)
class TableRequest:
    """A choice that is empty or None is not made: all there is, or the table's own default."""

    dataset: str = ""
    resolution: str = ""
    split: str = "test"
    protocols: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    runs: StoredRuns | None = None

    @property
    def stored(self) -> StoredRuns:
        """Return the runs; raises RecordError where none were given."""
        if self.runs is None:
            raise RecordError("no runs given, expected --runs with an output folder of `run`")
        return self.runs

    def select(self) -> pd.DataFrame:
        """Return the score rows of the runs that this request is about.

        Rows that know no protocol or frame, such as costs, belong to every choice of these.
        Raises RecordError with what exists when nothing is left.
        """
        frame = self.stored.scores
        kept = frame[frame["split"] == self.split]
        for name, wanted in (("dataset", self.dataset), ("resolution", self.resolution)):
            if wanted:
                kept = kept[kept[name].isin([wanted, ""])]
        if self.protocols:
            kept = kept[kept["protocol"].map(lambda name: _one_of(name, self.protocols))]
        if self.metrics:
            kept = kept[kept["metric"].isin(list(self.metrics))]
        if not len(kept) or not (kept["protocol"] != "").any():
            raise RecordError(f"{self.stored.place}: no scores of {self._words()}; {_held(frame)}")
        return kept

    def only_dataset(self) -> str:
        """Return the dataset that all stored scores are of; nothing where there are several."""
        found = set(self.runs.scores["dataset"]) if self.runs is not None else set()
        return str(found.pop()) if len(found) == 1 else ""

    def _words(self) -> str:
        choices = {
            "dataset": self.dataset, "split": self.split, "resolution": self.resolution,
            "protocol": " or ".join(self.protocols), "metric": " or ".join(self.metrics),
        }  # fmt: skip
        return ", ".join(f"{name} {value}" for name, value in choices.items() if value)


def _one_of(name: str, protocols: Sequence[str]) -> bool:
    """Return whether a stored protocol (perhaps `<id>@HxW`) is one of those asked for."""
    return not name or name in protocols or name.partition("@")[0] in protocols


def _held(frame: pd.DataFrame) -> str:
    """Return what the score rows are about, for a message."""
    known = frame[frame["protocol"] != ""]
    if not len(known):
        return "there are no scores of pictures"
    parts = []
    for (dataset, split, resolution), part in known.groupby(["dataset", "split", "resolution"]):
        protocols = ", ".join(sorted(set(part["protocol"])))
        metrics = ", ".join(sorted(set(part["metric"])))
        parts.append(f"{dataset} {split} {resolution} under {protocols} ({metrics})")
    return f"there are {'; '.join(parts)}"
