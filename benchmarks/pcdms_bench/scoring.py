"""Scores of a stage: rows of `scores.csv` with every choice behind the number, and per-pair values.

A number that cannot be computed becomes a row with a reason; it is never 0 and never left out.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.garment_scores import Wearer
from pcdms_bench.intervals import mean_interval
from pcdms_bench.measuring import Measured, Plan, Task, measure
from pcdms_bench.metrics.catalog import METRICS as METRICS  # also for callers
from pcdms_bench.metrics.networks import feature_network
from pcdms_bench.pair_metrics import RATIOS
from pcdms_bench.picture_content import PersonMask, PictureSource
from pcdms_bench.picture_scores import (
    Around,
    Score,
    lost_pairs,
    picture_scores,
    reference_of,
    share_references,
)
from pcdms_bench.protocols import Protocol
from pcdms_bench.reference_features import Reference, pass_together
from pcdms_bench.result_store import open_store
from pcdms_bench.run_folder import sample_name
from pcdms_bench.score_memory import ScoreMemory, shared_memory
from pcdms_bench.set_metrics import SET_METRICS
from pcdms_bench.suggestions import check_choice
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
    protocols: Sequence[Protocol],
    context: ScoreContext,
    gallery: Gallery | None,
    metrics: Sequence[str] | None = None,
    failures: Mapping[str, str] | None = None,
    progress: Callable[[int], object] | None = None,
    device: str = "cpu",
    memory: ScoreMemory | None = None,
    chosen: Mapping[str, int] | None = None,
) -> tuple[list[ScoreRow], pd.DataFrame]:
    """Score the pictures `folder/<pair_id>.png` against the pairs' targets, under all protocols.

    Returns the rows, one per protocol and metric of it (or those of them named in `metrics`; names
    of other kinds are passed over), and a frame with the columns `FRAME_COLUMNS`. Set metrics
    compare with the pictures of `gallery`. `failures` gives reasons for pictures that do not exist.
    `progress` is called with the number of pairs done since the last call. With `chosen` =
    {pair_id: sample} that sample alone is looked at; without it `oracle-ssim` picks the best by the
    protocol's own SSIM.
    Raises InputError on an unknown metric name; missing pictures and weights only make rows.
    """
    import pandas as pd

    every = range(1 if context.selection == "first" else context.samples)
    tasks = [
        _task(
            pair,
            folder,
            [chosen[pair.pair_id]] if chosen and pair.pair_id in chosen else every,
            failures or {},
        )
        for pair in pairs
    ]
    ids = [pair.pair_id for pair in pairs]
    plans = [Plan(protocol, chosen_metrics(protocol, metrics)) for protocol in protocols]
    kept = memory or shared_memory()
    rows: list[ScoreRow] = []
    frames: list[pd.DataFrame] = []
    with open_store() as store:
        around = Around(gallery.pictures if gallery else (), kept, store)
        found = measure(tasks, plans, kept, store, context.selection, device, progress)
        share_references(plans, found, around)
        for plan, measured in zip(plans, found, strict=True):
            scores = picture_scores(plan.metrics, tasks, measured, plan.protocol, around)
            for score in scores:
                noted = replace(score, reasons=(*score.reasons, *_notes(score, plan.protocol)))
                rows.append(score_row(noted, stage, plan.protocol, context, len(pairs)))
            frames.append(pair_frame(ids, stage, plan.protocol, _per_pair(measured)))
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return rows, pd.concat(filled, ignore_index=True)


def _notes(score: Score, protocol: Protocol) -> list[str]:
    """Return what a value of our stored pictures cannot repeat of the published script."""
    if score.value is None:
        return []
    notes = []
    if protocol.rounding == "truncate":
        notes.append("published pictures are truncated to uint8, these are rounded")
    if protocol.file_format == "jpg":
        notes.append("published files are JPEG, these are PNG")
    return notes


def _per_pair(measured: Measured) -> dict[str, NDArray[np.float64]]:
    """Return the values that mean something for one pair alone."""
    return {name: values for name, values in measured.values.items() if name not in RATIOS}


def prepare_references(
    gallery: Gallery,
    protocols: Sequence[Protocol],
    metrics: Sequence[str] | None = None,
    follow: Callable[[str], Callable[[int, int], object]] | None = None,
    device: str = "cpu",
    memory: ScoreMemory | None = None,
) -> None:
    """Compute the reference features that `score_stage` will need, so that a wait has a name.

    Optional: `score_stage` computes what is not there. `follow` gives, for a title, a function that
    is called with the number of gallery pictures done and in all, where any are new.
    """
    kept = memory or shared_memory()
    with open_store() as store:
        references: list[Reference] = []
        for protocol in protocols:
            for name in chosen_metrics(protocol, metrics):
                metric = SET_METRICS.get(name)
                if metric is None or not metric.needs_reference:
                    continue
                # `score_stage` says in the row what does not work.
                with contextlib.suppress(InputError):
                    network = feature_network(metric.network, device)
                    around = Around(gallery.pictures, kept, store)
                    references.append(reference_of(metric, network, protocol, around))
        state = follow("training pictures") if follow else None
        with contextlib.suppress(InputError):
            pass_together(references, _counted(state, len(gallery.pictures)) if state else None)


def _counted(state: Callable[[int, int], object], total: int) -> Callable[[int], object]:
    """Return a function that adds up what it is called with and tells `state`."""
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        state(done, total)

    return add


def chosen_metrics(protocol: Protocol, metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Return the protocol's picture metrics among `metrics`, then those on request.

    Raises InputError on an unknown name.
    """
    if metrics is None:
        return protocol.metrics
    for name in metrics:
        check_choice("metric", name, METRICS)
    asked = (name for name in metrics if METRICS[name].on_request)
    own = (name for name in protocol.metrics if name in metrics)
    return tuple(dict.fromkeys((*own, *asked)))


def _task(pair: Pair, folder: Path, samples: Sequence[int], failures: Mapping[str, str]) -> Task:
    """Return where the `samples` of one pair, its target and its mask are."""
    names = [sample_name(pair.pair_id, sample) for sample in samples]
    return Task(
        pair.pair_id,
        [PictureSource(Picture(n, folder / n)) for n in names if (folder / n).is_file()],
        PictureSource(pair.target),
        PersonMask(pair.target_mask, pair.target_pose),
        failures.get(pair.pair_id, ""),
        Wearer(PictureSource(pair.source), pair.source_pose, pair.group),
    )


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
