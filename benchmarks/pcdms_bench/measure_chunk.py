"""A few pairs on their way through every protocol: decoded at most once, each input seen once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pcdms_bench.distances import DistanceQueue
from pcdms_bench.feature_rows import FeatureTable
from pcdms_bench.measure_types import Task, Work, rows_per_task, views_of
from pcdms_bench.metric_inputs import InputBank, Seen
from pcdms_bench.metrics.networks import DistanceNetwork
from pcdms_bench.pair_metrics import NETWORK_METRICS, PIXEL_METRICS, RATIOS, PixelPair
from pcdms_bench.picture_content import pose_digest
from pcdms_bench.pose_metrics import POSE_METRICS, SeenPose
from pcdms_bench.reference_features import features_of
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.types import InputError, PictureError


@dataclass(frozen=True, eq=False)
class _Pixels:
    """One value of a pixel metric to find: its key, its inputs, and where it belongs."""

    key: bytes
    name: str
    index: int
    made: Seen
    true: Seen


class Chunk:
    """A few pairs on their way through every plan."""

    def __init__(
        self,
        tasks: Sequence[Task],
        indices: Sequence[int],
        works: Sequence[Work],
        memory: ScoreMemory,
        store: ResultStore,
        selection: str,
    ) -> None:
        self.tasks, self.indices, self.works = tasks, indices, works
        self.memory, self.store, self.selection = memory, store, selection
        self.stride = rows_per_task(tasks)
        self.bank = InputBank(store)
        self.pairs: dict[bytes, PixelPair] = {}
        self.posed: dict[bytes, SeenPose] = {}
        self.inputs: dict[object, Seen] = {}

    def run(self) -> None:
        """Fill in the values and features of these pairs under every plan."""
        self._look_up_inputs()
        queue = DistanceQueue(self.bank, self.memory, self.store)
        for work in self.works:
            for index in self.indices:
                self._start(work, index)
        self._measure_pixels()
        for work in self.works:
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

    def seen(self, work: Work, name: str, index: int, sample: int) -> list[Seen]:
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

    def _start(self, work: Work, index: int) -> None:
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

    def _samples(self, work: Work, index: int) -> tuple[int, ...]:
        """Return the samples of a pair that count under the selection."""
        count = len(self.tasks[index].generated)
        if self.selection == "first":
            return (0,)
        if self.selection == "mean" or count == 1:
            return tuple(range(count))
        work.views.setdefault("ssim", views_of("ssim", work.plan.protocol))
        asked = [self._pixel_value(work, "ssim", index, sample) for sample in range(count)]
        best = int(np.argmax([self._compute(work, one)[0] for one in asked]))
        self._forget()
        return (best,)

    def _pixel_value(self, work: Work, name: str, index: int, sample: int) -> _Pixels:
        """Return a value to find, known by its inputs and all that decides it."""
        protocol, mask = work.plan.protocol, self.tasks[index].mask
        made, true = self.seen(work, name, index, sample)
        if name in POSE_METRICS:
            compute = POSE_METRICS[name].compute.__name__
            settings, where = work.result.extractors[name], b""
            if mask is not None and mask.pose is not None:
                where = pose_digest(mask.pose, protocol.frame)
        else:
            metric = PIXEL_METRICS[name]
            compute, settings = metric.compute.__name__, repr(metric.settings(protocol))
            where = mask.digest(protocol) if metric.mask and mask is not None else b""
        key = content_key(
            "value", library_versions(), compute, settings, self.bank.digest(made),
            self.bank.digest(true), where,
        )  # fmt: skip
        return _Pixels(key, name, index, made, true)

    def _compute(self, work: Work, one: _Pixels) -> tuple[float, ...]:
        """Compute a value and keep it."""
        protocol, mask = work.plan.protocol, self.tasks[one.index].mask
        both = self.bank.digest(one.made) + self.bank.digest(one.true)
        if one.name in POSE_METRICS:
            assert mask is not None
            assert mask.pose is not None
            key = both + pose_digest(mask.pose, protocol.frame)
            if key not in self.posed:
                pose = mask.pose.resized(protocol.frame)
                self.posed[key] = SeenPose(
                    self.bank.array(one.made), self.bank.array(one.true), pose
                )
            values = POSE_METRICS[one.name].compute(self.posed[key])
        else:
            metric = PIXEL_METRICS[one.name]
            if both not in self.pairs:
                self.pairs[both] = self._pair(one)
            inside = mask.mask(protocol) if metric.mask and mask is not None else None
            values = metric.compute(self.pairs[both], protocol, inside)
        self.store.put(one.key, np.array(values, np.float64).tobytes())
        return values

    def _pair(self, one: _Pixels) -> PixelPair:
        """Return a picture and its target. Raises PictureError where their sizes differ."""
        made, true = self.bank.array(one.made), self.bank.array(one.true)
        if made.shape != true.shape:
            raise PictureError(
                f"{self.tasks[one.index].pair_id}: a picture of {made.shape[0]}x{made.shape[1]} "
                f"for a target of {true.shape[0]}x{true.shape[1]}, expected equal sizes: the "
                "protocol does not resize"
            )
        return PixelPair(made, true)

    def _measure_pixels(self) -> None:
        """Fill in the metrics of one picture, its target and what lies where in it, pair by pair.

        What the metrics of a pair share (maps of several MB) is gone before the next.
        """
        asked: dict[int, dict[int, list[_Pixels]]] = {}
        for number, work in enumerate(self.works):
            for name, index, sample in self._used(work):
                if name in PIXEL_METRICS or name in POSE_METRICS:
                    try:
                        one = self._pixel_value(work, name, index, sample)
                    except PictureError as error:
                        work.drop(index, self.tasks[index].pair_id, str(error))
                    else:
                        asked.setdefault(index, {}).setdefault(number, []).append(one)
        keys = [one.key for plans in asked.values() for own in plans.values() for one in own]
        stored = self.store.get_many(keys)
        known = {k: tuple(np.frombuffer(v, np.float64).tolist()) for k, v in stored.items()}
        for plans in asked.values():
            for number, own in plans.items():
                self._fill_pixels(self.works[number], own, known)
            self._forget()

    def _fill_pixels(
        self, work: Work, asked: Sequence[_Pixels], known: dict[bytes, tuple[float, ...]]
    ) -> None:
        """Fill in the values of one pair under one plan, samples averaged."""
        found: dict[str, list[tuple[float, ...]]] = {}
        for one in asked:
            values = self._value(work, one, known)
            if values is not None:
                found.setdefault(one.name, []).append(values)
        index = asked[0].index
        for name, each in found.items():
            if index in work.used:
                mean = np.mean(each, axis=0)
                work.result.values[name][index] = mean[0]
                if name in RATIOS:
                    work.result.below[name][index] = mean[1]

    def _value(
        self, work: Work, one: _Pixels, known: dict[bytes, tuple[float, ...]]
    ) -> tuple[float, ...] | None:
        """Return a known or computed value; None, and the reason noted, where there is none."""
        if one.name in work.result.unavailable or one.index not in work.used:
            return None
        if one.key not in known:
            try:
                known[one.key] = self._compute(work, one)
            except PictureError as error:
                work.drop(one.index, self.tasks[one.index].pair_id, str(error))
            except InputError as error:
                work.result.unavailable[one.name] = str(error)
        return known.get(one.key)

    def _forget(self) -> None:
        """Drop what the metrics of a pair shared."""
        self.pairs.clear()
        self.posed.clear()

    def _used(self, work: Work) -> Iterator[tuple[str, int, int]]:
        """Yield metric, task and sample of everything that counts."""
        for index in self.indices:
            for sample in work.used.get(index, ()):
                for name in work.wanted():
                    yield name, index, sample

    def _queue(self, work: Work, name: str, network: DistanceNetwork, queue: DistanceQueue) -> None:
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

    def _fill(self, work: Work, name: str, table: FeatureTable) -> None:
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
