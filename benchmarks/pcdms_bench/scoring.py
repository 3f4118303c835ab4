"""Scores of a stage: rows of `scores.csv` with every choice behind the number, and per-pair values.

A number that cannot be computed becomes a row with a reason; it is never 0 and never left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.intervals import mean_interval
from pcdms_bench.measuring import Task, measure
from pcdms_bench.metrics.catalog import METRICS as METRICS  # also for callers
from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.metrics.networks import FEATURE_NETWORKS, feature_network
from pcdms_bench.picture_scores import Score, lost_pairs, picture_scores
from pcdms_bench.protocols import Protocol
from pcdms_bench.reference_features import reference_statistics
from pcdms_bench.run_folder import sample_name
from pcdms_bench.score_memory import ScoreMemory, shared_memory
from pcdms_bench.suggestions import check_choice
from pcdms_data.images import load_labels, load_picture
from pcdms_data.types import Gallery, InputError, Pair, Picture
from pcdms_reports.records import ScoreRow

if TYPE_CHECKING:
    import pandas as pd

FRAME_COLUMNS = ("pair_id", "stage", "protocol", "metric", "value")
"""Columns of `pairs.csv`."""


@dataclass(frozen=True)
class ScoreContext:
    """What the rows of one run folder have in common; `resolution` (H, W) is the run's own."""

    run: str
    method: str
    stages: str
    dataset: str
    split: str
    selection: str
    samples: int
    weights: str
    seed: int
    resolution: tuple[int, int]


def score_stage(
    stage: str,
    folder: Path,
    pairs: Sequence[Pair],
    protocol: Protocol,
    context: ScoreContext,
    gallery: Gallery | None,
    metrics: Sequence[str] | None = None,
    failures: Mapping[str, str] | None = None,
    progress: Callable[[int], object] | None = None,
    device: str = "cpu",
    memory: ScoreMemory | None = None,
    chosen: Mapping[str, int] | None = None,
) -> tuple[list[ScoreRow], pd.DataFrame]:
    """Score the pictures `folder/<pair_id>.png` against the pairs' targets.

    Returns the rows, one per metric of `protocol` (or those of them named in `metrics`; names of
    other kinds are passed over), and a frame with the columns `FRAME_COLUMNS`. Set metrics compare
    with the pictures of `gallery`. `failures` gives reasons for pictures that do not exist.
    `progress` is called with the number of pairs done since the last call. With `chosen` =
    {pair_id: sample} that sample alone is looked at; without it `oracle-ssim` picks the best by the
    protocol's own SSIM.
    Raises InputError on an unknown metric name; missing pictures and weights only make rows.
    """
    names = chosen_metrics(protocol, metrics)
    every = range(1 if context.selection == "first" else context.samples)
    tasks = [
        _task(
            pair,
            folder,
            protocol,
            [chosen[pair.pair_id]] if chosen and pair.pair_id in chosen else every,
            failures or {},
        )
        for pair in pairs
    ]
    kept = memory or shared_memory()
    measured = measure(tasks, protocol, names, kept, context.selection, device, progress)
    exact = bool(pairs) and all(pair.target_mask is not None for pair in pairs)
    pictures = gallery.pictures if gallery else ()
    scores = picture_scores(
        names, tasks, measured, protocol, pictures, "exact" if exact else "keypoints",
        device, kept,
    )  # fmt: skip
    rows = [score_row(score, stage, protocol, context, len(pairs)) for score in scores]
    return rows, pair_frame([pair.pair_id for pair in pairs], stage, protocol, measured.values)


def prepare_references(
    gallery: Gallery,
    protocol: Protocol,
    metrics: Sequence[str] | None = None,
    progress: Callable[[int], object] | None = None,
    device: str = "cpu",
) -> None:
    """Compute the reference statistics that `score_stage` will need, so that a wait has a name.

    Optional: `score_stage` computes what is not there. `progress` is called with the number of
    gallery pictures done, for every set metric whose network is there.
    """
    for name in chosen_metrics(protocol, metrics):
        if name not in FEATURE_NETWORKS:
            continue
        try:
            network = feature_network(name, device)
            reference_statistics(gallery.pictures, network, protocol, shared_memory(), progress)
        except InputError:
            continue  # `score_stage` says so in the row


