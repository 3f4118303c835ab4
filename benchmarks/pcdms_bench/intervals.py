"""95 % intervals over pairs, by bootstrap or jackknife; all methods see the same resamples."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SEED = 20240
"""Fixed, so that intervals of two methods over the same pairs are paired and repeatable."""
QUANTILES = (2.5, 97.5)

Values = NDArray[np.float64]


@lru_cache(maxsize=2)
def resample_counts(pairs: int, resamples: int) -> Values:
    """Return how often each of `pairs` is drawn in each resample, (resamples, pairs)."""
    generator = np.random.default_rng((SEED, pairs))
    counts = generator.multinomial(pairs, np.full(pairs, 1.0 / pairs), size=resamples)
    return counts.astype(np.float64)


def mean_interval(values: Values, resamples: int) -> tuple[float, float] | None:
    """Return the interval of the mean of `values` (pairs,); NaN marks pairs without a value.

    None for fewer than two values.
    """
    return ratio_interval(values, np.ones_like(values), resamples)


def ratio_interval(above: Values, below: Values, resamples: int) -> tuple[float, float] | None:
    """Return the interval of sum(above) / sum(below) over pairs, NaN pairs left out."""
    used = np.isfinite(above) & np.isfinite(below)
    if used.sum() < 2:
        return None
    counts = resample_counts(len(above), resamples)[:, used]
    denominators = counts @ below[used]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (counts @ above[used]) / denominators
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return None
    low, high = np.percentile(drawn, QUANTILES)
    return float(low), float(high)


def around(value: float, drawn: Values) -> tuple[float, float]:
    """Return the interval of a biased statistic: the spread of `drawn` around `value`.

    A resample repeats pictures, so a Frechet distance of it is larger than that of the set; the
    resamples' own median is taken as the centre.
    """
    low, high = np.percentile(drawn - np.median(drawn), QUANTILES)
    return float(value + low), float(value + high)


def left_out_parts(pairs: int, parts: int) -> NDArray[np.int64]:
    """Return the part (pairs,) of each pair, numbered from 0: at random, of nearly equal sizes.

    No more than `parts`, and none without a pair.
    """
    order = np.random.default_rng((SEED, pairs)).permutation(pairs)
    found: NDArray[np.int64] = order % min(parts, pairs)
    return found


def jackknife_interval(
    value: float, without: Values, lowest: float, highest: float
) -> tuple[float, float]:
    """Return the interval of `value` from the values `without` each part (G,) of the pairs.

    Student's t with G - 1 degrees of freedom, cut at the ends of the metric's range. Source: the
    jackknife of Quenouille and Tukey with a group left out at a time.
    """
    from scipy.special import stdtrit

    count = len(without)
    variance = (count - 1) / count * float(np.square(without - without.mean()).sum())
    reach = float(stdtrit(count - 1, QUANTILES[1] / 100)) * variance**0.5
    return max(value - reach, lowest), min(value + reach, highest)
