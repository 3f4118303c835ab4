"""From a request to runs: the pairs, and for every method its specification and run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_baselines.method import Method
from pcdms_bench.device import resolve_device
from pcdms_bench.external_options import externals_of, with_routed_weights
from pcdms_bench.generation import generated_stages
from pcdms_bench.methods import (
    Surroundings,
    make_method,
    method_names,
    needed_names,
    spec_for,
    standard_names,
)
from pcdms_bench.model_files import ModelFiles, parse_method_weights, weights_directory
from pcdms_bench.own_methods import with_own_methods
from pcdms_bench.processes import device_of_process
from pcdms_bench.progress import Progress
from pcdms_bench.refine_over import Coarse, check_refined, over_names, refined_spec
from pcdms_bench.request import RunRequest
from pcdms_bench.run_folder import RunStatus, missing_pictures, run_path
from pcdms_bench.spec import (
    COMPILE_MODES,
    DTYPES,
    FINAL_SIGMAS,
    NULLS,
    PRESETS,
    SELECTIONS,
    SIZES,
    SPLITS,
    RunSpec,
    parse_resolution,
)
from pcdms_bench.suggestions import check_choice, split_names
from pcdms_data.types import Gallery, InputError

if TYPE_CHECKING:
    from pcdms_data.pairs import PairSet

EMBEDDED = ("people", "people-street")
"""Datasets that the tool renders itself; they have sizes and need no root."""
NEEDS_TRAINING = ("mean-image", "nearest-pose", "nearest-pose+flip")
"""Methods whose pictures come from the training split."""
DEFAULT_LIMIT = 128
"""Pairs of an embedded dataset that a command takes unless told otherwise."""


@dataclass(frozen=True)
class PlannedRun:
    """One method of the command. `unavailable` says why it cannot run here, or is None."""

    spec: RunSpec
    folder: Path
    method: Method
    unavailable: str | None
    weights: ModelFiles | None
    coarse: Coarse | None = None
    """The run whose pictures are refined, under `--refine-over`."""


@dataclass(frozen=True)
class Plan:
    """Everything a command will do, checked, before anything is written."""

    request: RunRequest
    pairs: PairSet
    train_gallery: Callable[[], Gallery | None]
    """The training split's pictures, loaded on first use; None where there is no such split."""
    device: str
    protocols: tuple[str, ...]
    metrics: tuple[str, ...]
    runs: tuple[PlannedRun, ...]
    needed: frozenset[str]
    """The methods whose being unavailable is a failure."""


def prepare(request: RunRequest, progress: Progress) -> Plan:
    """Return the plan of a request; raises InputError on the first value that cannot be used."""
    request, own = _with_registered(request)
    names = split_names("method", request.methods, method_names(), standard_names())
    over = over_names(request.refine_over)
    every = tuple(dict.fromkeys((*names, *over)))
    request = with_routed_weights(request, (*every, "pcdms") if over else every)
    protocols, metrics = check_request(request)
    device = device_of_process(resolve_device(request.device))
    pairs = load_request_pairs(request, progress)
    if not len(pairs):
        raise InputError(f"{request.dataset}: split {request.split} holds no pairs")
    gallery = training_gallery(request, progress)
    weights = _model_files(request, every, own)
    seeds = range(request.seed, request.seed + request.repeat_seeds)
    planned: list[PlannedRun] = []
    for name in every:
        lists = stage_lists(request.stages) if name == "pcdms" else (request.stages,)
        for stages, seed in product(lists, seeds):
            one = replace(request, stages=stages, seed=seed)
            planned.append(_plan_run(name, one, pairs, gallery, weights, device))
            if name in over:
                planned.append(_plan_refined(planned[-1], one, weights, device))
    # A method that draws nothing has one run whatever the seeds.
    runs = tuple({run.folder: run for run in planned}.values())
    needed = needed_names(request.methods) | set(over)
    plan = Plan(request, pairs, gallery, device, protocols, metrics, runs, needed)
    _check_roots(plan)
    return plan


def _with_registered(request: RunRequest) -> tuple[RunRequest, dict[str, Path]]:
    """Return the request with the user's own methods by their names, and {name: its file}."""
    methods, own = with_own_methods(request.methods)
    over, more = with_own_methods(request.refine_over)
    return replace(request, methods=methods, refine_over=over), own | more


