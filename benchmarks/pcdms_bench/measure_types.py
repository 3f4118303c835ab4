"""What is measured and what comes of it: tasks, plans per protocol, and results under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.garment_scores import GARMENT_METRICS, Wearer, garment_view
from pcdms_bench.metrics.networks import DistanceNetwork, FeatureNetwork
from pcdms_bench.pair_metrics import frame_of, pair_metric
from pcdms_bench.picture_content import PersonMask, Source
from pcdms_bench.picture_views import Side, View, view_for
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.set_metrics import SET_METRICS, frame_of_set
from pcdms_data.types import InputError


@dataclass(frozen=True, eq=False)
class Task:
    """One pair to score."""

    pair_id: str
    generated: Sequence[Source]
    """One per sample of the pair; empty when there is no picture."""
    target: Source
    mask: PersonMask | None = None
    failure: str = ""
    """Why there is no picture, where that is known."""
    wearer: Wearer | None = None
    """The source and what is worn there, for garment retrieval."""


@dataclass(frozen=True)
class Plan:
    """What to compute under one protocol."""

    protocol: Protocol
    metrics: tuple[str, ...]


@dataclass(eq=False)
class Measured:
    """What one protocol gave; arrays have one entry per task, NaN where missing."""

    values: dict[str, NDArray[np.float64]]
    below: dict[str, NDArray[np.float64]]
    """Denominators of the metrics in `RATIOS`."""
    features: dict[str, FeatureRows] = field(default_factory=dict[str, FeatureRows])
    """Per set metric, the features of every picture used."""
    networks: dict[str, FeatureNetwork] = field(default_factory=dict[str, FeatureNetwork])
    owners: list[int] = field(default_factory=list[int])
    """Task index of every picture used, in the order of `features`."""
    problems: dict[str, str] = field(default_factory=dict[str, str])
    """Pair id -> why the pair has no score."""
    unavailable: dict[str, str] = field(default_factory=dict[str, str])
    """Metric -> why it could not be computed."""
    extractors: dict[str, str] = field(default_factory=dict[str, str])
    """Metric -> network and digest."""
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """Metric -> what belongs into its row beside the value."""


@dataclass(eq=False)
class Work:
    """One plan under way."""

    plan: Plan
    result: Measured
    distances: dict[str, DistanceNetwork] = field(default_factory=dict[str, DistanceNetwork])
    tables: dict[str, FeatureTable] = field(default_factory=dict[str, FeatureTable])
    views: dict[str, dict[Side, View]] = field(default_factory=dict[str, dict[Side, View]])
    """Metric -> how it sees the generated picture and, if pairwise, the target."""
    used: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
    """Task index -> samples that count."""

    def wanted(self) -> list[str]:
        """Return the metrics that can still be computed."""
        return [name for name in self.plan.metrics if name not in self.result.unavailable]

    def drop(self, index: int, pair_id: str, reason: str) -> None:
        """Leave a pair out of everything."""
        self.result.problems.setdefault(pair_id, reason)
        self.used.pop(index, None)
        for column in (*self.result.values.values(), *self.result.below.values()):
            column[index] = np.nan


def views_of(name: str, protocol: Protocol) -> dict[Side, View]:
    """Return how a metric sees each side. Raises InputError on a metric nothing computes."""
    metric = pair_metric(name)
    if metric is not None:
        frame = frame_of(name, protocol) if metric.outside is None else "metric"
        return {
            "generated": view_for(protocol, "generated", frame, metric.outside),
            "target": view_for(protocol, "target", frame, metric.outside),
        }
    if name in GARMENT_METRICS:
        return {"generated": garment_view(protocol, "generated")}
    if name not in SET_METRICS:
        raise InputError(f"{name} is not computed by this version")
    frame = frame_of_set(SET_METRICS[name], protocol)
    return {"generated": view_for(protocol, "generated", frame, SET_METRICS[name].outside)}


def rows_per_task(tasks: Sequence[Task]) -> int:
    """Return how many rows of a feature table belong to a task."""
    return max((len(task.generated) for task in tasks), default=0)
