"""Metrics of all generated pictures together: which network's features, and what is made of them.

Adding a metric is one entry here and one in `metrics/catalog.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_bench import set_statistics
from pcdms_bench.feature_rows import FeatureRows
from pcdms_bench.metrics.frechet import FeatureStatistics
from pcdms_bench.protocol_type import Frame, Protocol
from pcdms_bench.reference_features import Reference


@dataclass(frozen=True)
class SetMetric:
    """One metric of a set. `compute` gets the generated features and the reference pictures'."""

    network: str
    """Name in `metrics.networks.FEATURE_NETWORKS`."""
    compute: Callable[[FeatureRows, Reference, Protocol], float]
    resampled: Callable[[FeatureRows, Reference, NDArray[np.int64]], NDArray[np.float64]] | None
    """Values of resampled rows (R, n), where that is cheap for few pictures."""
    frame: Literal["fid", "is"] = "fid"
    """Whose frame of the protocol the network looks at."""
    outside: float | None = None
    """Value on 0 to 255 outside the target's mask, where the pictures are masked."""
    needs_reference: bool = True
    bears_repeats: bool = False
    """Whether repeated pictures, as a resample has them, only shift the value."""
    needs_full_rank: bool = True
    """Whether the value is only indicative for fewer pictures than the network has features."""
    note: Callable[[int, int, Protocol], str] | None = None
    """What the numbers of generated and reference pictures mean for the value; '' for nothing. A
    note makes the value indicative."""


def frame_of_set(metric: SetMetric, protocol: Protocol) -> Frame:
    """Return where a set metric looks under a protocol."""
    if metric.outside is not None:
        return "metric"
    return protocol.fid_frame if metric.frame == "fid" else protocol.is_frame


def frechet(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the Frechet distance; for more rows than columns by streamed statistics."""
    known = reference.gaussian()
    if len(features) <= features.width:
        return known.distance(features.all())
    statistics = FeatureStatistics()
    for block in features.blocks():
        statistics.update(block)
    return known.distance_to(statistics.result())


def frechet_resampled(
    features: FeatureRows, reference: Reference, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the Frechet distances of resamples of few rows."""
    return reference.gaussian().resampled(features.all(), rows)


SET_METRICS: dict[str, SetMetric] = {
    name: SetMetric(name, frechet, frechet_resampled, bears_repeats=True)
    for name in (
        "fid", "fid_paper", "fd_efficientnet_lite0", "fd_squeezenet_caffe", "fd_clip", "fd_dinov2",
    )
} | {
    f"{name}{suffix}": SetMetric(
        network, compute, None, needs_full_rank=False, note=note,
        bears_repeats=compute is set_statistics.kernel,
    )
    for suffix, network in (("", "fid"), ("_efficientnet_lite0", "fd_efficientnet_lite0"))
    for name, compute, note in (
        ("kd" if suffix else "kid", set_statistics.kernel, set_statistics.kernel_note),
        ("precision", set_statistics.precision, set_statistics.manifold_note),
        ("recall", set_statistics.recall, set_statistics.manifold_note),
        ("density", set_statistics.density, set_statistics.manifold_note),
        ("coverage", set_statistics.coverage, set_statistics.manifold_note),
    )
} | {
    name: SetMetric(
        "fid", set_statistics.inception, None, frame="is", outside=outside, needs_reference=False,
        needs_full_rank=False, note=set_statistics.inception_note,
    )
    for name, outside in (("is", None), ("masked_is", 0.0))
}  # fmt: skip
"""Metric -> network and statistic."""