def chosen_metrics(protocol: Protocol, metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Return the protocol's picture metrics among `metrics`; InputError on an unknown name."""
    if metrics is None:
        return protocol.metrics
    for name in metrics:
        check_choice("metric", name, METRICS)
    return tuple(name for name in protocol.metrics if name in metrics)


def _task(
    pair: Pair,
    folder: Path,
    protocol: Protocol,
    samples: Sequence[int],
    failures: Mapping[str, str],
) -> Task:
    """Return how to load the `samples` of one pair."""
    names = [sample_name(pair.pair_id, sample) for sample in samples]
    frame = protocol.frame
    return Task(
        pair.pair_id,
        [
            partial(load_picture, Picture(name, folder / name), frame, protocol.generated_kernel)
            for name in names
            if (folder / name).is_file()
        ],
        partial(load_picture, pair.target, frame, protocol.target_kernel),
        _picture_key(pair.target),
        partial(_person_mask, pair, protocol),
        failures.get(pair.pair_id, ""),
    )


def _picture_key(picture: Picture) -> Hashable:
    """Return a key that changes with the file: path, row, size and time stamp."""
    try:
        state = picture.path.stat()
    except OSError:
        return (picture.path, picture.row)
    return (picture.path, picture.row, state.st_size, state.st_mtime_ns)


def _person_mask(pair: Pair, protocol: Protocol) -> NDArray[np.bool_]:
    """Return the target person's pixels (H, W): labels above 0, else drawn from the key points."""
    if pair.target_mask is not None:
        return np.asarray(load_labels(pair.target_mask, protocol.frame) > 0)
    pose = pair.target_pose.resized(protocol.frame)
    return keypoint_mask(pose.xy, pose.visible, protocol.frame, protocol.keypoint_mask_radius)


def score_row(
    score: Score, stage: str, protocol: Protocol, context: ScoreContext, expected: int
) -> ScoreRow:
    """Return the row of one score."""
    low, high = score.interval or (None, None)
    return ScoreRow(
        run=context.run,
        method=context.method,
        stages=context.stages,
        stage=stage,
        dataset=context.dataset,
        split=context.split,
        resolution=f"{protocol.frame[0]}x{protocol.frame[1]}",
        protocol=protocol.label,
        metric=score.metric,
        value=score.value,
        ci_low=low,
        ci_high=high,
        n=score.n,
        n_expected=expected,
        extractor=score.extractor,
        reference=score.reference,
        selection=context.selection,
        samples=context.samples,
        weights=context.weights,
        seed=context.seed,
        status=score.status,
        reason="; ".join(score.reasons),
    )


def pair_frame(
    pair_ids: Sequence[str],
    stage: str,
    protocol: Protocol,
    values: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Return per-pair values in long form, pairs without a value left out."""
    import pandas as pd

    records = [
        (pair_id, stage, protocol.label, metric, float(value))
        for metric, column in values.items()
        for pair_id, value in zip(pair_ids, column, strict=True)
        if not math.isnan(value)
    ]
    return pd.DataFrame.from_records(records, columns=list(FRAME_COLUMNS))


def score_prior(
    embeddings_file: Path,
    pairs: Sequence[Pair],
    protocol: Protocol,
    context: ScoreContext,
    failures: Mapping[str, str] | None = None,
) -> tuple[list[ScoreRow], pd.DataFrame]:
    """Score the embeddings of the stage `prior`; see `embedding_scores.measure_embeddings`.

    Returns the rows of `cosine`, `retrieval_rank` and `retrieval_r1` and the per-pair frame. A
    file that is missing or does not fit makes rows with the status `failed`.
    """
    from pcdms_bench.embedding_scores import PRIOR_METRICS, measure_embeddings

    try:
        values, problems, candidates = measure_embeddings(embeddings_file, pairs, failures or {})
    except InputError as error:
        scores = [Score(name, None, None, 0, "failed", (str(error),)) for name in PRIOR_METRICS]
        values = {}
    else:
        lost = lost_pairs(problems, len(pairs))
        scores = []
        for name in PRIOR_METRICS:
            used = values[name][np.isfinite(values[name])]
            reasons = lost if name == "cosine" else (*lost, f"among {candidates} targets")
            if not len(used):
                scores.append(Score(name, None, None, 0, "failed", lost or ("no pairs to score",)))
                continue
            interval = mean_interval(values[name], protocol.resamples)
            scores.append(Score(name, float(used.mean()), interval, len(used), "ok", reasons))
    rows = [score_row(score, "prior", protocol, context, len(pairs)) for score in scores]
    return rows, pair_frame([pair.pair_id for pair in pairs], "prior", protocol, values)
