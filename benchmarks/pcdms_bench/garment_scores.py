"""Garment retrieval over the pairs of a run: every picture against all sources' clothes.

The candidates are the distinct source pictures of all pairs, those of failed pairs included, so
that every method is asked the same question. Adding an embedding is one entry here and one in
`metrics/catalog.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.embedded_inputs import embed_inputs
from pcdms_bench.metric_inputs import Seen
from pcdms_bench.metrics.garments import garment_region, group_ranks
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.picture_content import PersonMask, Source
from pcdms_bench.picture_views import Side, View, view_for
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.result_store import ResultStore
from pcdms_data.types import InputError, Keypoints, PictureError

if TYPE_CHECKING:
    from pcdms_bench.measure_types import Measured, Task


@dataclass(frozen=True)
class GarmentMetric:
    """Counts when the right garment is among the `within` nearest by the features of `network`."""

    network: str
    within: int


GARMENT_METRICS: dict[str, GarmentMetric] = {
    "garment_r1": GarmentMetric("fd_efficientnet_lite0", 1),
    "garment_r5": GarmentMetric("fd_efficientnet_lite0", 5),
    "garment_given_r1": GarmentMetric("garment", 1),
    "garment_given_r5": GarmentMetric("garment", 5),
}
"""Metric -> network of `metrics/networks.py` and what counts as found."""


@dataclass(frozen=True, eq=False)
class Wearer:
    """The source of a pair: its picture, the pose in it, and the name of what is worn."""

    source: Source
    pose: Keypoints
    group: str


@dataclass(eq=False)
class _Candidates:
    """Embedded source pictures, by the digest of the picture."""

    digests: list[bytes]
    groups: list[str]
    features: NDArray[np.float32]


def garment_view(protocol: Protocol, side: Side) -> View:
    """Return how a protocol shows the clothes of the pictures of a side."""
    return replace(view_for(protocol, side, "metric"), cut="garment")


def check_wearers(tasks: Sequence[Task]) -> None:
    """Raise InputError unless every pair tells its source, what is worn, and both poses."""
    if any(task.wearer is None or task.mask is None or task.mask.pose is None for task in tasks):
        raise InputError("the source pictures and the key points of the pairs are not given")
    if any(task.wearer is not None and not task.wearer.group for task in tasks):
        raise InputError("the pairs do not say which pictures show the same garment")


def garment_hits(
    name: str,
    tasks: Sequence[Task],
    measured: Measured,
    protocol: Protocol,
    store: ResultStore,
) -> tuple[NDArray[np.float64], str]:
    """Return per task the share of its samples that find their garment, and what was searched.

    NaN where a pair has no picture, its target pose shows no clothes, or its garment is in no
    candidate. Raises InputError where there is no choice.
    """
    metric, network = GARMENT_METRICS[name], measured.networks[name]
    candidates = _candidates(tasks, network, protocol, store)
    choice = len(set(candidates.groups))
    if choice <= metric.within:
        raise InputError(f"garments to choose from: {choice}, expected more than {metric.within}")
    places = {digest: i for i, digest in enumerate(candidates.digests)}
    owners, values = measured.owners, np.full(len(tasks), np.nan)
    barred = [places.get(_digest(tasks[owner].target), -1) for owner in owners]
    ranks = group_ranks(
        measured.features[name].all(), [_group(tasks[owner]) for owner in owners],
        candidates.features, candidates.groups, barred,
    )  # fmt: skip
    hits: dict[int, list[float]] = {}
    for owner, rank in zip(owners, ranks, strict=True):
        mask = tasks[owner].mask
        worn = (
            mask is not None
            and mask.pose is not None
            and (garment_region(mask.pose.resized(protocol.frame)) is not None)
        )
        if worn and np.isfinite(rank):
            hits.setdefault(owner, []).append(float(rank <= metric.within))
    for owner, found in hits.items():
        values[owner] = np.mean(found)
    note = f"among {choice} garments in {len(places)} source pictures"
    return values, note


def _candidates(
    tasks: Sequence[Task],
    network: FeatureNetwork,
    protocol: Protocol,
    store: ResultStore,
) -> _Candidates:
    """Embed every distinct source picture whose clothes can be cut out."""
    wearers: dict[bytes, Wearer] = {}
    for task in tasks:
        wearer = task.wearer
        if wearer is None or garment_region(wearer.pose.resized(protocol.frame)) is None:
            continue
        digest = _digest(wearer.source)
        if digest:
            wearers.setdefault(digest, wearer)
    view = garment_view(protocol, "target")
    inputs = [
        Seen(one.source, view, PersonMask(None, one.pose), protocol) for one in wearers.values()
    ]
    kept, features = embed_inputs(inputs, network, store)
    digests = [list(wearers)[number] for number in kept]
    return _Candidates(digests, [wearers[digest].group for digest in digests], features)


def _group(task: Task) -> str:
    return task.wearer.group if task.wearer is not None else ""


def _digest(source: Source) -> bytes:
    """Return the digest of a picture, nothing where it cannot be read."""
    try:
        return source.digest()
    except PictureError:
        return b""
