"""Metrics of all generated pictures together: which network's features, and what is made of them.

Adding a metric is one entry here and one in `metrics/catalog.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pcdms_bench import set_statistics
from pcdms_bench.feature_rows import FeatureRows
from pcdms_bench.protocol_type import Frame, Protocol
from pcdms_bench.reference_features import Reference
from pcdms_bench.set_intervals import (
    Interval,
    coverage_interval,
    density_interval,
    frechet_interval,
    inception_interval,
    kernel_interval,
    precision_interval,
    recall_interval,
)


@dataclass(frozen=True)
class SetMetric:
    """One metric of a set. `compute` gets the generated features and the reference pictures'."""

    network: str
    """Name in `metrics.networks.FEATURE_NETWORKS`."""
    compute: Callable[[FeatureRows, Reference, Protocol], float]
    interval: Interval
    """Its interval over pairs; for few pictures always, otherwise on request."""
    frame: Literal["fid", "is"] = "fid"
    """Whose frame of the protocol the network looks at."""
    outside: float | None = None
    """Value on 0 to 255 outside the target's mask, where the pictures are masked."""
    needs_reference: bool = True
    interval_is_free: bool = False
    """Whether the interval follows from the value's own parts."""
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


SET_METRICS: dict[str, SetMetric] = {
    name: SetMetric(name, set_statistics.frechet, frechet_interval)
    for name in (
        "fid", "fid_paper", "fd_efficientnet_lite0", "fd_squeezenet_caffe", "fd_clip", "fd_dinov2",
        "fd_given",
    )
} | {
    f"{name}{suffix}": SetMetric(
        network, compute, interval, interval_is_free=name in ("precision", "density"),
        needs_full_rank=False, note=note,
    )
    for suffix, network in (("", "fid"), ("_efficientnet_lite0", "fd_efficientnet_lite0"))
    for name, compute, interval, note in (
        ("kd" if suffix else "kid", set_statistics.kernel, kernel_interval,
         set_statistics.kernel_note),
        ("precision", set_statistics.precision, precision_interval, set_statistics.manifold_note),
        ("recall", set_statistics.recall, recall_interval, set_statistics.manifold_note),
        ("density", set_statistics.density, density_interval, set_statistics.manifold_note),
        ("coverage", set_statistics.coverage, coverage_interval, set_statistics.manifold_note),
    )
} | {
    name: SetMetric(
        "fid", set_statistics.inception, inception_interval, frame="is", outside=outside,
        needs_reference=False, needs_full_rank=False, note=set_statistics.inception_note,
    )
    for name, outside in (("is", None), ("masked_is", 0.0))
}  # fmt: skip
"""Metric -> network, statistic and interval."""
