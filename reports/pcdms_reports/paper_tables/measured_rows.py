"""Stored scores as rows of a table: all numbers of one stage, protocol and selection together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.paper_tables.stored_runs import StoredRuns
from pcdms_reports.ranking import ranks
from pcdms_reports.records import ScoreRow
from pcdms_reports.scores import to_rows
from pcdms_reports.table_model import ABSENT, Cell, Footnotes, Marks, Number, words
from pcdms_reports.tables import is_bound

_KEY = ("method", "stages", "run", "stage", "dataset", "split", "resolution", "protocol",
        "selection", "samples", "seed")  # fmt: skip


@dataclass(frozen=True)
class MeasuredRow:
    """What one run measured of one of its stages under one protocol and selection.

    `pair_set` tells which pairs, as far as the run's specification says; `scores` = metric to row.
    """

    method: str
    stages: str
    stage: str
    run: str
    protocol: str
    selection: str
    samples: int
    seed: int
    weights: str
    pair_set: str
    scores: dict[str, ScoreRow]

    @property
    def bound(self) -> bool:
        """Return whether the row uses the target itself: shown, never ranked."""
        return is_bound(self.method, self.stages)

    @property
    def recipe(self) -> str:
        """Return the protocol's id, without the frame it was applied in."""
        return self.protocol.partition("@")[0]

    @property
    def selected(self) -> str:
        """Return which sample of each pair counts."""
        return "first" if self.selection in ("", "first") else f"{self.selection} of {self.samples}"

    @property
    def making(self) -> str:
        """Return by what the numbers were made: only equal makings are compared."""
        parts = [f"protocol {self.protocol}", f"selection {self.selected}", self.pair_set]
        return ", ".join(filter(None, parts))

    @property
    def n(self) -> int:
        """Return the pairs that were scored by the metric that has the most."""
        return max(score.n for score in self.scores.values())

    @property
    def count(self) -> Cell:
        """Return the number of pairs, with the expected number where some are missing."""
        expected = max(score.n_expected for score in self.scores.values())
        text = f"{self.n}" if self.n >= expected else f"{self.n} of {expected}"
        return Cell((Number(text, self.n),))

    def origin(self, metrics: Sequence[str]) -> str:
        """Return run, weights and seed, and the network and reference of each of `metrics`."""
        parts = [f"run {self.run}", f"weights {self.weights}" if self.weights else ""]
        parts.append(f"seed {self.seed}")
        for score in self.scores.values():
            if score.metric in metrics and score.value is not None and score.extractor:
                parts.append(f"{score.metric} by {score.extractor} against {score.reference}")
        return ", ".join(filter(None, parts))


def measured_rows(frame: pd.DataFrame, runs: StoredRuns) -> list[MeasuredRow]:
    """Return the rows of `frame` that know a protocol, in order of appearance."""
    known = frame[frame["protocol"] != ""]
    rows = []
    for _, part in known.groupby(list(_KEY), sort=False):
        scores = to_rows(part)
        first = scores[0]
        rows.append(
            MeasuredRow(
                method=first.method,
                stages=first.stages,
                stage=first.stage,
                run=first.run,
                protocol=first.protocol,
                selection=first.selection,
                samples=first.samples,
                seed=first.seed,
                weights=first.weights,
                pair_set=runs.pairs_of(first.run),
                scores={score.metric: score for score in scores},
            )
        )
    return rows


def score_column(
    rows: Sequence[MeasuredRow], shown: MetricWords, marks: Marks, footnotes: Footnotes
) -> list[Cell]:
    """Return the cells of one metric, one for each of `rows`.

    A mark names the making where the rows have several. Best and second best are found among
    numbers of one making, with equal pairs, network and reference.
    """
    several = len({row.making for row in rows}) > 1
    groups: dict[tuple[object, ...], dict[int, float]] = {}
    for place, row in enumerate(rows):
        score = row.scores.get(shown.name)
        if score is not None and score.value is not None and not row.bound:
            key = row.making, score.n_expected, score.extractor, score.reference
            groups.setdefault(key, {})[place] = score.value
    places: dict[int, int] = {}
    for values in groups.values():
        places |= ranks(shown.direction, shown.digits, values)
    return [
        score_cell(
            row.scores.get(shown.name),
            shown,
            rank=places.get(place, 0),
            mark=row.making if several else "",
            expected=row.n,
            marks=marks,
            footnotes=footnotes,
        )
        for place, row in enumerate(rows)
    ]


def score_cell(
    score: ScoreRow | None,
    shown: MetricWords,
    *,
    rank: int,
    mark: str,
    expected: int,
    marks: Marks,
    footnotes: Footnotes,
) -> Cell:
    """Return one score as a cell: its number with interval, or why there is none.

    `mark` is the making in words (empty where the column has one only), `expected` the row's own
    number of pairs; a score of fewer says so.
    """
    if score is None:
        return ABSENT
    status = "" if score.status == "ok" else f"{score.status}: "
    reason = f"{status}{score.reason or 'no reason given'}" if status or score.reason else ""
    if score.value is None:
        text = "n/a" if score.status == "unavailable" else "failed"
        return words(text, score.status, footnotes.numbers(reason))
    fewer = f"{shown.title}: {score.n} pairs" if score.n != expected else ""
    low, high = score.ci_low, score.ci_high
    spread = "" if low is None or high is None else f"± {shown.format((high - low) / 2)}"
    number = Number(
        shown.format(score.value),
        score.value,
        spread=spread,
        low=low,
        high=high,
        sign="~" if score.status == "indicative" else "",
        rank=rank,
        mark=marks.letter(mark),
        notes=footnotes.numbers(reason, fewer),
    )
    return Cell((number,))
