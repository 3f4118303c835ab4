"""From the pictures of one stage to values per pair and features, for several protocols at once.

Every picture is decoded at most once, every network sees every input at most once, and what was
computed before, by this or an earlier command, is looked up by the content of the pictures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.distances import DistanceQueue
from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.metric_inputs import InputBank, Seen
from pcdms_bench.metrics.networks import (
    DistanceNetwork,
    FeatureNetwork,
    distance_network,
    feature_network,
)
from pcdms_bench.pair_metrics import (
    NETWORK_METRICS,
    PIXEL_METRICS,
    RATIOS,
    NetworkMetric,
    PixelPair,
    frame_of,
    pair_metric,
    takes_mask,
)
from pcdms_bench.picture_content import PersonMask, Source
from pcdms_bench.picture_views import Side, View, view_for
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.reference_features import features_of
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.set_metrics import SET_METRICS, frame_of_set
from pcdms_data.types import InputError, PictureError

CHUNK = 16
"""Pairs decoded at a time; memory does not grow with the set."""


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


@dataclass(eq=False)
class _Work:
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
    order = _by_target(tasks)
    for start in range(0, len(order), CHUNK):
        chunk = order[start : start + CHUNK]
        _Chunk(tasks, chunk, works, memory, store, selection).run()
        if progress:
            progress(len(chunk))
    for work in works:
        _collect(work, tasks)
    return [work.result for work in works]


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


def _open(plan: Plan, tasks: Sequence[Task], device: str) -> _Work:
    """Open the networks of a plan; note the reason of each metric that cannot be computed."""
    pairwise = [name for name in plan.metrics if pair_metric(name)]
    empty = {name: np.full(len(tasks), np.nan) for name in pairwise}
    below = {name: np.full(len(tasks), np.nan) for name in pairwise if name in RATIOS}
    work = _Work(plan, Measured(empty, below))
    for name in plan.metrics:
        try:
            _check_mask(name, tasks, plan.protocol)
            metric = pair_metric(name)
            work.views[name] = _views(name, plan.protocol)
            if isinstance(metric, NetworkMetric):
                work.distances[name] = distance_network(metric.network, device)
                work.result.extractors[name] = work.distances[name].label
            elif metric is None:
                network = feature_network(SET_METRICS[name].network, device)
                work.result.networks[name] = network
                work.result.extractors[name] = network.label
        except InputError as error:
            work.result.unavailable[name] = str(error)
    return work


def _views(name: str, protocol: Protocol) -> dict[Side, View]:
    """Return how a metric sees each side. Raises InputError on a metric nothing computes."""
    metric = pair_metric(name)
    if metric is not None:
        frame = frame_of(name, protocol) if metric.outside is None else "metric"
        return {
            "generated": view_for(protocol, "generated", frame, metric.outside),
            "target": view_for(protocol, "target", frame, metric.outside),
        }
    if name not in SET_METRICS:
        raise InputError(f"{name} is not computed by this version")
    frame = frame_of_set(SET_METRICS[name], protocol)
    return {"generated": view_for(protocol, "generated", frame, SET_METRICS[name].outside)}


def _check_mask(name: str, tasks: Sequence[Task], protocol: Protocol) -> None:
    """Raise InputError when a metric needs masks that are not there."""
    if not takes_mask(name):
        return
    for task in tasks:
        if task.mask is None or not task.mask.kind(protocol):
            raise InputError(
                "the key points of the targets are not given"
                if protocol.mask_source == "keypoints"
                else "neither masks nor target_keypoints were given"
            )


def _make_tables(works: Sequence[_Work], tasks: Sequence[Task], shared: bool) -> None:
    """Give every set metric room for its features; metrics that see the same share it."""
    rows = len(tasks) * _stride(tasks)
    tables: dict[object, FeatureTable] = {}
    for number, work in enumerate(works):
        for name, network in work.result.networks.items():
            view = work.views[name]["generated"]
            key = (network, view, None if shared and view.outside is None else number)
            if key not in tables:
                tables[key] = FeatureTable(rows, network.width)
            work.tables[name] = tables[key]


def _stride(tasks: Sequence[Task]) -> int:
    """Return how many rows of a feature table belong to a task."""
    return max((len(task.generated) for task in tasks), default=0)


def _collect(work: _Work, tasks: Sequence[Task]) -> None:
    """Put the feature rows of the pictures that count in the order of the tasks."""
    stride = _stride(tasks)
    rows = [i * stride + sample for i in sorted(work.used) for sample in work.used[i]]
    work.result.owners = [row // stride for row in rows]
    for name, table in work.tables.items():
        if name not in work.result.unavailable:
            work.result.features[name] = FeatureRows(table, rows)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """One value of a pixel metric to find: its key, its inputs, and where it belongs."""

    key: bytes
    name: str
    index: int
    made: Seen
    true: Seen


class _Chunk:
    """A few pairs on their way through every plan."""

    def __init__(
        self,
        tasks: Sequence[Task],
        indices: Sequence[int],
        works: Sequence[_Work],
        memory: ScoreMemory,
        store: ResultStore,
        selection: str,
    ) -> None:
        self.tasks, self.indices, self.works = tasks, indices, works
        self.memory, self.store, self.selection = memory, store, selection
        self.stride = _stride(tasks)
        self.bank = InputBank(store)
        self.pairs: dict[bytes, PixelPair] = {}
        self.inputs: dict[object, Seen] = {}

    def run(self) -> None:
        """Fill in the values and features of these pairs under every plan."""
        self._look_up_inputs()
        queue = DistanceQueue(self.bank, self.memory, self.store)
        for work in self.works:
            for index in self.indices:
                self._start(work, index)
            self._measure_pixels(work)
            for name, network in work.distances.items():
                self._queue(work, name, network, queue)
        queue.run()
        for work in self.works:
            for name, table in work.tables.items():
                self._fill(work, name, table)

    def _look_up_inputs(self) -> None:
        """Learn the digests of all inputs that were seen before, with one query."""
        for work in self.works:
            for index in self.indices:
                for sample in range(len(self.tasks[index].generated)):
                    for name in work.wanted():
                        self.seen(work, name, index, sample)
        readable = []
        for seen in self.inputs.values():
            with contextlib.suppress(PictureError):
                seen.key()
                readable.append(seen)
        self.bank.look_up(readable)

    def seen(self, work: _Work, name: str, index: int, sample: int) -> list[Seen]:
        """Return the inputs of a metric: generated picture and, where it has one, target."""
        task, found = self.tasks[index], []
        for side, view in work.views[name].items():
            source = task.generated[sample] if side == "generated" else task.target
            masked = None if view.outside is None else id(work)
            key = (id(source), view, masked)
            if key not in self.inputs:
                self.inputs[key] = Seen(source, view, task.mask, work.plan.protocol)
            found.append(self.inputs[key])
        return found

    def _start(self, work: _Work, index: int) -> None:
        """Choose the samples of a pair and make sure that its pictures can be seen."""
        task = self.tasks[index]
        if task.failure or not task.generated:
            work.drop(index, task.pair_id, task.failure or "no picture was generated")
            return
        try:
            work.used[index] = self._samples(work, index)
            for sample in work.used[index]:
                for name in work.wanted():
                    for seen in self.seen(work, name, index, sample):
                        self.bank.digest(seen)
        except PictureError as error:
            work.drop(index, task.pair_id, str(error))

    def _samples(self, work: _Work, index: int) -> tuple[int, ...]:
        """Return the samples of a pair that count under the selection."""
        count = len(self.tasks[index].generated)
        if self.selection == "first":
            return (0,)
        if self.selection == "mean" or count == 1:
            return tuple(range(count))
        work.views.setdefault("ssim", _views("ssim", work.plan.protocol))
        asked = [self._pixel_value(work, "ssim", index, sample) for sample in range(count)]
        return (int(np.argmax([self._compute(work, one)[0] for one in asked])),)

    def _pixel_value(self, work: _Work, name: str, index: int, sample: int) -> _Pixels:
        """Return a value to find, known by its inputs and all that decides it."""
        metric, protocol = PIXEL_METRICS[name], work.plan.protocol
        made, true = self.seen(work, name, index, sample)
        mask = self.tasks[index].mask
        key = content_key(
            "value", library_versions(), metric.compute.__name__, repr(metric.settings(protocol)),
            self.bank.digest(made), self.bank.digest(true),
            mask.digest(protocol) if metric.mask and mask is not None else b"",
        )  # fmt: skip
        return _Pixels(key, name, index, made, true)

    def _compute(self, work: _Work, one: _Pixels) -> tuple[float, ...]:
        """Compute a value and keep it."""
        metric, protocol = PIXEL_METRICS[one.name], work.plan.protocol
        both = self.bank.digest(one.made) + self.bank.digest(one.true)
        if both not in self.pairs:
            self.pairs[both] = PixelPair(self.bank.array(one.made), self.bank.array(one.true))
        mask = self.tasks[one.index].mask if metric.mask else None
        inside = mask.mask(protocol) if mask is not None else None
        values = metric.compute(self.pairs[both], protocol, inside)
        self.store.put(one.key, np.array(values, np.float64).tobytes())
        return values

    def _measure_pixels(self, work: _Work) -> None:
        """Fill in the metrics that need no network."""
        asked: list[_Pixels] = []
        for name, index, sample in self._used(work):
            if name in PIXEL_METRICS:
                try:
                    asked.append(self._pixel_value(work, name, index, sample))
                except PictureError as error:
                    work.drop(index, self.tasks[index].pair_id, str(error))
        stored = self.store.get_many([one.key for one in asked])
        found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
        for one in asked:
            if one.name in work.result.unavailable or one.index not in work.used:
                continue
            try:
                values = (
                    tuple(np.frombuffer(stored[one.key], np.float64).tolist())
                    if one.key in stored
                    else self._compute(work, one)
                )
                found.setdefault((one.name, one.index), []).append(values)
            except PictureError as error:
                work.drop(one.index, self.tasks[one.index].pair_id, str(error))
            except InputError as error:
                work.result.unavailable[one.name] = str(error)
        for (name, index), each in found.items():
            if index in work.used:
                mean = np.mean(each, axis=0)
                work.result.values[name][index] = mean[0]
                if name in RATIOS:
                    work.result.below[name][index] = mean[1]

    def _used(self, work: _Work) -> Iterator[tuple[str, int, int]]:
        """Yield metric, task and sample of everything that counts."""
        for index in self.indices:
            for sample in work.used.get(index, ()):
                for name in work.wanted():
                    yield name, index, sample

    def _queue(
        self, work: _Work, name: str, network: DistanceNetwork, queue: DistanceQueue
    ) -> None:
        """Ask for the distances of one metric."""
        column, unavailable = work.result.values[name], work.result.unavailable
        black = NETWORK_METRICS[name].black
        black = work.plan.protocol.lpips_input[0] if black is None else black
        for index in self.indices:
            if index in work.used and name not in unavailable:
                inputs = [self.seen(work, name, index, s) for s in work.used[index]]
                queue.add(
                    network, black, [(made, true) for made, true in inputs], column, index,
                    partial(unavailable.__setitem__, name),
                )  # fmt: skip

    def _fill(self, work: _Work, name: str, table: FeatureTable) -> None:
        """Fill a feature table with the rows of these pairs."""
        rows: list[int] = []
        inputs: list[Seen] = []
        for index in self.indices:
            for sample in work.used.get(index, ()):
                rows.append(index * self.stride + sample)
                inputs += self.seen(work, name, index, sample)
        if not inputs or name in work.result.unavailable:
            return
        try:
            found = features_of(inputs, self.bank, work.result.networks[name], self.store)
        except InputError as error:
            work.result.unavailable[name] = str(error)
            return
        for row, seen, values in zip(rows, inputs, found, strict=True):
            table.set(row, self.bank.digest(seen), values)
