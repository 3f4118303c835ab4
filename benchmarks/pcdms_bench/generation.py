"""Generate the pictures of one method: stage by stage, measured, resumable."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from pcdms_baselines.method import Method
from pcdms_bench.cost import Cost, Meter
from pcdms_bench.environment import describe
from pcdms_bench.method_type import StagedMethod, needs_all_pairs, parameters_of
from pcdms_bench.model_files import ModelFiles
from pcdms_bench.progress import Advance, Progress
from pcdms_bench.refine_over import Coarse
from pcdms_bench.run_folder import (
    EMBEDDINGS,
    SAMPLES,
    RunStatus,
    missing_pictures,
    read_json,
    write_json,
)
from pcdms_bench.selection import samples_of, start_samples
from pcdms_bench.spec import RunSpec
from pcdms_data.types import InputError, Pair

PAIRS_AT_ONCE = 16
"""Pairs handed at once to a method that reports no progress of its own."""
STAGED_AT_ONCE = 256
"""Pairs handed at once to one stage; the embeddings are stored after each such call."""


@dataclass(frozen=True)
class Work:
    """One method's share of a `run` command: what to generate, where, and with what."""

    method: Method
    spec: RunSpec
    folder: Path
    pairs: Sequence[Pair]
    batch_size: int | None
    device: str
    weights: ModelFiles | None
    progress: Progress
    root: str = ""
    """Root of a dataset on disk, noted in `status.json`."""
    layout: str = ""
    """Its layout, noted there too."""
    debug: bool = False
    dataset: Mapping[str, object] = field(default_factory=dict[str, object])
    """Where the pairs came from (`environment.describe_pairs`), noted in `environment.json`."""
    coarse: Coarse | None = None
    """The run whose pictures are refined, under `--refine-over`."""


def generate_run(work: Work) -> RunStatus:
    """Leave the pictures of the pairs in the run folder and return what came of it.

    Pictures already there are kept. An error of the method ends it with state `failed` and the
    reason; pictures finished before stay. `environment.json` is written when a picture was made.
    """
    status = RunStatus.read(work.folder)
    status.state, status.reason = "partial", ""
    status.failed = work.coarse.lost(work.pairs) if work.coarse else {}
    status.root, status.layout = work.root, work.layout
    status.pair_ids = [pair.pair_id for pair in work.pairs]
    try:
        with _embeddings_inside(work.folder):
            for stage in generated_stages(work.spec.stages):
                cost = _generate_stage(work, stage, status)
                if cost.pictures:
                    _note_cost(work, stage, cost)
    except Exception as error:
        if work.debug:
            traceback.print_exc()
        status.state = "failed"
        status.reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    else:
        status.state = "partial" if status.failed else "complete"
    status.write(work.folder)
    return status


def _note_cost(work: Work, stage: str, cost: Cost) -> None:
    """Add the cost of a stage to `environment.json`, with the machine it was spent on."""
    costs = read_costs(work.folder)
    costs[stage] = costs.get(stage, Cost()).plus(cost)
    files = work.weights
    record = describe(work.device, files.root if files else None, files.given if files else None)
    record["dataset"] = dict(work.dataset)
    record["parameters"] = parameters_of(work.method, work.weights)
    if hasattr(work.method, "provenance"):
        record["external"] = work.method.provenance()
    record["stages"] = {name: asdict(each) for name, each in costs.items()}
    earlier = read_json(work.folder / "environment.json").get("reduced_chunk")
    reduced = getattr(work.method, "reduced_chunk", None) or earlier
    if reduced is not None:
        record["reduced_chunk"] = reduced
    write_json(work.folder / "environment.json", record)


def generated_stages(stages: str) -> tuple[str, ...]:
    """Return the stages that leave something in the run folder.

    `truth` takes what the target gives, and `final` before `refine` is another run's.
    """
    names = stages.split("+")
    return tuple(s for s in names if s != "truth" and (s != "final" or s == names[-1]))


def read_costs(folder: Path) -> dict[str, Cost]:
    """Return the cost of each stage so far, from `environment.json`."""
    stages = read_json(folder / "environment.json").get("stages", {})
    return {stage: Cost(**values) for stage, values in stages.items()}


