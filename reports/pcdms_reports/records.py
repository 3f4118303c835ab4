"""The contract of `scores.csv`: one number a row, every choice behind it beside it."""

from __future__ import annotations

from dataclasses import dataclass, fields

SCHEMA = 1
"""Number of the column set below; a change of the columns raises it."""
STATUSES = ("ok", "indicative", "unavailable", "failed")


class RecordError(ValueError):
    """A score file that cannot be used. The message is one line: value, expectation, file."""


@dataclass(frozen=True)
class ScoreRow:
    """One number of one stage of one run. An absent number is None, never 0, and has a `reason`.

    `resolution` is the metric frame as `HxW`; `extractor` is `<network>@<8 hex of its SHA-256>` or
    empty; `reference` is `train:<count>` or `pair`, with `;mask=exact|keypoints` where used.
    """

    run: str
    method: str
    stages: str
    stage: str
    dataset: str
    split: str
    resolution: str
    protocol: str
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_expected: int
    extractor: str
    reference: str
    selection: str
    samples: int
    weights: str
    seed: int
    status: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse a row that could be read as a number where there is none."""
        if self.status not in STATUSES:
            raise RecordError(f"status {self.status!r}, expected one of {', '.join(STATUSES)}")
        if (self.value is None) == (self.status in ("ok", "indicative")):
            raise RecordError(f"{self.metric}: status {self.status} with value {self.value}")
        if self.value is None and not self.reason:
            raise RecordError(f"{self.metric}: a missing value needs a reason")


COLUMNS = tuple(f.name for f in fields(ScoreRow))
