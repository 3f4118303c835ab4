"""What one stage adds: the difference between two stage subsets on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from pcdms_reports.metric_words import MetricWords, words_of
from pcdms_reports.paired import paired_difference, read_pair_table
from pcdms_reports.paper_tables.stage_paths import Part, PathRow
from pcdms_reports.paper_tables.stored_runs import StoredRuns
from pcdms_reports.stage_model import metric_column
from pcdms_reports.table_model import ABSENT, Cell, Column, Footnotes, Number, Row, Table, words

STEPS = (
    ("prior", "inpaint", "prior+inpaint"),
    ("true embedding in place of the predicted one", "prior+inpaint", "truth+inpaint"),
    ("refine", "inpaint", "inpaint+refine"),
    ("refine", "prior+inpaint", "prior+inpaint+refine"),
    ("refine", "truth+inpaint", "truth+inpaint+refine"),
    ("prior", "inpaint+refine", "prior+inpaint+refine"),
    ("refine", "final", "final+refine"),
)
"""What is added, the stages before it, the stages with it."""
SET_METRIC = (
    "a metric of the whole set: it has no value per pair, so its gain has no paired interval"
)
LEGEND = (
    "Gain: with the stage minus without it, on the same pairs; in brackets the 95 % bootstrap "
    "interval over pairs of the mean difference. An interval that holds 0 decides nothing. Plus is "
    "better where the metric has ↑, minus where it has ↓."
)


@dataclass(frozen=True)
class Step:
    """One stage added to a subset that was scored without and with it."""

    name: str
    before: PathRow
    after: PathRow

    @property
    def label(self) -> str:
        """Return what is added to what."""
        if self.before.path == "final":
            return f"{self.name} over {self.before.method}"
        return f"{self.name}, on {self.before.path}"


def gains_table(part: Part, metrics: Sequence[str], runs: StoredRuns, number: int) -> Table | None:
    """Return the gains of the stages of one comparable part; None where no two subsets differ.

    Raises RecordError on a damaged `pairs.csv`.
    """
    steps = steps_of(part.rows)
    if not steps:
        return None
    footnotes = Footnotes()
    values = _pair_values(steps, runs)
    rows = []
    for step in steps:
        cells = [_gain(step, words_of(metric), values, footnotes) for metric in metrics]
        counts = {count for _, count in cells if count}
        pairs = words("–", "absent")
        if counts:
            pairs = Cell((Number(str(max(counts)), max(counts)),))
        rows.append(Row(step.label, (pairs, *(cell for cell, _ in cells))))
    missing = any(cell.status == "absent" for row in rows for cell in row.cells)
    columns = [Column("pairs", meaning="pairs that both subsets have")]
    columns += [metric_column(words_of(metric)) for metric in metrics]
    return Table(
        f"gains-{number}",
        f"Gain of each stage: {part.caption}",
        "stage",
        tuple(columns),
        tuple(rows),
        legend=(LEGEND, *(["–: no value in both subsets."] if missing else [])),
        footnotes=tuple(footnotes.texts),
    ).in_reading_order()


def steps_of(rows: Sequence[PathRow]) -> list[Step]:
    """Return every stage of `STEPS` that two rows of one method and setting differ by."""
    steps = []
    for name, without, with_it in STEPS:
        for before in [one for one in rows if one.path == without]:
            for after in [one for one in rows if one.path == with_it]:
                if before.method == after.method and _differ_by_the_step(before, after):
                    steps.append(Step(name, before, after))
    return steps


def _differ_by_the_step(before: PathRow, after: PathRow) -> bool:
    """Return whether nothing but the stage tells two subsets of one method apart."""
    if before.path == "final":
        return after.over in ("", before.row.run)
    return before.setting == after.setting


PairValues = dict[tuple[str, str], pd.DataFrame]
"""Run and stage to a table of values: a row per pair, a column per metric."""


def _pair_values(steps: Sequence[Step], runs: StoredRuns) -> PairValues:
    values: PairValues = {}
    for one in (one for step in steps for one in (step.before, step.after)):
        folder = runs.folder(one.row.run)
        if folder is None or (one.row.run, one.row.stage) in values:
            continue
        frame = read_pair_table(folder.path / "pairs.csv")
        own = frame[(frame["stage"] == one.row.stage) & (frame["protocol"] == one.row.protocol)]
        values[one.row.run, one.row.stage] = own.pivot_table(
            index="pair", columns="metric", values="value", aggfunc="first"
        )
    return values


def _gain(
    step: Step, shown: MetricWords, values: PairValues, footnotes: Footnotes
) -> tuple[Cell, int]:
    """Return the cell of one metric and the number of pairs behind it."""
    before, after = step.before.row, step.after.row
    first = values.get((after.run, after.stage))
    second = values.get((before.run, before.stage))
    if first is not None and second is not None and shown.name in first and shown.name in second:
        both = first.index.intersection(second.index)
        found = paired_difference(
            first.loc[both, shown.name].to_numpy(), second.loc[both, shown.name].to_numpy()
        )
        if found is not None:
            interval = f"[{_signed(found.ci_low, shown)}, {_signed(found.ci_high, shown)}]"
            number = Number(
                _signed(found.difference, shown),
                found.difference,
                spread=interval,
                low=found.ci_low,
                high=found.ci_high,
            )
            return Cell((number,)), found.n
    a, b = after.scores.get(shown.name), before.scores.get(shown.name)
    if a is None or b is None or a.value is None or b.value is None:
        return ABSENT, 0
    same = (a.n_expected, a.extractor, a.reference) == (b.n_expected, b.extractor, b.reference)
    if not same:
        return replace(ABSENT, notes=footnotes.numbers("pairs, network or reference differ")), 0
    gap = a.value - b.value
    sign = "~" if "indicative" in (a.status, b.status) else ""
    note = SET_METRIC + ("; indicative, as its scores are" if sign else "")
    return Cell((Number(_signed(gap, shown), gap, sign=sign, notes=footnotes.numbers(note)),)), 0


def _signed(value: float, shown: MetricWords) -> str:
    return f"{value:+,.{shown.digits}f}"