def _generate_stage(work: Work, stage: str, status: RunStatus) -> Cost:
    """Run one stage over the pairs that did not fail before; notes failures in `status`."""
    alive = [pair for pair in work.pairs if pair.pair_id not in status.failed]
    lacking = lacking_outputs(work, stage, alive)
    if not lacking:
        return Cost()
    status.write(work.folder)
    before = sum(lacking.values())
    whole = needs_all_pairs(work.method)
    todo = alive if whole else [pair for pair in alive if pair.pair_id in lacking]
    with (
        work.progress.task(f"{work.spec.method} {stage}", len(todo)) as advance,
        Meter(work.device) as meter,
    ):
        for part in _parts(work, todo):
            status.failed.update(_call(work, stage, part, advance))
    lacking = lacking_outputs(work, stage, alive)
    for pair_id in lacking:
        status.failed.setdefault(pair_id, f"stage {stage} left no picture")
    return meter.cost(before - sum(lacking.values()))


def _parts(work: Work, pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """Yield the pairs in the pieces in which the method gets them."""
    usual = STAGED_AT_ONCE if _is_staged(work.method) else PAIRS_AT_ONCE
    size = work.batch_size or int(getattr(work.method, "pairs_at_once", usual))
    if needs_all_pairs(work.method):
        size = len(pairs)
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def _is_staged(method: Method) -> bool:
    return hasattr(method, "generate_stage")


def _call(work: Work, stage: str, pairs: Sequence[Pair], advance: Advance) -> dict[str, str]:
    """Let the method do one stage of some pairs; returns the failed ones."""
    out, seed, samples = work.folder / SAMPLES, work.spec.seed, samples_of(work.spec, stage)
    if not _is_staged(work.method):
        failed = work.method.generate(pairs, out, seed, samples)
        advance(len(pairs))
        return failed
    counted = 0

    def count(done: int, total: int) -> None:
        nonlocal counted
        advance(done - counted)
        counted = done

    staged = cast(StagedMethod, work.method)
    if work.coarse is not None:
        chosen = work.coarse.starts(work.folder, work.spec, pairs)
    else:
        chosen = start_samples(work.folder, work.spec, stage, pairs)
    if chosen:
        return staged.generate_stage(stage, pairs, out, seed, samples, count, chosen)
    return staged.generate_stage(stage, pairs, out, seed, samples, progress=count)


def lacking_outputs(work: Work, stage: str, pairs: Sequence[Pair]) -> dict[str, int]:
    """Return {pair_id: missing outputs} of one stage."""
    ids = [pair.pair_id for pair in pairs]
    if stage != "prior":
        return missing_pictures(work.folder, stage, ids, work.spec.samples)
    known = set(stored_embeddings(work.folder))
    return {pair_id: 1 for pair_id in ids if pair_id not in known}


def stored_embeddings(folder: Path) -> list[str]:
    """Return the pair ids of the embeddings of a run folder, [] when there are none.

    Raises InputError naming the file where it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    for path in (folder / SAMPLES / EMBEDDINGS, folder / EMBEDDINGS):
        if path.is_file():
            try:
                with safe_open(str(path), framework="numpy") as tensors:
                    ids = json.loads((tensors.metadata() or {}).get("pair_ids", "[]"))
            except (SafetensorError, ValueError) as error:
                raise InputError(f"{path}: not readable as stored embeddings: {error}") from error
            return [str(pair_id) for pair_id in ids]
    return []


@contextmanager
def _embeddings_inside(folder: Path) -> Iterator[None]:
    """Keep `embeddings.safetensors` in `samples/`, where a method writes it, during the block.

    Afterwards it lies in the run folder, where scores and reports read it.
    """
    inside, outside = folder / SAMPLES / EMBEDDINGS, folder / EMBEDDINGS
    inside.parent.mkdir(parents=True, exist_ok=True)
    if outside.is_file() and not inside.is_file():
        outside.replace(inside)
    try:
        yield
    finally:
        if inside.is_file():
            inside.replace(outside)
