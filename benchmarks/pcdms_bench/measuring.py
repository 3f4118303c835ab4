"""From the pictures of one stage to values per pair and features, for several protocols at once.

Every picture is decoded at most once, every network sees every input at most once, and what was
computed before, by this or an earlier command, is looked up by the content of the pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.garment_scores import GARMENT_METRICS, check_wearers, garment_hits
from pcdms_bench.measure_chunk import Chunk
from pcdms_bench.measure_types import Measured, Plan, Task, Work, rows_per_task, views_of
from pcdms_bench.metrics.networks import distance_network, feature_network, fitting
from pcdms_bench.pair_metrics import RATIOS, NetworkMetric, pair_metric, takes_mask
from pcdms_bench.pose_metrics import POSE_METRICS, PoseMetric
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.result_store import ResultStore
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.set_metrics import SET_METRICS
from pcdms_data.types import InputError, PictureError

__all__ = ["Measured", "Plan", "Task", "measure"]

CHUNK, LEAST = 16, 4
"""Pairs decoded at a time: so many in frames of 256x176 and below, fewer in larger ones, so that
memory grows neither with the set nor with its pictures."""


def measure(
    tasks: Sequence[Task],
    plans: Sequence[Plan],
    memory: ScoreMemory,
    store: ResultStore,
    selection: str = "first",
    device: str = "cpu",
    progress: Callable[[int], object] | None = None,
) -> list[Measured]:
    """Return, per plan, the values of every pairwise metric and the features of every set metric.

    `selection` is `first`, `mean` (values averaged over a pair's samples) or `oracle-ssim` (the
    sample nearest its target in the protocol's SSIM). A pair whose picture is missing or cannot be
    decoded lands in `problems`, a network without weights in `unavailable`; neither stops the rest.
    """
    works = [_open(plan, tasks, device) for plan in plans]
    _make_tables(works, tasks, shared=selection != "oracle-ssim")
    order, count = _by_target(tasks), _at_once(plans)
    for start in range(0, len(order), count):
        chunk = order[start : start + count]
        Chunk(tasks, chunk, works, memory, store, selection).run()
        if progress:
            progress(len(chunk))
    for work in works:
        _collect(work, tasks)
        _retrieve(work, tasks, store)
    return [work.result for work in works]


def _at_once(plans: Sequence[Plan]) -> int:
    """Return how many pairs are decoded at a time."""
    largest = max((plan.protocol.frame for plan in plans), key=math.prod, default=(1, 1))
    return max(LEAST, fitting(CHUNK, largest))


def _by_target(tasks: Sequence[Task]) -> list[int]:
    """Return the task numbers, pairs of one target together, so that it is seen once."""
    first: dict[object, int] = {}
    places: list[tuple[int, int]] = []
    for i, task in enumerate(tasks):
        try:
            key: object = task.target.digest()
        except PictureError:
            key = i
        places.append((first.setdefault(key, i), i))
    return [i for _, i in sorted(places)]


def _open(plan: Plan, tasks: Sequence[Task], device: str) -> Work:
    """Open the networks of a plan; note the reason of each metric that cannot be computed."""
    pairwise = [name for name in plan.metrics if pair_metric(name) or name in GARMENT_METRICS]
    empty = {name: np.full(len(tasks), np.nan) for name in pairwise}
    below = {name: np.full(len(tasks), np.nan) for name in pairwise if name in RATIOS}
    work = Work(plan, Measured(empty, below))
    for name in plan.metrics:
        try:
            _check_mask(name, tasks, plan.protocol)
            metric = pair_metric(name)
            work.views[name] = views_of(name, plan.protocol)
            if isinstance(metric, PoseMetric):
                work.result.extractors[name] = metric.extractor()
            elif isinstance(metric, NetworkMetric):
                work.distances[name] = distance_network(metric.network, device)
                work.result.extractors[name] = work.distances[name].label
            elif metric is None:
                source = GARMENT_METRICS.get(name) or SET_METRICS[name]
                network = feature_network(source.network, device)
                work.result.networks[name] = network
                work.result.extractors[name] = network.label
        except InputError as error:
            work.result.unavailable[name] = str(error)
    return work


def _check_mask(name: str, tasks: Sequence[Task], protocol: Protocol) -> None:
    """Raise InputError when a metric needs masks that are not there."""
    if name in POSE_METRICS and any(t.mask is None or t.mask.pose is None for t in tasks):
        raise InputError("the key points of the targets are not given")
    if name in GARMENT_METRICS:
        check_wearers(tasks)
    if not takes_mask(name):
        return
    for task in tasks:
        if task.mask is None or not task.mask.kind(protocol):
            raise InputError(
                "the key points of the targets are not given"
                if protocol.mask_source == "keypoints"
                else "neither masks nor target_keypoints were given"
            )


def _make_tables(works: Sequence[Work], tasks: Sequence[Task], shared: bool) -> None:
    """Give every set metric room for its features; metrics that see the same share it."""
    rows = len(tasks) * rows_per_task(tasks)
    tables: dict[object, FeatureTable] = {}
    for number, work in enumerate(works):
        for name, network in work.result.networks.items():
            view = work.views[name]["generated"]
            key = (network, view, None if shared and view.outside is None else number)
            if key not in tables:
                tables[key] = FeatureTable(rows, network.width)
            work.tables[name] = tables[key]


def _collect(work: Work, tasks: Sequence[Task]) -> None:
    """Put the feature rows of the pictures that count in the order of the tasks."""
    stride = rows_per_task(tasks)
    rows = [i * stride + sample for i in sorted(work.used) for sample in work.used[i]]
    work.result.owners = [row // stride for row in rows]
    for name, table in work.tables.items():
        if name not in work.result.unavailable:
            work.result.features[name] = FeatureRows(table, rows)


def _retrieve(work: Work, tasks: Sequence[Task], store: ResultStore) -> None:
    """Fill in the metrics of garment retrieval, which need all sources at once."""
    result = work.result
    for name in work.wanted():
        if name in GARMENT_METRICS and result.owners:
            try:
                result.values[name], result.notes[name] = garment_hits(
                    name, tasks, result, work.plan.protocol, store
                )
            except InputError as error:
                result.unavailable[name] = str(error)
