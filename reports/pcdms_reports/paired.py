"""Do two stages differ on the same pairs? Difference, interval, p-value and effect, pair by pair.

Both stages made a picture for the same pairs, so what counts is the difference within each pair:
how hard a pair is drops out. Two intervals that overlap say little; the interval of the difference
says what the pairs can tell. Pairs share persons and are treated as independent all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcdms_reports.csv_frames import read_frame
from pcdms_reports.csv_records import Field
from pcdms_reports.folders import PAIR_COLUMNS
from pcdms_reports.scores import STAGES

SEED = 20240
RESAMPLES = 1000
"""Bootstrap resamples of the pairs, for the interval."""
FLIPS = 9999
"""Random sign flips of the test; with few pairs all flips are tried."""
EXACT_PAIRS = 13
_FIELDS = (
    Field("pair"), Field("stage", choices=STAGES), Field("protocol", optional=True),
    Field("metric"), Field("value", "real", infinite=True),
)  # fmt: skip
_CELLS = 4_000_000
"""Numbers held at a time."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """First minus second over the `n` pairs that both have."""

    difference: float
    """Mean difference."""
    ci_low: float
    ci_high: float
    """95 % bootstrap interval of the mean difference, over pairs."""
    p: float
    """Two-sided sign-flip test: how often chance alone makes a mean difference as large."""
    effect: float
    """Mean difference over the standard deviation of the differences (Cohen's d of paired data);
    0.2 is small, 0.8 large. 0 where all pairs agree exactly, infinite where all differ equally."""
    greater: float
    """Share of pairs where the first value is the greater one; a tie counts half."""
    n: int


def paired_difference(first: NDArray[Any], second: NDArray[Any]) -> PairedDifference | None:
    """Compare two columns of values of the same pairs, (N,) each; NaN marks a pair without a value.

    None where fewer than two pairs have both values (infinite values count as missing).
    """
    with np.errstate(invalid="ignore"):  # two infinite values differ by nothing known
        differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    if count < 2:
        return None
    drawn = _resamples(count) @ differences / count
    low, high = np.percentile(drawn, (2.5, 97.5))
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    effect = mean / spread if spread > 0 else float(np.sign(mean)) * np.inf if mean else 0.0
    greater = float((differences > 0).mean() + (differences == 0).mean() / 2)
    return PairedDifference(
        mean, float(low), float(high), sign_flip_p(differences), effect, greater, count
    )


def sign_flip_p(differences: Values) -> float:
    """Return the two-sided p-value of the mean of `differences` (N,) under random signs.

    Without a true difference every sign is as likely as its opposite. All 2^N signs are tried for
    N up to `EXACT_PAIRS`, else `FLIPS` random ones, the observed signs counted as one of them; then
    the smallest possible value is 1 / (FLIPS + 1).
    """
    count = len(differences)
    # Rounding must not make an equally large sum look smaller than the observed one.
    bound = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    if count <= EXACT_PAIRS:
        codes = np.arange(1 << count)[:, None] >> np.arange(count) & 1
        return float((np.abs((2.0 * codes - 1) @ differences) >= bound).mean())
    generator = np.random.default_rng((SEED, count))
    as_large, left = 1, FLIPS
    while left:
        rows = min(left, max(1, _CELLS // count))
        signs = 2.0 * generator.integers(0, 2, (rows, count), dtype=np.int8) - 1
        as_large += int((np.abs(signs @ differences) >= bound).sum())
        left -= rows
    return as_large / (FLIPS + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the given order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    corrected, largest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, values[i] * (len(values) - place)))
        corrected[i] = largest
    return corrected


def read_pair_table(path: Path) -> pd.DataFrame:
    """Return a `pairs.csv` as a frame of `PAIR_COLUMNS`: text and float64 `value`.

    A value may be infinite (the PSNR of equal pictures). An absent file gives an empty frame.
    Raises RecordError naming file, line and column on other columns, an unknown stage, a value that
    is no number and a repeated row.
    """
    return read_frame(path, _FIELDS, PAIR_COLUMNS[:4])


@lru_cache(maxsize=2)
def _resamples(count: int) -> Values:
    """Return how often each of `count` pairs is drawn in each resample, (RESAMPLES, count)."""
    generator = np.random.default_rng((SEED, count))
    counts = generator.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    return counts.astype(np.float64)
