"""From one measurement of a stage to scores: value, interval, status and what was left out."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.feature_rows import FeatureRows
from pcdms_bench.garment_scores import GARMENT_METRICS
from pcdms_bench.intervals import ratio_interval
from pcdms_bench.measuring import Measured, Plan, Task
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.pair_metrics import takes_mask
from pcdms_bench.picture_views import view_for
from pcdms_bench.pose_metrics import POSE_METRICS
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.protocols import STANDARD
from pcdms_bench.reference_features import Reference, pass_together, reference_for, used_of
from pcdms_bench.result_store import ResultStore, content_key, library_versions
from pcdms_bench.score_memory import ScoreMemory
from pcdms_bench.set_intervals import NO_INTERVAL, set_interval
from pcdms_bench.set_metrics import SET_METRICS, SetMetric, frame_of_set
from pcdms_data.types import InputError, Picture

DROPPING = ("lpips", "lpips_pcdms", "masked_lpips")
"""Pairwise metrics that lose the protocol's incomplete last LPIPS batch."""
FED_AS_LPIPS = ("lpips_vgg", "lpips_squeeze")
"""Metrics on request whose network gets what the protocol's LPIPS gets; the rows say so."""


@dataclass(frozen=True)
class Score:
    """One number on its way into a row."""

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    status: str
    reasons: tuple[str, ...] = ()
    extractor: str = ""
    reference: str = "pair"


@dataclass(frozen=True, eq=False)
class Around:
    """What scores need beside the measurement itself."""

    reference: Sequence[Picture]
    """Training pictures of set metrics."""
    memory: ScoreMemory
    store: ResultStore


def picture_scores(
    metrics: Sequence[str],
    tasks: Sequence[Task],
    measured: Measured,
    protocol: Protocol,
    surroundings: Around,
) -> list[Score]:
    """Turn one measurement into scores, one per metric and in their order."""
    lost = lost_pairs(measured.problems, len(tasks))
    scores: list[Score] = []
    for name in metrics:
        extractor = measured.extractors.get(name, "")
        if name in measured.unavailable:
            reason = measured.unavailable[name]
            target = "train:0" if _compares_sets(name) else "pair"
            scores.append(Score(name, None, None, 0, "unavailable", (reason,), "", target))
        elif len(measured.problems) == len(tasks):
            reasons = lost or ("no pairs to score",)
            scores.append(Score(name, None, None, 0, "failed", reasons, extractor))
        elif name in SET_METRICS:
            scores.append(_set_score(name, tasks, measured, protocol, lost, surroundings))
        else:
            target = "pair"
            if takes_mask(name):
                kinds = {task.mask.kind(protocol) for task in tasks if task.mask is not None}
                target = f"pair;mask={'exact' if kinds == {'exact'} else 'keypoints'}"
            scores.append(_pairwise_score(name, tasks, measured, protocol, lost, target))
    return scores


def _compares_sets(name: str) -> bool:
    return name in SET_METRICS and SET_METRICS[name].needs_reference


def lost_pairs(problems: Mapping[str, str], expected: int) -> tuple[str, ...]:
    """Return one sentence on the pairs without a score, or nothing; equal reasons are counted."""
    if not problems:
        return ()
    counted = Counter(problems.values()).most_common()
    texts = [f"{reason} ({count})" if count > 1 else reason for reason, count in counted[:3]]
    more = f"; and {len(counted) - 3} more reasons" if len(counted) > 3 else ""
    return (f"{len(problems)} of {expected} pairs without a score: {'; '.join(texts)}{more}",)


def _pairwise_score(
    name: str,
    tasks: Sequence[Task],
    measured: Measured,
    protocol: Protocol,
    lost: tuple[str, ...],
    target: str,
) -> Score:
    """Mean over pairs, or the ratio of sums, with what was left out in the reason."""
    above = measured.values[name].copy()
    below = measured.below.get(name, np.ones(len(above)))
    extractor, reasons = measured.extractors.get(name, ""), list(lost)
    if name in measured.notes:
        reasons.append(measured.notes[name])
    if name in FED_AS_LPIPS and protocol.lpips_input != STANDARD.lpips_input:
        low, high = protocol.lpips_input
        reasons.append(f"fed with [{low:g}, {high:g}] as this protocol feeds LPIPS")
    dropped = 0
    if name in DROPPING and protocol.lpips_drop_last:
        dropped = _drop_last(above, [task.pair_id for task in tasks], protocol.lpips_batch)
        if dropped:
            reasons.append(_dropped(dropped, protocol.lpips_batch))
    used = np.isfinite(above) & np.isfinite(below)
    identical = int(np.isposinf(above).sum())
    if identical:
        reasons.append(f"{identical} identical to the target (infinite), left out of the mean")
    empty = len(above) - int(used.sum()) - identical - dropped - len(measured.problems)
    if empty > 0:
        reasons.append(f"{empty} {_lacking(name)}, left out")
    total = float(below[used].sum())
    if not used.any() or total == 0:
        reasons = reasons or ["no value could be computed"]
        return Score(name, None, None, 0, "unavailable", tuple(reasons), extractor, target)
    interval = ratio_interval(above, below, protocol.resamples)
    value = float(above[used].sum()) / total
    return Score(name, value, interval, int(used.sum()), "ok", tuple(reasons), extractor, target)


def _lacking(name: str) -> str:
    """Return what the pairs without a value of a metric lack."""
    if name in POSE_METRICS:
        return POSE_METRICS[name].left_out
    if name in GARMENT_METRICS:
        return "whose garment is not seen or in no other picture"
    if not takes_mask(name):
        return "of one grey level, which have no range of their own"
    return "with no pixel in the mask"


