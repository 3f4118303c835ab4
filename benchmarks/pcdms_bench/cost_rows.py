"""The rows of `scores.csv` that say what each stage cost."""

from __future__ import annotations

from pathlib import Path

from pcdms_baselines.methods import external_names
from pcdms_bench.cost import Cost
from pcdms_bench.generation import generated_stages, read_costs
from pcdms_bench.run_folder import read_json
from pcdms_bench.spec import RunSpec
from pcdms_reports.records import ScoreRow

NOT_MEASURED = "these pictures were made without a record of their cost"
NOT_OURS = "the program of an official repository, which is not looked into"
WITH_START = "the program's start and the writing of its inputs are part of the time"


def cost_rows(folder: Path, spec: RunSpec, n_expected: int) -> list[ScoreRow]:
    """Return seconds per picture, peak memory and parameters of every stage of a run folder."""
    costs = read_costs(folder)
    parameters = read_json(folder / "environment.json").get("parameters", {})
    rows = []
    for stage in generated_stages(spec.stages):
        cost = costs.get(stage)
        rows.append(_seconds(spec, stage, cost, n_expected))
        rows.append(_memory(spec, stage, cost, n_expected))
        count = parameters.get(stage)
        value = None if count is None else float(count)
        reason = (NOT_OURS if is_external(spec) else NOT_MEASURED) if count is None else ""
        n = 0 if count is None else n_expected
        rows.append(cost_row(spec, stage, "parameters", value, n, n_expected, reason))
    return rows


def is_external(spec: RunSpec) -> bool:
    """Tell whether the pictures come from the program of an official repository."""
    return spec.method in external_names()


def _seconds(spec: RunSpec, stage: str, cost: Cost | None, n_expected: int) -> ScoreRow:
    if cost is None or not cost.pictures:
        return cost_row(spec, stage, "seconds_per_picture", None, 0, n_expected, NOT_MEASURED)
    value = cost.seconds / cost.pictures
    reason = WITH_START if is_external(spec) else ""
    return cost_row(spec, stage, "seconds_per_picture", value, cost.pictures, n_expected, reason)


def _memory(spec: RunSpec, stage: str, cost: Cost | None, n_expected: int) -> ScoreRow:
    if cost is None or not cost.pictures:
        return cost_row(spec, stage, "peak_memory_mb", None, 0, n_expected, NOT_MEASURED)
    if is_external(spec):
        return cost_row(spec, stage, "peak_memory_mb", None, 0, n_expected, NOT_OURS)
    reason = "" if cost.peak_exact else "peak of the whole process so far, not of this stage alone"
    return cost_row(spec, stage, "peak_memory_mb", cost.peak_mb, cost.pictures, n_expected, reason)


def cost_row(
    spec: RunSpec,
    stage: str,
    metric: str,
    value: float | None,
    n: int,
    n_expected: int,
    reason: str = "",
) -> ScoreRow:
    """Return one row of a number that knows no protocol and no metric frame.

    Without a value the row is `unavailable`; a value with a reason is `indicative`.
    """
    known = "indicative" if reason else "ok"
    return ScoreRow(
        run=spec.hash8, method=spec.method, stages=spec.stages, stage=stage, dataset=spec.dataset,
        split=spec.split, resolution="", protocol="", metric=metric, value=value, ci_low=None,
        ci_high=None, n=n, n_expected=n_expected, extractor="", reference="",
        selection=spec.selection, samples=spec.samples, weights=spec.weights, seed=spec.seed,
        status="unavailable" if value is None else known, reason=reason,
    )  # fmt: skip
