"""Intervals of set metrics: the pairs are resampled, and the kept features are compared again.

Cheap for fewer pictures than features, where every resample picks from one matrix of products;
otherwise each resample costs a whole comparison, so it is done on request.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.feature_rows import FeatureRows
from pcdms_bench.intervals import around, resample_counts
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.reference_features import Reference
from pcdms_bench.set_metrics import SetMetric

NO_INTERVAL = "no interval: a resample repeats pictures, which this metric takes for agreement"


def is_cheap(metric: SetMetric, features: FeatureRows) -> bool:
    """Whether resampling costs little: a few pictures and a metric that can make use of it."""
    return 2 < len(features) <= features.width and metric.resampled is not None


def set_interval(
    metric: SetMetric,
    value: float,
    features: FeatureRows,
    owners: Sequence[int],
    reference: Reference,
    protocol: Protocol,
) -> tuple[float, float] | None:
    """Return the 95 % interval of `value` over resampled pairs, `protocol.set_resamples` of them.

    `owners` are the pairs of the rows; all samples of a drawn pair come with it. None where it is
    neither cheap nor asked for (`protocol.set_intervals`), for fewer than three pictures, and for
    metrics that repeated pictures would mislead.
    """
    if len(features) < 3 or not (is_cheap(metric, features) or protocol.set_intervals):
        return None
    if metric.resampled is None and not metric.bears_repeats:
        return None
    drawn, rows_of = np.unique(np.asarray(owners), return_inverse=True)
    counts = resample_counts(len(drawn), protocol.set_resamples).astype(np.int64)
    rows = [np.repeat(np.arange(len(features)), count[rows_of]) for count in counts]
    if metric.resampled is not None and is_cheap(metric, features):
        return around(value, _cheap(metric, features, reference, rows))
    values = [metric.compute(features.picked(list(chosen)), reference, protocol) for chosen in rows]
    return around(value, np.array(values))


def _cheap(
    metric: SetMetric,
    features: FeatureRows,
    reference: Reference,
    rows: Sequence[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Return the values of all resamples, at once where they hold equally many rows."""
    assert metric.resampled is not None
    if len({len(chosen) for chosen in rows}) == 1:
        return metric.resampled(features, reference, np.stack(rows))
    return np.concatenate([metric.resampled(features, reference, one[None]) for one in rows])