def check_request(request: RunRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check every choice that needs no data; returns the protocols and the metrics."""
    from pcdms.guidance import parse_interval
    from pcdms_bench.metrics.catalog import METRICS, usual_metrics
    from pcdms_bench.protocols import protocol_names
    from pcdms_data.pairs import DATASETS

    check_choice("dataset", request.dataset, DATASETS)
    check_choice("size", request.size, SIZES)
    check_choice("split", request.split, SPLITS)
    stage_lists(request.stages)
    check_choice("preset", request.preset, PRESETS)
    check_choice("selection", request.selection, SELECTIONS)
    check_choice("null mode", request.null, NULLS)
    check_choice("final sigma", request.final_sigma, FINAL_SIGMAS)
    check_choice("dtype", request.dtype, DTYPES)
    if request.compile:
        check_choice("compile mode", request.compile, COMPILE_MODES)
    if request.guidance_interval:
        parse_interval(request.guidance_interval)
    if request.weights is not None and not request.weights.is_dir():
        raise InputError(f"--weights {request.weights}: no such folder, expected a model directory")
    if request.dataset in EMBEDDED and request.root is not None:
        raise InputError(f"dataset {request.dataset} is rendered and takes no --root")
    if request.layout is not None:
        from pcdms_data.layouts.table import LAYOUTS

        check_choice("layout", request.layout, LAYOUTS)
        if request.dataset in EMBEDDED:
            raise InputError(f"dataset {request.dataset} is rendered and takes no --layout")
    protocols = protocol_names(request.protocols)
    return protocols, split_names("metric", request.metrics, METRICS, usual_metrics())


def stage_lists(text: str) -> tuple[str, ...]:
    """Return the stage lists of `pcdms` in a comma-separated text; InputError on an unknown one."""
    from pcdms.stages import parse_stages

    lists = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for stages in lists:
        parse_stages(stages)
    return lists


def load_request_pairs(
    request: RunRequest, progress: Progress, split: str | None = None
) -> PairSet:
    """Return the pairs of the request's dataset, at most `limit` of them."""
    from pcdms_data.pairs import load_pairs

    limit = request.limit
    if limit is None and request.dataset in EMBEDDED:
        limit = DEFAULT_LIMIT
    return load_pairs(
        request.dataset,
        root=request.root,
        split=split or request.split,
        resolution=parse_resolution(request.resolution) if request.resolution else None,
        size=request.size,
        limit=limit,
        progress=progress.follow(f"rendering {split or request.split}"),
        layout=request.layout,
    )


def training_gallery(request: RunRequest, progress: Progress) -> Callable[[], Gallery | None]:
    """Return a function that gives the training split's pictures, None where there is no split."""

    @cache
    def gallery() -> Gallery | None:
        try:
            return load_request_pairs(request, progress, "train").gallery
        except InputError:
            if request.dataset in EMBEDDED:
                raise
            return None

    return gallery


def _model_files(request: RunRequest, names: Sequence[str], own: dict[str, Path]) -> ModelFiles:
    """Return where the model of `pcdms` lies, and what the options name of the methods `names`.

    `own` = {method: its file}: a method of one's own is identified by its code.
    """
    from pcdms.part_sources import given_parts

    root = weights_directory(request.preset, request.weights)
    given = given_parts(request.vae, request.encoders)
    weights = parse_method_weights(request.method_weights)
    return ModelFiles(root, given, weights | own, externals_of(request, names, weights))


def _plan_run(
    name: str,
    request: RunRequest,
    pairs: PairSet,
    gallery: Callable[[], Gallery | None],
    weights: ModelFiles,
    device: str,
) -> PlannedRun:
    """Return one method with its specification and folder."""
    embedded = request.dataset in EMBEDDED
    spec = spec_for(name, request, pairs.resolution, embedded, weights, pairs.convention)
    train = gallery() if name in NEEDS_TRAINING else None
    around = Surroundings(train, pairs.gallery, weights, device, pairs)
    method = make_method(spec, around)
    return PlannedRun(
        spec, run_path(request.out, spec), method, method.unavailable(),
        weights if name == "pcdms" else None,
    )  # fmt: skip


def _plan_refined(
    run: PlannedRun, request: RunRequest, weights: ModelFiles, device: str
) -> PlannedRun:
    """Return the stage `refine` over the pictures of `run`; raises InputError where it cannot."""
    coarse = Coarse(run.spec, run.folder)
    spec = refined_spec(run.spec, request, weights)
    method = make_method(spec, Surroundings(None, None, weights, device, None, coarse.pictures))
    check_refined(run.method, method, run.unavailable)
    return PlannedRun(spec, run_path(request.out, spec), method, None, weights, coarse)


def dataset_root(request: RunRequest) -> str:
    """Return the absolute folder of a dataset on disk, "" for an embedded one."""
    from pcdms_data.pairs import find_root

    if request.dataset in EMBEDDED:
        return ""
    return str(find_root(request.dataset, request.root).resolve())


def _check_roots(plan: Plan) -> None:
    """Refuse to mix the pictures of two datasets, or of two layouts of one, in one run folder."""
    root, layout = dataset_root(plan.request), plan.pairs.layout
    if not root or plan.request.fresh:
        return
    for run in plan.runs:
        stored = RunStatus.read(run.folder)
        if stored.root and stored.root != root:
            raise InputError(
                f"{run.folder} holds pictures of {stored.root}, not of {root}: "
                "give another --out, or --fresh to replace them"
            )
        if stored.layout and stored.layout != layout:
            raise InputError(
                f"{run.folder} holds pictures of the layout {stored.layout}, not {layout}: "
                "give another --out, or --fresh to replace them"
            )


def pictures_to_make(run: PlannedRun, pairs: PairSet) -> int:
    """Return how many pictures the run still lacks, over its picture stages."""
    ids = [pair.pair_id for pair in pairs]
    stages = [stage for stage in generated_stages(run.spec.stages) if stage != "prior"]
    return sum(
        sum(missing_pictures(run.folder, stage, ids, run.spec.samples).values()) for stage in stages
    )
