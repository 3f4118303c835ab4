"""From one measurement to the numbers of an audit: means, sets, and what dropping does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.intervals import QUANTILES, resample_counts
from pcdms_bench.measuring import Measured
from pcdms_bench.pair_metrics import NETWORK_METRICS
from pcdms_bench.picture_scores import lost_pairs
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.reference_features import Reference, used_of
from pcdms_bench.set_metrics import SET_METRICS
from pcdms_data.types import InputError

Column = NDArray[np.float64]
Kept = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Value:
    """One number, or why there is none; `above` / `below` are its parts per pair, if it has any."""

    value: float | None
    n: int
    reason: str = ""
    indicative: bool = False
    above: Column | None = None
    below: Column | None = None


def batch_of(metric: str, protocol: Protocol) -> int | None:
    """Return the batch whose incomplete last one the protocol drops for a metric, or None."""
    if metric in NETWORK_METRICS:
        return protocol.lpips_batch if protocol.lpips_drop_last else None
    if metric in SET_METRICS:
        return protocol.fid_batch if protocol.fid_drop_last else None
    return None


def kept_pairs(
    pair_ids: Sequence[str], measured: Measured, batch: int | None, order: int | None = None
) -> Kept:
    """Return which pairs (N,) are left when only whole batches count; all without a `batch`.

    The order is that of the names; with a number `order` it is a random one of that seed.
    """
    usable = [i for i, name in enumerate(pair_ids) if name not in measured.problems]
    usable.sort(key=lambda i: pair_ids[i])
    if order is not None:
        np.random.default_rng((20240, order)).shuffle(usable)
    kept = np.zeros(len(pair_ids), bool)
    kept[usable[: used_of(len(usable), batch)]] = True
    return kept


def pair_value(metric: str, measured: Measured, kept: Kept) -> Value:
    """Return a metric that has a value per pair, over the pairs that are kept."""
    if metric in measured.unavailable:
        return Value(None, 0, measured.unavailable[metric])
    above = np.where(kept, measured.values[metric], np.nan)
    below = measured.below.get(metric, np.ones(len(above)))
    used = np.isfinite(above) & np.isfinite(below)
    total = float(below[used].sum())
    lost = "; ".join(lost_pairs(measured.problems, len(above)))
    if not used.any() or total == 0:
        equal = np.isposinf(above).any()
        without = "identical to their targets (infinite)" if equal else "no value could be computed"
        return Value(None, 0, "; ".join(part for part in (lost, without) if part))
    above = np.where(used, above, np.nan)
    return Value(float(above[used].sum()) / total, int(used.sum()), lost, False, above, below)


def set_value(
    metric: str, measured: Measured, kept: Kept, reference: Reference, protocol: Protocol
) -> Value:
    """Return a metric of the whole set, over the pairs that are kept."""
    if metric in measured.unavailable:
        return Value(None, 0, measured.unavailable[metric])
    features = measured.features[metric]
    rows = [row for row, owner in enumerate(measured.owners) if kept[owner]]
    if len(rows) < len(features):
        features = _rows_of(features, rows)
    try:
        value = float(SET_METRICS[metric].compute(features, reference, protocol))
    except InputError as error:
        return Value(None, 0, str(error))
    smaller = min(len(rows), reference.count)
    reason = (
        f"{smaller} pictures for {features.width} features" if smaller <= features.width else ""
    )
    return Value(value, int(kept.sum()), reason, bool(reason))


def _rows_of(features: FeatureRows, rows: Sequence[int]) -> FeatureRows:
    """Return some rows of a feature table as a table of their own."""
    digests, values = features.digests(), features.all()
    table = FeatureTable(len(rows), features.width)
    for new, old in enumerate(rows):
        table.set(new, digests[old], values[old])
    return FeatureRows(table, range(len(rows)))


def change_interval(value: Value, base: Value, resamples: int) -> tuple[float, float] | None:
    """Return the 95 % interval of value - base, both resampled over the same pairs.

    None for set metrics and for fewer than two pairs.
    """
    if value.above is None or value.below is None or base.above is None or base.below is None:
        return None
    if min(value.n, base.n) < 2:
        return None
    counts = resample_counts(len(value.above), resamples)
    drawn = _ratio(counts, value.above, value.below) - _ratio(counts, base.above, base.below)
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2:
        return None
    low, high = np.percentile(drawn, QUANTILES)
    return float(low), float(high)


def _ratio(counts: Column, above: Column, below: Column) -> Column:
    used = np.isfinite(above)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Column = (counts[:, used] @ above[used]) / (counts[:, used] @ below[used])
    return found
