"""Scoring the runs of a bundle again, and setting every number beside the stored one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pcdms_bench.bundle.manifest import TABLES
from pcdms_bench.bundle.reading import CheckedBundle, unpacked
from pcdms_bench.metrics.catalog import METRICS
from pcdms_bench.metrics.networks import metric_problem
from pcdms_bench.progress import Progress
from pcdms_bench.rescoring import stored_pairs, train_gallery
from pcdms_bench.run_folder import EMBEDDINGS, RunStatus, read_table
from pcdms_bench.run_scores import score_run
from pcdms_bench.selection import COLUMNS as CHOICE_COLUMNS
from pcdms_bench.selection import FILE as CHOICES
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.types import InputError
from pcdms_reports.records import RecordError, ScoreRow
from pcdms_reports.scores import load_scores, to_rows

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-4
"""Part of a number's size by which it may differ on another machine (other CPUs, GPUs, versions of
the libraries); what is nearer to 0 than `FLOOR` may differ by that much."""
FLOOR = 1e-6
Verdict = Literal["agrees", "differs", "empty as stored", "not here", "only here"]
Key = tuple[str, str, str, str]
"""Stage, protocol, metric frame and metric."""

COST = "measured on the machine that made the pictures, nothing to score again"
NO_EMBEDDINGS = "the bundle holds no embeddings (`report --bundle FILE --embeddings`)"
OTHER_PAIRS = "scored on another number of pairs than the run names now"
UNKNOWN = "a metric that this version does not know"
SLICE_KEY = ("stage", "protocol", "metric", "slice", "label")
PAIR_KEY = ("pair", "stage", "protocol", "metric")


@dataclass(frozen=True)
class CheckedNumber:
    """One row of a stored `scores.csv` and what came out here.

    `pairs_equal` of `pairs` values per pair agree. `note` is a reason where one is due.
    """

    run: str
    method: str
    stage: str
    protocol: str
    metric: str
    stored: float | None
    here: float | None
    verdict: Verdict
    pairs: int = 0
    pairs_equal: int = 0
    note: str = ""


@dataclass(frozen=True)
class CheckedRun:
    """One run: its numbers, how many slices and sample choices agree, and what was left out.

    `left_out` = {reason: rows that cannot be confirmed}; the two pairs are (equal, compared).
    """

    run: str
    numbers: tuple[CheckedNumber, ...]
    left_out: dict[str, int]
    slices: tuple[int, int]
    choices: tuple[int, int]

    @property
    def differs(self) -> bool:
        """Whether anything came out otherwise than stored."""
        parts = (self.slices, self.choices)
        return any(number.verdict == "differs" for number in self.numbers) or any(
            equal < compared for equal, compared in parts
        )


@dataclass(frozen=True)
class Near:
    """Whether two numbers agree within a tolerance."""

    tolerance: float = TOLERANCE

    def __call__(self, stored: float | None, here: float | None) -> bool:
        """Tell whether `here` is `stored`: both absent, both infinite, or near enough."""
        if stored is None or here is None or math.isnan(stored) or math.isnan(here):
            gone = (None if x is None or math.isnan(x) else x for x in (stored, here))
            return all(x is None for x in gone)
        return math.isclose(stored, here, rel_tol=self.tolerance, abs_tol=FLOOR)


def confirm_bundle(
    bundle: CheckedBundle,
    root: Path | None,
    device: str,
    progress: Progress,
    tolerance: float = TOLERANCE,
) -> list[CheckedRun]:
    """Return what scoring every run of a bundle again gives beside its stored numbers.

    Each run is scored as it was: the same pairs, protocols, frames and metrics, from its pictures
    alone (stored scores and choices of samples are not looked at before). An embedded dataset is
    rendered again, another one is read from `root`. Costs cannot be confirmed, the prior's numbers
    only where the bundle holds embeddings. Raises InputError where the dataset is not at hand or a
    stored table is damaged.
    """
    checked = []
    with unpacked(bundle) as home:
        for run in bundle.manifest.runs:
            try:
                checked.append(_confirm_run(home, run, root, device, progress, Near(tolerance)))
            except (InputError, RecordError) as error:
                text = str(error).replace(f"{home}/", f"{bundle.path}:")
                raise InputError(text) from error
    return checked


def _confirm_run(
    home: Path, run: str, root: Path | None, device: str, progress: Progress, near: Near
) -> CheckedRun:
    """Score one run in its folder, emptied of every result, and compare."""
    place, kept = home / run, home / "stored" / run
    kept.mkdir(parents=True)
    stored = _Stored(place)  # read where a message should say that they lie
    for name in (*TABLES, "environment.json"):
        if (place / name).is_file():
            (place / name).replace(kept / name)
    spec, status = read_spec(place / "spec.json"), RunStatus.read(place)
    again, left_out = _chosen(stored.rows, len(status.pair_ids), place)
    rows: dict[Key, ScoreRow] = {}
    if again:
        rows = _scored(place, spec, status, root, again, device, progress)
    fresh = _Stored(place)
    pairs = _Pairs(stored.pairs, fresh.pairs, near)
    numbers = tuple(_number(row, rows.get(_key(row)), pairs, near) for row in again)
    return CheckedRun(
        run, numbers, left_out, _slices(stored.slices, fresh.slices, near),
        _choices(kept / CHOICES, place / CHOICES),
    )  # fmt: skip


class _Stored:
    """The tables of a run folder; one that is absent is empty."""

    def __init__(self, folder: Path) -> None:
        from pcdms_reports.paired import read_pair_table
        from pcdms_reports.slices import read_slices

        path = folder / "scores.csv"
        self.rows = to_rows(load_scores(path)) if path.is_file() else []
        self.pairs = read_pair_table(folder / "pairs.csv")
        self.slices = read_slices(folder / "slices.csv")


def _chosen(
    rows: Sequence[ScoreRow], pairs: int, place: Path
) -> tuple[list[ScoreRow], dict[str, int]]:
    """Return the rows that can be confirmed, and {reason: number of the others}."""
    again: list[ScoreRow] = []
    left_out: dict[str, int] = {}
    embeddings = (place / EMBEDDINGS).is_file()
    for row in rows:
        reason = ""
        if row.metric not in METRICS:
            reason = UNKNOWN
        elif METRICS[row.metric].kind == "cost":
            reason = COST
        elif row.stage == "prior" and not embeddings:
            reason = NO_EMBEDDINGS
        elif row.n_expected != pairs:
            reason = OTHER_PAIRS
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            again.append(row)
    return again, left_out


def _scored(
    place: Path,
    spec: RunSpec,
    status: RunStatus,
    root: Path | None,
    wanted: Sequence[ScoreRow],
    device: str,
    progress: Progress,
) -> dict[Key, ScoreRow]:
    """Return the rows of a run folder scored afresh, one protocol and frame at a time."""
    pairs = stored_pairs(place, spec, status, root)
    gallery = train_gallery(spec, root, status.layout or None)
    found: dict[Key, ScoreRow] = {}
    for name in dict.fromkeys(_recipe(row) for row in wanted):
        own = [row for row in wanted if _recipe(row) == name]
        metrics = list(dict.fromkeys(row.metric for row in own))
        intervals = any(METRICS[r.metric].kind == "set" and r.ci_low is not None for r in own)
        rows = score_run(place, spec, pairs, gallery, [name], metrics, device, progress, intervals)
        found |= {_key(row): row for row in rows}
    return found


def _recipe(row: ScoreRow) -> str:
    """Return the protocol with the frame that a row was scored in, as `protocol_for` takes it."""
    return f"{row.protocol.partition('@')[0]}@{row.resolution}"


def _key(row: ScoreRow) -> Key:
    return row.stage, row.protocol, row.resolution, row.metric


def _number(row: ScoreRow, here: ScoreRow | None, pairs: _Pairs, near: Near) -> CheckedNumber:
    """Return a stored row beside the one that came out here."""
    verdict, note = _verdict(row, here, near)
    equal, count = pairs.agreeing(row.stage, row.protocol, row.metric)
    if verdict == "agrees" and equal < count:
        verdict, note = "differs", f"{count - equal} of {count} values per pair differ"
    return CheckedNumber(
        row.run, row.method, row.stage, row.protocol, row.metric, row.value,
        here.value if here else None, verdict, count, equal, note,
    )  # fmt: skip


def _verdict(row: ScoreRow, here: ScoreRow | None, near: Near) -> tuple[Verdict, str]:
    if row.value is None:
        if here is not None and here.value is not None:
            return "only here", f"stored without a value: {row.reason}"
        return "empty as stored", row.reason
    if here is None:
        return "differs", "no such number comes out here"
    if here.value is None:
        lack = metric_problem(row.metric)
        return ("not here", lack) if lack else ("differs", here.reason)
    if not near(row.value, here.value):
        other = row.extractor != here.extractor
        return "differs", f"{here.extractor} here, {row.extractor} stored" if other else ""
    if (row.n, row.status) != (here.n, here.status):
        return "differs", f"{here.n} pairs {here.status} here, {row.n} {row.status} stored"
    if row.ci_low is not None and not (
        near(row.ci_low, here.ci_low) and near(row.ci_high, here.ci_high)
    ):
        return "differs", f"interval {here.ci_low} to {here.ci_high} here"
    return "agrees", ""


class _Pairs:
    """Stored and fresh values per pair, by stage, protocol and metric."""

    def __init__(self, stored: pd.DataFrame, fresh: pd.DataFrame, near: Near) -> None:
        self._counts: dict[tuple[str, ...], tuple[int, int]] = {}
        for key, before, here in _joined(stored, fresh, PAIR_KEY):
            equal, count = self._counts.get(key[1:], (0, 0))
            self._counts[key[1:]] = (equal + near(before["value"], here["value"]), count + 1)

    def agreeing(self, *key: str) -> tuple[int, int]:
        """Return how many values per pair agree, of how many."""
        return self._counts.get(key, (0, 0))


def _slices(stored: pd.DataFrame, fresh: pd.DataFrame, near: Near) -> tuple[int, int]:
    """Return how many rows of `slices.csv` agree in value, interval and count, of how many."""
    names = ("value", "ci_low", "ci_high", "n")
    equal = [
        all(near(before[name], here[name]) for name in names)
        for _, before, here in _joined(stored, fresh, SLICE_KEY)
    ]
    return sum(equal), len(equal)


def _joined(
    stored: pd.DataFrame, fresh: pd.DataFrame, keys: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], dict[str, float], dict[str, float]]]:
    """Yield (key, stored record, fresh record) of what was computed here."""
    records = {
        tuple(str(record[name]) for name in keys): record for record in stored.to_dict("records")
    }
    absent = dict.fromkeys(("value", "ci_low", "ci_high", "n"), math.nan)
    for record in fresh.to_dict("records"):
        key = tuple(str(record[name]) for name in keys)
        yield key, records.get(key, absent), record  # type: ignore[misc]


def _choices(stored: Path, fresh: Path) -> tuple[int, int]:
    """Return how many samples were chosen as stored, of how many."""
    before = {(row["stage"], row["pair"]): row for row in read_table(stored, CHOICE_COLUMNS)}
    again = read_table(fresh, CHOICE_COLUMNS)
    same = [
        before.get((row["stage"], row["pair"]), {}).get("sample") == row["sample"] for row in again
    ]
    return sum(same), len(same)
