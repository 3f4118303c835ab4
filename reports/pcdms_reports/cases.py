"""Pairs worth a look: a run's best, median and worst by each metric, and where metrics disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pcdms_reports.folders import RunFolder, read_selection
from pcdms_reports.metric_words import MetricWords, metric_order, words_of
from pcdms_reports.paired import read_pair_table
from pcdms_reports.pictures import GridCell, picture_cell
from pcdms_reports.records import RecordError
from pcdms_reports.stage_rows import StageRow

TITLES = ("best", "median", "worst")
DISAGREEMENTS = 4
"""So many pairs are shown on which metrics disagree."""
FEWEST = 8
"""Below so many pairs a rank says little, and disagreement is not looked for."""


@dataclass(frozen=True)
class Case:
    """One pair: its source, what was generated, and its target."""

    title: str
    note: str
    pair: str
    cells: tuple[GridCell, ...]


@dataclass(frozen=True)
class Cases:
    """The cases of one stage of one run; `label` names it."""

    label: str
    by_metric: tuple[tuple[MetricWords, tuple[Case, ...]], ...]
    disagreements: tuple[Case, ...]


def pair_values(path: Path, stage: str, protocol: str) -> pd.DataFrame:
    """Return the finite values of a `pairs.csv`: a row a pair, a column a metric with a better end.

    Empty where there are none. Raises RecordError on a damaged file.
    """
    frame = read_pair_table(path)
    kept = frame[(frame["stage"] == stage) & (frame["protocol"] == protocol)]
    kept = kept[kept["value"].map(math.isfinite)]
    if kept.empty:
        return pd.DataFrame()
    wide = kept.drop_duplicates(["pair", "metric"]).pivot(
        index="pair", columns="metric", values="value"
    )
    names = [str(name) for name in wide.columns if words_of(str(name)).direction != "none"]
    return wide[sorted(names, key=lambda name: metric_order(str(name)))]


def picked(values: pd.Series, words: MetricWords) -> list[str]:
    """Return the pairs with the best, the median and the worst value; of equal ones the first."""
    loss = _loss(values.dropna(), words).sort_index().sort_values(kind="stable")
    order = [str(pair) for pair in loss.index]
    return [order[0], order[len(order) // 2], order[-1]] if order else []


def disagreeing(values: pd.DataFrame, count: int = DISAGREEMENTS) -> list[tuple[str, str, str]]:
    """Return (pair, metric that ranks it high, metric that ranks it low), most apart first.

    Only pairs that every metric has are ranked, each metric's ranks from 0 (worst) to 1 (best).
    """
    whole = values.dropna(axis="index")
    if len(whole) < FEWEST or len(whole.columns) < 2:
        return []
    ranks = _ranks(whole)
    spread = (ranks.max(axis=1) - ranks.min(axis=1)).sort_index()
    order = spread.sort_values(ascending=False, kind="stable").index[:count]
    return [
        (str(pair), str(ranks.loc[pair].idxmax()), str(ranks.loc[pair].idxmin())) for pair in order
    ]


def case_pairs(folder: Path, stage: str, protocol: str) -> set[str]:
    """Return the pairs that the cases of a stage show; nothing of a damaged or missing table."""
    try:
        values = pair_values(folder / "pairs.csv", stage, protocol)
    except RecordError:
        return set()
    found = {pair for pair, _, _ in disagreeing(values)}
    return found.union(*(picked(values[name], words_of(name)) for name in values.columns))


def build_cases(runs: Sequence[RunFolder], row: StageRow, protocol: str) -> Cases | None:
    """Return the cases of the stage that `row` is about; None where nothing was scored per pair."""
    run = next((run for run in runs if run.run == row.run), None)
    if run is None:
        return None
    try:
        values = pair_values(run.path / "pairs.csv", row.stage, protocol)
        chosen = read_selection(run.path / "selection.csv", list(map(str, values.index)))
    except (RecordError, OSError):
        return None  # told with the picture grid
    if values.empty:
        return None

    def case(title: str, note: str, pair: str) -> Case:
        sample = chosen.get((pair, row.stage), 0)
        name = f"{pair}.{sample}.png" if sample else f"{pair}.png"
        places = (
            ("source", run.examples / "source" / f"{pair}.png"),
            (f"{row.label}, generated picture", run.path / "samples" / row.stage / name),
            ("target", run.examples / "target" / f"{pair}.png"),
        )
        cells = tuple(picture_cell(path, f"{what} of pair {pair}") for what, path in places)
        return Case(title, note, pair, cells)

    by_metric = []
    for name in map(str, values.columns):
        words = words_of(name)
        cases = [
            case(title, f"{words.title} {words.format(_number(values, pair, name))}", pair)
            for title, pair in zip(TITLES, picked(values[name], words), strict=False)
        ]
        by_metric.append((words, tuple(cases)))
    ranks = _ranks(values.dropna(axis="index"))
    disagreements = [
        case(
            f"{words_of(high).title} against {words_of(low).title}",
            f"{_placed(values, ranks, pair, high)}, but {_placed(values, ranks, pair, low)}",
            pair,
        )
        for pair, high, low in disagreeing(values)
    ]
    return Cases(row.label, tuple(by_metric), tuple(disagreements))


def _placed(values: pd.DataFrame, ranks: pd.DataFrame, pair: str, name: str) -> str:
    """Return a value and the share of the other pairs it is better than, in words."""
    words, value = words_of(name), words_of(name).format(_number(values, pair, name))
    return f"{words.title} {value} is better than {_number(ranks, pair, name):.0%}"


def _number(frame: pd.DataFrame, pair: str, name: str) -> float:
    value: Any = frame.at[pair, name]
    return float(value)


def _ranks(values: pd.DataFrame) -> pd.DataFrame:
    """Return for each value the share of the other pairs that are worse, 0 to 1."""
    losses = values.apply(lambda column: _loss(column, words_of(str(column.name))))
    return 1 - (losses.rank() - 1) / max(len(values) - 1, 1)


def _loss(values: pd.Series, words: MetricWords) -> pd.Series:
    if words.direction == "one":
        return (values - 1).abs()
    return values if words.direction == "down" else -values