def _drop_last(values: NDArray[np.float64], names: Sequence[str], batch: int | None) -> int:
    """Blank the values after the last whole batch in name order; returns how many."""
    ordered = [i for i in sorted(range(len(names)), key=names.__getitem__)
               if np.isfinite(values[i])]  # fmt: skip
    left_out = ordered[used_of(len(ordered), batch) :]
    values[left_out] = np.nan
    return len(left_out)


def _dropped(count: int, batch: int | None) -> str:
    return f"{count} pictures of the incomplete last batch of {batch} left out, as published"


def _set_score(
    name: str,
    tasks: Sequence[Task],
    measured: Measured,
    protocol: Protocol,
    lost: tuple[str, ...],
    surroundings: Around,
) -> Score:
    """A metric of all pictures; indicative where there are too few for the network's features."""
    metric, network = SET_METRICS[name], measured.networks[name]
    batch = _batch(metric, protocol)
    reasons = list(lost)
    target = "train:0" if metric.needs_reference else ""
    if metric.needs_reference and not surroundings.reference:
        absent = ("no training pictures to compare with", *lost)
        return Score(name, None, None, 0, "unavailable", absent, network.label, target)
    reference = reference_of(metric, network, protocol, surroundings)
    if batch is not None:  # published: a smaller reference set shrinks the batch of both
        batch = min(batch, len(surroundings.reference))
    features, owners = _in_name_order(measured, name, tasks, batch)
    if len(features) < len(measured.owners):
        reasons.append(_dropped(len(measured.owners) - len(features), batch))
    try:
        value, interval = _value(metric, features, owners, reference, protocol, surroundings.store)
        known = reference.count if metric.needs_reference else 0
    except InputError as error:
        absent = (str(error), *lost)
        return Score(name, None, None, 0, "unavailable", absent, network.label, target)
    if metric.needs_reference:
        target = f"train:{known}"
        reasons += _reference_notes(reference, protocol)
    smaller = min(len(features), known) if metric.needs_reference else len(features)
    few = metric.needs_full_rank and smaller <= network.width
    if few:
        reasons.append(
            f"{smaller} pictures for {network.width} features: a singular covariance, compare only "
            "with rows of equal n"
        )
    if protocol.set_intervals and interval is None:
        reasons.append(NO_INTERVAL)
    note = metric.note(len(features), known, protocol) if metric.note else ""
    if note:
        reasons.append(note)
    status = "indicative" if few or note else "ok"
    return Score(
        name, value, interval, len(set(owners)), status, tuple(reasons), network.label, target
    )


def _reference_notes(reference: Reference, protocol: Protocol) -> list[str]:
    """Return which of the training pictures were left out, and why."""
    notes = [reference.problem()] if reference.problem() else []
    left = reference.offered - len(reference.pictures)
    if left:
        notes.append(f"of the training pictures {_dropped(left, protocol.fid_batch)}")
    return notes


def reference_of(
    metric: SetMetric, network: FeatureNetwork, protocol: Protocol, surroundings: Around
) -> Reference:
    """Return the reference pictures of a set metric under a protocol."""
    return reference_for(
        surroundings.reference if metric.needs_reference else (),
        network,
        view_for(protocol, "reference", frame_of_set(metric, protocol)),
        _batch(metric, protocol),
        surroundings.store,
        surroundings.memory,
    )


def share_references(
    plans: Sequence[Plan], measured: Sequence[Measured], surroundings: Around
) -> None:
    """Pass new reference pictures through the networks of all plans, each decoded once."""
    references = [
        reference_of(SET_METRICS[name], found.networks[name], plan.protocol, surroundings)
        for plan, found in zip(plans, measured, strict=True)
        for name in found.features
        if _compares_sets(name)
    ]
    # What does not work is said in the row of the metric.
    with contextlib.suppress(InputError):
        pass_together(references)


def _batch(metric: SetMetric, protocol: Protocol) -> int | None:
    """Return the batch whose last, incomplete one is dropped; None where nothing is."""
    return protocol.fid_batch if protocol.fid_drop_last and metric.frame == "fid" else None


def _in_name_order(
    measured: Measured, name: str, tasks: Sequence[Task], batch: int | None
) -> tuple[FeatureRows, list[int]]:
    """Return the features whole batches hold, in the order of names, and the tasks they are of."""
    owners = measured.owners
    order = sorted(range(len(owners)), key=lambda row: (tasks[owners[row]].pair_id, row))
    order = order[: used_of(len(order), batch)]
    return measured.features[name].picked(order), [owners[row] for row in order]


def _value(
    metric: SetMetric,
    features: FeatureRows,
    owners: Sequence[int],
    reference: Reference,
    protocol: Protocol,
    store: ResultStore,
) -> tuple[float, tuple[float, float] | None]:
    """Return value and interval, from the store where equal sets were compared before."""
    key = content_key(
        "set", library_versions(), metric.compute.__name__, metric.interval.__name__,
        reference.network.label,
        reference.key() if metric.needs_reference else b"",
        repr((protocol.set_resamples, protocol.resamples, protocol.is_splits,
              protocol.set_intervals)),
        np.asarray(owners, np.int64).tobytes(), *features.digests(),
    )  # fmt: skip
    stored = store.get_many([key]).get(key)
    if stored is not None:
        value, low, high = json.loads(stored)
        return value, None if low is None else (low, high)
    value = metric.compute(features, reference, protocol)
    interval = set_interval(metric, value, features, owners, reference, protocol)
    store.put(key, json.dumps([value, *(interval or (None, None))]).encode())
    return value, interval
