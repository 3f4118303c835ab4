"""Intervals of set metrics: how much they would move with other pairs, from the kept features.

The reference stays as it is. Precision and density are means over the generated pictures, so they
have the bootstrap of every mean. A Frechet distance is bootstrapped too: repeated pictures only
shift it. The others are misled by repeats and have the jackknife (`metrics/left_out.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench import set_statistics
from pcdms_bench.feature_rows import FeatureRows
from pcdms_bench.intervals import (
    around,
    jackknife_interval,
    left_out_parts,
    ratio_interval,
    resample_counts,
)
from pcdms_bench.metrics.left_out import (
    coverage_without,
    inception_score_without,
    kernel_distance_without,
    recall_without,
)
from pcdms_bench.metrics.neighbours import COVERAGE_NEIGHBOURS
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.reference_features import Reference
from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_bench.set_metrics import SetMetric

NO_INTERVAL = "no interval: too few pictures to leave some out"
LEAST = 3
"""Pictures that an interval needs at least."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Two sets that were compared, and what came of it."""

    value: float
    features: FeatureRows
    pairs: NDArray[np.int64]
    """Number of the pair of each feature row, from 0 and without gaps."""
    reference: Reference
    protocol: Protocol

    @property
    def count(self) -> int:
        """Return the number of pairs."""
        return int(self.pairs.max()) + 1

    def parts(self) -> NDArray[np.int64]:
        """Return the part of each feature row; all samples of a pair are in one."""
        return left_out_parts(self.count, self.protocol.set_resamples)[self.pairs]


Interval = Callable[[Compared], tuple[float, float] | None]


def set_interval(
    metric: SetMetric,
    value: float,
    features: FeatureRows,
    owners: Sequence[int],
    reference: Reference,
    protocol: Protocol,
) -> tuple[float, float] | None:
    """Return the 95 % interval of `value` over pairs; `owners` are the pairs of the rows.

    None where it is neither cheap nor asked for (`protocol.set_intervals`), and for too few
    pictures.
    """
    if len(features) < LEAST or not (protocol.set_intervals or is_cheap(metric, features)):
        return None
    pairs = np.unique(np.asarray(owners), return_inverse=True)[1]
    compared = Compared(value, features, pairs, reference, protocol)
    if compared.count < 2:
        return None
    try:
        return metric.interval(compared)
    except InputError:
        return None


def is_cheap(metric: SetMetric, features: FeatureRows) -> bool:
    """Whether an interval costs little beside the value: few pictures, or it falls off anyway."""
    return metric.interval_is_free or len(features) <= features.width


def frechet_interval(compared: Compared) -> tuple[float, float]:
    """Resample the pairs `set_resamples` times; all samples of a drawn pair come with it.

    For few pictures every resample picks from one matrix of products; otherwise each costs a whole
    comparison.
    """
    features, reference, protocol = compared.features, compared.reference, compared.protocol
    counts = resample_counts(compared.count, protocol.set_resamples).astype(np.int64)
    rows = [np.repeat(np.arange(len(features)), count[compared.pairs]) for count in counts]
    if len(features) <= features.width:
        return around(compared.value, reference.gaussian().resampled(features.all(), rows))
    values = [
        set_statistics.frechet(features.picked(list(one)), reference, protocol) for one in rows
    ]
    return around(compared.value, np.array(values))


def precision_interval(compared: Compared) -> tuple[float, float] | None:
    """Resample the pairs of a mean."""
    near = set_statistics.manifold(compared.features, compared.reference).near
    return _mean_interval(compared, near.astype(np.float64))


def density_interval(compared: Compared) -> tuple[float, float] | None:
    """Resample the pairs of a mean."""
    around_each = set_statistics.manifold(compared.features, compared.reference).around
    return _mean_interval(compared, around_each / COVERAGE_NEIGHBOURS)


def _mean_interval(compared: Compared, values: NDArray[np.float64]) -> tuple[float, float] | None:
    above = np.bincount(compared.pairs, values).astype(np.float64)
    below = np.bincount(compared.pairs).astype(np.float64)
    return ratio_interval(above, below, compared.protocol.resamples)


def recall_interval(compared: Compared) -> tuple[float, float]:
    """Leave out parts of the pairs."""
    reference = set_statistics.reference_rows(compared.reference)
    without = recall_without(compared.features.all(), reference, compared.parts())
    return jackknife_interval(compared.value, without, 0, 1)


def coverage_interval(compared: Compared) -> tuple[float, float]:
    """Leave out parts of the pairs."""
    reference = set_statistics.reference_rows(compared.reference)
    radii = set_statistics.radii_of(compared.reference)[1]
    without = coverage_without(compared.features.all(), reference, compared.parts(), radii)
    return jackknife_interval(compared.value, without, 0, 1)


def kernel_interval(compared: Compared) -> tuple[float, float]:
    """Leave out parts of the pairs."""
    reference = set_statistics.reference_rows(compared.reference)
    without = kernel_distance_without(compared.features.all(), reference, compared.parts())
    return jackknife_interval(compared.value, without, -math.inf, math.inf)


def inception_interval(compared: Compared) -> tuple[float, float]:
    """Leave out parts of the pairs."""
    logits = set_statistics.logits_of(compared.features)
    splits = compared.protocol.is_splits
    without = inception_score_without(logits, compared.parts(), splits)
    return jackknife_interval(compared.value, without, 1, math.inf)
