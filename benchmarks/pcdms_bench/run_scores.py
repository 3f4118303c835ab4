"""Score one run folder: every stage under every protocol, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_bench.cost_rows import NOT_MEASURED, cost_rows
from pcdms_bench.generation import generated_stages, stored_embeddings
from pcdms_bench.metrics.catalog import METRICS, metric_names
from pcdms_bench.progress import Advance, Progress
from pcdms_bench.protocols import Protocol, protocol_for
from pcdms_bench.run_folder import (
    EMBEDDINGS,
    SAMPLES,
    RunStatus,
    merge_table,
    missing_pictures,
)
from pcdms_bench.scoring import ScoreContext, prepare_references, score_prior, score_stage
from pcdms_bench.selection import scored_samples
from pcdms_bench.slicing import write_slices
from pcdms_bench.spec import RunSpec
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, Pair, Picture, PictureError
from pcdms_reports.records import COLUMNS, ScoreRow

if TYPE_CHECKING:
    import pandas as pd

PAIR_COLUMNS = ("pair", "stage", "protocol", "metric", "value")
ROW_KEY = ("run", "stage", "resolution", "protocol", "metric", "selection", "samples", "seed")
"""Columns that make two rows of one run folder the same number, the later one counting."""


def score_run(
    folder: Path,
    spec: RunSpec,
    pairs: Sequence[Pair],
    train_gallery: Callable[[], Gallery | None],
    protocols: Sequence[str],
    metrics: Sequence[str],
    device: str,
    progress: Progress,
    set_intervals: bool = False,
) -> list[ScoreRow]:
    """Return the rows of a run folder, and add them to its score tables.

    The tables are `scores.csv`, `pairs.csv` and `slices.csv`. `set_intervals` asks for intervals of
    set metrics also where they take long.

    A run that failed or is unavailable gets the same rows without values, each with the reason.
    A pair that cannot be scored is noted in `status.json`.
    """
    status = RunStatus.read(folder)
    lost: dict[str, str] = {}
    rows: list[ScoreRow] = []
    pair_rows: list[tuple[object, ...]] = []
    stages = generated_stages(spec.stages)
    needs_gallery = any("gallery" in METRICS[name].needs for name in metrics)
    gallery = train_gallery() if needs_gallery and status.state != "unavailable" else None
    recipes = [
        replace(protocol_for(name, spec.dataset, spec.frame), set_intervals=set_intervals)
        for name in protocols
    ]
    if gallery is not None and any(stage != "prior" for stage in stages):
        prepare_references(gallery, recipes, metrics, progress.follow, device)
    with progress.task(f"scoring {spec.method}", len(stages) * len(pairs)) as add:
        for stage in stages:
            failures = _failures(stage, folder, spec, status, pairs)
            found, frame = _score_stage(
                stage, folder, spec, pairs, recipes, gallery, metrics, failures, device, add
            )
            rows += found
            pair_rows += frame.itertuples(index=False, name=None)
            lost |= failures
            lost |= _unscored(stage, folder, pairs, found, set(frame["pair_id"]), failures)
    rows += [row for row in cost_rows(folder, spec, len(pairs)) if row.metric in metrics]
    if status.state in ("complete", "partial"):
        status.state, status.failed = "partial" if lost else "complete", lost
        status.write(folder)
    if status.state in ("unavailable", "failed"):
        rows = [_explained(row, status) for row in rows]
    if status.fallbacks:
        rows = [_with_fallbacks(row, status.fallbacks) for row in rows]
    _keep(folder, rows, pair_rows)
    write_slices(folder, spec.hash8, pairs)
    return rows


def _score_stage(
    stage: str,
    folder: Path,
    spec: RunSpec,
    pairs: Sequence[Pair],
    recipes: Sequence[Protocol],
    gallery: Gallery | None,
    metrics: Sequence[str],
    failures: dict[str, str],
    device: str,
    advance: Advance,
) -> tuple[list[ScoreRow], pd.DataFrame]:
    """Return the rows and the per-pair frame of one stage under all protocols."""
    context = ScoreContext(
        run=spec.hash8, method=spec.method, stages=spec.stages, dataset=spec.dataset,
        split=spec.split, selection=spec.selection, samples=spec.samples, weights=spec.weights,
        seed=spec.seed, resolution=spec.frame,
    )  # fmt: skip
    if stage == "prior":
        # Embeddings know no protocol but have to stand under one: the first.
        rows, frame = score_prior(folder / EMBEDDINGS, pairs, recipes[0], context, failures)
        chosen = set(metrics) & set(metric_names("stage"))
        frame = frame[frame["metric"].isin(chosen)]
        advance(len(pairs))
        return [row for row in rows if row.metric in chosen], frame
    place, scored = folder / SAMPLES / stage, scored_samples(folder, spec, stage, pairs)
    return score_stage(
        stage, place, pairs, recipes, context, gallery, metrics, failures, advance, device,
        chosen=scored,
    )  # fmt: skip


def _failures(
    stage: str, folder: Path, spec: RunSpec, status: RunStatus, pairs: Sequence[Pair]
) -> dict[str, str]:
    """Return {pair_id: reason} of the pairs that lack the output of a stage.

    A failure noted for a picture that is there now (it could not be decoded, say) is tried again.
    """
    ids = [pair.pair_id for pair in pairs]
    if status.state == "unavailable":
        return dict.fromkeys(ids, status.reason)
    if stage == "prior":
        known = set(stored_embeddings(folder))
        lacking = [pair_id for pair_id in ids if pair_id not in known]
    else:
        lacking = list(missing_pictures(folder, stage, ids, spec.samples))
    return {i: status.failed.get(i, f"stage {stage} left nothing") for i in lacking}


def _unscored(
    stage: str,
    folder: Path,
    pairs: Sequence[Pair],
    rows: Sequence[ScoreRow],
    scored: set[object],
    failures: dict[str, str],
) -> dict[str, str]:
    """Return {pair_id: reason} of pairs whose pictures exist but could not be scored."""
    if stage == "prior" or all(row.n == row.n_expected for row in rows):
        return {}
    lost = {}
    for pair in pairs:
        if pair.pair_id in failures or pair.pair_id in scored:
            continue
        name = f"{pair.pair_id}.png"
        generated = Picture(name, folder / SAMPLES / stage / name)
        for picture in (generated, pair.target):
            try:
                load_picture(picture)
            except PictureError as error:
                lost[pair.pair_id] = str(error)
    return lost


def _with_fallbacks(row: ScoreRow, fallbacks: dict[str, int]) -> ScoreRow:
    """Return a row of pictures with how many of them were made in another way than usual."""
    if row.value is None or not row.protocol:
        return row
    notes = [f"{count} of {row.n_expected} pairs: {what}" for what, count in fallbacks.items()]
    return replace(row, reason="; ".join([*notes, row.reason] if row.reason else notes))


def _explained(row: ScoreRow, status: RunStatus) -> ScoreRow:
    """Return a row without a value with the method's own state and reason, where that is why."""
    if row.value is not None:
        return row
    if status.state == "failed" and row.status != "failed" and row.reason != NOT_MEASURED:
        return row  # a metric that lacks its weights, say, whatever the method did
    return replace(row, status=status.state, reason=status.reason)


def _keep(folder: Path, rows: Sequence[ScoreRow], pair_rows: Sequence[tuple[object, ...]]) -> None:
    """Add the rows to the run folder's tables, replacing those of the same number."""
    merge_table(folder / "scores.csv", COLUMNS, ROW_KEY, [astuple(row) for row in rows])
    merge_table(folder / "pairs.csv", PAIR_COLUMNS, PAIR_COLUMNS[:4], pair_rows)
