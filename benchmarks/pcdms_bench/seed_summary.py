"""Mean and deviation of every number over the seeds of one command."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from pcdms_bench.run_folder import table_text, write_text
from pcdms_reports.metric_words import words_of
from pcdms_reports.records import ScoreRow

FILE = "seeds.csv"
TABLE = "seeds.md"


@dataclass(frozen=True)
class SeedRow:
    """One metric of one stage over several runs that differ in their seed alone.

    `deviation` is that of the sample (divisor K - 1); `n` is the smallest number of pairs scored.
    """

    method: str
    stages: str
    stage: str
    dataset: str
    split: str
    resolution: str
    protocol: str
    metric: str
    mean: float
    deviation: float
    lowest: float
    highest: float
    n: int
    seeds: str
    """The seeds, joined by blanks."""


def over_seeds(rows: Sequence[ScoreRow]) -> list[SeedRow]:
    """Return one row for every number that at least two seeds have, in order of appearance."""
    groups: dict[tuple[object, ...], dict[int, ScoreRow]] = {}
    for row in rows:
        key = (
            row.method, row.stages, row.stage, row.dataset, row.split, row.resolution,
            row.protocol, row.metric, row.extractor, row.selection, row.samples, row.weights,
        )  # fmt: skip
        if row.value is not None:
            groups.setdefault(key, {})[row.seed] = row
    return [_summary(found) for found in groups.values() if len(found) > 1]


def _summary(rows: dict[int, ScoreRow]) -> SeedRow:
    """Return what the runs of some seeds, {seed: row}, have in common and how they differ."""
    row = next(iter(rows.values()))
    values = [each.value for each in rows.values() if each.value is not None]
    return SeedRow(
        method=row.method,
        stages=row.stages,
        stage=row.stage,
        dataset=row.dataset,
        split=row.split,
        resolution=row.resolution,
        protocol=row.protocol,
        metric=row.metric,
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values),
        lowest=min(values),
        highest=max(values),
        n=min(each.n for each in rows.values()),
        seeds=" ".join(str(seed) for seed in sorted(rows)),
    )


def shown(row: SeedRow) -> tuple[str, str, str]:
    """Return metric, `mean ± deviation` and range of a row in the metric's own decimals."""
    words = words_of(row.metric)
    middle = f"{words.format(row.mean)} ± {words.format(row.deviation)}"
    return words.heading, middle, f"{words.format(row.lowest)} to {words.format(row.highest)}"


def write_over_seeds(out: Path, rows: Sequence[SeedRow]) -> None:
    """Write the rows to `out/seeds.csv`, and as a table to `out/tables/seeds.md`."""
    columns = [field.name for field in fields(SeedRow)]
    write_text(out / FILE, table_text(columns, [astuple(row) for row in rows]))
    lines = [
        "Mean and deviation over seeds.", "",
        "| method | stage | protocol | metric | mean ± deviation | range | seeds |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        metric, middle, limits = shown(row)
        cells = (row.method, row.stage, row.protocol, metric, middle, limits, row.seeds)
        lines.append(f"| {' | '.join(cells)} |")
    write_text(out / "tables" / TABLE, "\n".join(lines) + "\n")
