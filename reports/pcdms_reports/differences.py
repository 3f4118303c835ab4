"""Which differences between the stages of a table are real: the leading row against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcdms_reports.folders import RunFolder
from pcdms_reports.merging import named_pairs
from pcdms_reports.metric_words import MetricWords
from pcdms_reports.paired import PairedDifference, holm, paired_difference, read_pair_table
from pcdms_reports.stage_rows import StageRow, StageTable
from pcdms_reports.summary import leading_row


@dataclass(frozen=True)
class Difference:
    """The leading row minus another one, in one metric, over the pairs that both have."""

    against: str
    found: PairedDifference
    p: float
    """Corrected for the number of rows (Holm)."""
    words: MetricWords

    @property
    def text(self) -> str:
        """Return the mean difference with its sign."""
        return f"{self.found.difference:+.{self.words.digits}f}"

    @property
    def interval(self) -> str:
        """Return the 95 % interval of the difference."""
        digits = self.words.digits
        return f"{self.found.ci_low:+.{digits}f} to {self.found.ci_high:+.{digits}f}"

    @property
    def p_text(self) -> str:
        """Return the corrected p-value with three decimals."""
        return "<0.001" if self.p < 0.001 else f"{self.p:.3f}"

    @property
    def better(self) -> str:
        """Return the share of pairs on which the leading row is better."""
        share = self.found.greater if self.words.direction == "up" else 1 - self.found.greater
        return f"{share:.0%}"

    @property
    def verdict(self) -> str:
        """Return `better`, `worse` or `undecided` (corrected p of 0.05 or more)."""
        if self.p >= 0.05 or not self.found.difference:
            return "undecided"
        return (
            "better" if (self.found.difference > 0) == (self.words.direction == "up") else "worse"
        )


@dataclass(frozen=True)
class Differences:
    """All comparisons of one table: `lead` against every other row that is no bound."""

    lead: str
    words: MetricWords
    rows: tuple[Difference, ...]


def in_words(differences: Differences | None) -> dict[tuple[str, str], str]:
    """Return {(metric, label): how the leading row differs on the same pairs}, for the summary."""
    if differences is None:
        return {}
    return {(row.words.name, row.against): _words(row) for row in differences.rows}


def _words(row: Difference) -> str:
    p = row.p_text if row.p_text.startswith("<") else f"= {row.p_text}"
    return f"pair by pair the difference is {row.text} ({row.interval} with 95 % confidence, p {p})"


def differences_of(
    table: StageTable, runs: Sequence[RunFolder], protocol: str, metrics: Sequence[str]
) -> Differences | None:
    """Compare the leading row of a table with the others, in the first of `metrics` it holds.

    None where no metric has values per pair for the leading row and another one. Raises RecordError
    on a damaged `pairs.csv`.
    """
    names = [words.name for words in table.columns]
    for metric in metrics:
        if metric not in names or table.columns[names.index(metric)].direction not in (
            "up",
            "down",
        ):
            continue
        lead = leading_row(table, names.index(metric))
        if lead is None:
            continue
        found = _against(lead, table, runs, protocol, metric)
        if found:
            corrected = holm([result.p for _, result in found])
            words = table.columns[names.index(metric)]
            rows = [
                Difference(row.label, result, p, words)
                for (row, result), p in zip(found, corrected, strict=True)
            ]
            return Differences(lead.label, words, tuple(rows))
    return None


def _against(
    lead: StageRow, table: StageTable, runs: Sequence[RunFolder], protocol: str, metric: str
) -> list[tuple[StageRow, PairedDifference]]:
    columns = {}
    for run in runs:
        frame = read_pair_table(run.path / "pairs.csv")
        frame = frame[(frame["protocol"] == protocol) & (frame["metric"] == metric)]
        pairs = named_pairs(run)
        if len(pairs) == lead.n_expected:  # a larger list may have been scored before
            frame = frame[frame["pair"].isin(pairs)]
        for stage, part in frame.groupby("stage", sort=False):
            columns[run.run, str(stage)] = part.set_index("pair")["value"]
    own = columns.get((lead.run, lead.stage))
    if own is None:
        return []
    found = []
    for row in table.rows:
        other = columns.get((row.run, row.stage))
        if other is None or row.bound or (row.run, row.stage) == (lead.run, lead.stage):
            continue
        both = own.index.intersection(other.index)
        result = paired_difference(own[both].to_numpy(), other[both].to_numpy())
        if result is not None:
            found.append((row, result))
    return found
