"""The run itself, in order: generate every method, score every run folder, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.environment import describe_pairs
from pcdms_bench.examples import write_examples
from pcdms_bench.generation import Work, generate_run
from pcdms_bench.method_type import Releasable, fallbacks_of, needs_all_pairs
from pcdms_bench.planning import Plan, PlannedRun, dataset_root
from pcdms_bench.processes import ALONE, Processes
from pcdms_bench.progress import Progress
from pcdms_bench.run_folder import RunStatus, clear_run, rebuild_scores, write_text
from pcdms_bench.run_scores import score_run
from pcdms_bench.seed_summary import SeedRow, over_seeds, write_over_seeds
from pcdms_bench.shares import join_shares, joined_status, open_share
from pcdms_bench.spec import RunSpec
from pcdms_reports.records import ScoreRow


@dataclass(frozen=True)
class Outcome:
    """What came of one method: where its run folder is, its state and its rows."""

    spec: RunSpec
    folder: Path
    status: RunStatus
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class RunResult:
    """What a `run` command left behind."""

    out: Path
    outcomes: tuple[Outcome, ...]
    scores: Path
    report: Path
    exit_code: int
    over_seeds: tuple[SeedRow, ...] = ()
    """Mean and deviation of every number, where the command ran several seeds."""


def execute(plan: Plan, progress: Progress, processes: Processes = ALONE) -> RunResult | None:
    """Do what the plan says and return what came of it; exit code 1 when something failed.

    Every one of several processes calls this: they share the pairs, the main one scores and
    reports, and for the others nothing comes back.
    """
    out = plan.request.out
    _generate(plan, progress, processes)
    if not processes.main:
        return None
    examples = out / f"{plan.request.dataset}-{plan.request.split}" / "examples"
    write_examples(examples, plan.pairs, plan.pairs.resolution)
    outcomes = tuple(_score(plan, run, progress) for run in plan.runs)
    write_examples(examples, plan.pairs, plan.pairs.resolution, _shown_cases(outcomes))
    rebuild_scores(out)
    report = write_report_of(outcomes, out)
    summary: tuple[SeedRow, ...] = ()
    if plan.request.repeat_seeds > 1:
        summary = tuple(over_seeds([row for outcome in outcomes for row in outcome.rows]))
        write_over_seeds(out, summary)
    failed = any(
        outcome.status.failed
        or outcome.status.state == "failed"
        or (outcome.status.state == "unavailable" and outcome.spec.method in plan.needed)
        for outcome in outcomes
    )
    return RunResult(out, outcomes, out / "scores.csv", report, int(failed), summary)


def _generate(plan: Plan, progress: Progress, processes: Processes) -> None:
    """Generate every method's pictures, each process its share of the pairs."""
    if processes.main:
        for run in plan.runs:
            _open(plan, run)
    processes.wait()
    works = [_work(plan, run, progress) for run in plan.runs if run.unavailable is None]
    # Refining reads what the other methods left, so all of them are finished before.
    _generate_works([work for work in works if work.coarse is None], processes)
    _generate_works([work for work in works if work.coarse is not None], processes)


def _generate_works(works: Sequence[Work], processes: Processes) -> None:
    for work in works:
        if _is_shared(work, processes):
            share = open_share(work, processes)
            if share.pairs:
                generate_run(share)
        elif processes.main:
            generate_run(work)
        if isinstance(work.method, Releasable):
            work.method.release()
    processes.wait()
    for work in works if processes.main else []:
        if _is_shared(work, processes):
            joined_status(work, join_shares(work.folder, [pair.pair_id for pair in work.pairs]))
    processes.wait()


def _is_shared(work: Work, processes: Processes) -> bool:
    return processes.count > 1 and not needs_all_pairs(work.method)


def _open(plan: Plan, run: PlannedRun) -> None:
    """Ready a run folder; note why the method cannot run here, where that is so."""
    ids = [pair.pair_id for pair in plan.pairs]
    if plan.request.fresh:
        clear_run(run.folder)
    write_text(run.folder / "spec.json", run.spec.to_json())
    if run.unavailable is not None:
        RunStatus("unavailable", run.unavailable, pair_ids=ids).write(run.folder)
        return
    join_shares(run.folder, ids)


def _work(plan: Plan, run: PlannedRun, progress: Progress) -> Work:
    """Return what is to be generated for one method."""
    root = dataset_root(plan.request)
    return Work(
        run.method,
        run.spec,
        run.folder,
        list(plan.pairs),
        plan.request.batch_size,
        plan.device,
        run.weights,
        progress,
        root,
        plan.pairs.layout if root else "",
        plan.request.debug,
        describe_pairs(plan.pairs),
        run.coarse,
    )


def _score(plan: Plan, run: PlannedRun, progress: Progress) -> Outcome:
    """Score one run folder and return its outcome."""
    if run.unavailable is None:
        status = RunStatus.read(run.folder)
        status.fallbacks = fallbacks_of(run.method, list(plan.pairs))
        status.write(run.folder)
    rows = score_run(
        run.folder, run.spec, plan.pairs, plan.train_gallery, plan.protocols, plan.metrics,
        plan.device, progress,
    )  # fmt: skip
    return Outcome(run.spec, run.folder, RunStatus.read(run.folder), tuple(rows))


def _shown_cases(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the pairs that the report may show as cases: of staged runs, where there are any."""
    from pcdms_reports.cases import case_pairs

    staged = [outcome for outcome in outcomes if outcome.spec.method == "pcdms"]
    pairs: set[str] = set()
    for outcome in staged or outcomes:
        stage = outcome.spec.stages.split("+")[-1]
        for protocol in {row.protocol for row in outcome.rows if row.protocol}:
            pairs |= case_pairs(outcome.folder, stage, protocol)
    return pairs


def write_report_of(outcomes: tuple[Outcome, ...], out: Path) -> Path:
    """Write `report.html` and `tables/` of these runs below `out`; returns the page's path."""
    from pcdms_reports.page import write_report

    page = out / "report.html"
    write_report([outcome.folder for outcome in outcomes], page)
    return page
