"""From one measurement of a stage to scores: value, interval, status and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.intervals import around, ratio_interval, resample_counts
from pcdms_bench.measuring import MASKED, Measured, Task
from pcdms_bench.metrics.networks import FEATURE_NETWORKS, feature_network
from pcdms_bench.protocols import Protocol
from pcdms_bench.reference_features import count_problem, reference_statistics
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.types import InputError, Picture


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


def picture_scores(
    metrics: Sequence[str],
    tasks: Sequence[Task],
    measured: Measured,
    protocol: Protocol,
    reference: Sequence[Picture],
    mask_kind: str,
    device: str,
    memory: ScoreMemory,
) -> list[Score]:
    """Turn one measurement into scores, one per metric and in their order."""
    lost = lost_pairs(measured.problems, len(tasks))
    scores: list[Score] = []
    for name in metrics:
        extractor = measured.extractors.get(name, "")
        if name in measured.unavailable:
            reason = measured.unavailable[name]
            target = "train:0" if name in FEATURE_NETWORKS else "pair"
            scores.append(Score(name, None, None, 0, "unavailable", (reason,), "", target))
        elif len(measured.problems) == len(tasks):
            reasons = lost or ("no pairs to score",)
            scores.append(Score(name, None, None, 0, "failed", reasons, extractor))
        elif name in FEATURE_NETWORKS:
            scores.append(_set_score(name, measured, protocol, reference, lost, device, memory))
        else:
            target = f"pair;mask={mask_kind}" if name in MASKED else "pair"
            scores.append(_pairwise_score(name, measured, protocol, lost, extractor, target))
    return scores


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
    measured: Measured,
    protocol: Protocol,
    lost: tuple[str, ...],
    extractor: str,
    target: str,
) -> Score:
    """Mean over pairs, or the ratio of sums, with what was left out in the reason."""
    if name == "gradient_ratio":
        above, below = measured.gradients[:, 0], measured.gradients[:, 1]
    else:
        above, below = measured.values[name], np.ones(len(measured.values[name]))
    used = np.isfinite(above) & np.isfinite(below)
    reasons = list(lost)
    identical = int(np.isposinf(above).sum())
    if identical:
        reasons.append(f"{identical} identical to the target (infinite), left out of the mean")
    empty = len(above) - int(used.sum()) - identical - len(measured.problems)
    if empty > 0:
        reasons.append(f"{empty} with no pixel in the mask, left out")
    total = float(below[used].sum())
    if not used.any() or total == 0:
        reasons = reasons or ["no value could be computed"]
        return Score(name, None, None, 0, "unavailable", tuple(reasons), extractor, target)
    interval = ratio_interval(above, below, protocol.resamples)
    value = float(above[used].sum()) / total
    return Score(name, value, interval, int(used.sum()), "ok", tuple(reasons), extractor, target)


def _set_score(
    name: str,
    measured: Measured,
    protocol: Protocol,
    reference: Sequence[Picture],
    lost: tuple[str, ...],
    device: str,
    memory: ScoreMemory,
) -> Score:
    """Frechet distance to the reference pictures; indicative where the covariance is singular."""
    network = feature_network(name, device)
    features = np.stack(measured.features[name])
    pairs_used = len(set(measured.owners))
    if not reference:
        absent = ("no training pictures to compare with", *lost)
        return Score(name, None, None, 0, "unavailable", absent, network.label, "train:0")
    try:
        known = reference_statistics(reference, network, protocol, memory)
        value = known.distance(features)
    except InputError as error:
        absent = (str(error), *lost)
        return Score(name, None, None, 0, "unavailable", absent, network.label, "train:0")
    interval = None
    few = len(features) <= network.width
    if few and len(features) > 2:
        interval = around(value, _resampled(known.resampled, features, measured.owners, protocol))
    reasons = list(lost)
    problem = count_problem(reference, known)
    if problem:
        reasons.append(problem)
    smaller = min(len(features), known.count)
    if smaller <= network.width:
        reasons.append(
            f"{smaller} pictures for {network.width} features: a singular covariance, compare only "
            "with rows of equal n"
        )
    status = "indicative" if smaller <= network.width else "ok"
    target = f"train:{known.count}"
    return Score(name, value, interval, pairs_used, status, tuple(reasons), network.label, target)


def _resampled(
    distances: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float64]],
    features: NDArray[np.float32],
    owners: Sequence[int],
    protocol: Protocol,
) -> NDArray[np.float64]:
    """Return the distances of resampled pairs; all samples of a drawn pair come with it."""
    drawn, rows_of = np.unique(np.asarray(owners), return_inverse=True)
    counts = resample_counts(len(drawn), protocol.set_resamples).astype(np.int64)
    each = [np.repeat(np.arange(len(features)), count[rows_of]) for count in counts]
    if len({len(rows) for rows in each}) == 1:
        return distances(features, np.stack(each))
    return np.concatenate([distances(features, rows[None]) for rows in each])
