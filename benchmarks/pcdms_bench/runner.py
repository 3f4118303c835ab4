"""The run itself, in order: generate every method, score every run folder, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.environment import describe_pairs
from pcdms_bench.examples import write_examples
from pcdms_bench.generation import Work, generate_run
from pcdms_bench.planning import Plan, PlannedRun, dataset_root
from pcdms_bench.progress import Progress
from pcdms_bench.run_folder import RunStatus, clear_run, rebuild_scores, write_text
from pcdms_bench.run_scores import score_run
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


def execute(plan: Plan, progress: Progress) -> RunResult:
    """Do what the plan says and return what came of it; exit code 1 when something failed."""
    out = plan.request.out
    for run in plan.runs:
        _generate(plan, run, progress)
    examples = out / f"{plan.request.dataset}-{plan.request.split}" / "examples"
    write_examples(examples, plan.pairs, plan.pairs.resolution)
    outcomes = tuple(_score(plan, run, progress) for run in plan.runs)
    rebuild_scores(out)
    report = write_report_of(outcomes, out)
    failed = any(
        outcome.status.failed
        or outcome.status.state == "failed"
        or (plan.named and outcome.status.state == "unavailable")
        for outcome in outcomes
    )
    return RunResult(out, outcomes, out / "scores.csv", report, int(failed))


def _generate(plan: Plan, run: PlannedRun, progress: Progress) -> None:
    """Generate one method's pictures, or note why it cannot run here."""
    if plan.request.fresh:
        clear_run(run.folder)
    write_text(run.folder / "spec.json", run.spec.to_json())
    if run.unavailable is not None:
        ids = [pair.pair_id for pair in plan.pairs]
        RunStatus("unavailable", run.unavailable, pair_ids=ids).write(run.folder)
        return
    generate_run(
        Work(
            run.method,
            run.spec,
            run.folder,
            list(plan.pairs),
            plan.request.batch_size,
            plan.device,
            run.weights,
            progress,
            dataset_root(plan.request),
            plan.request.debug,
            describe_pairs(plan.pairs),
        )
    )


def _score(plan: Plan, run: PlannedRun, progress: Progress) -> Outcome:
    """Score one run folder and return its outcome."""
    rows = score_run(
        run.folder, run.spec, plan.pairs, plan.train_gallery, plan.protocols, plan.metrics,
        plan.device, progress,
    )  # fmt: skip
    return Outcome(run.spec, run.folder, RunStatus.read(run.folder), tuple(rows))


def write_report_of(outcomes: tuple[Outcome, ...], out: Path) -> Path:
    """Write `report.html` and `tables/` of these runs below `out`; returns the page's path."""
    from pcdms_reports.page import write_report

    page = out / "report.html"
    write_report([outcome.folder for outcome in outcomes], page)
    return page
