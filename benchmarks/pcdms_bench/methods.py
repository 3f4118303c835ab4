"""Which methods exist, the specification a request gives each, and how each is built from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pcdms_baselines.method import Method
from pcdms_bench.external_options import external_digest
from pcdms_bench.model_files import ModelFiles, autoencoder_of, digest_of
from pcdms_bench.progress import silence_libraries
from pcdms_bench.request import DEFAULT_METHODS, RunRequest
from pcdms_bench.spec import RunSpec
from pcdms_bench.suggestions import check_choice
from pcdms_data.types import Gallery

if TYPE_CHECKING:
    from pcdms.execution import CompileMode
    from pcdms.sampling import NullMode
    from pcdms.schedulers import FinalSigma
    from pcdms_data.pair_set import PairSet


@dataclass(frozen=True)
class Surroundings:
    """What a method may be built from beside its specification.

    `gallery` is the training split (None where the dataset has none), `split_gallery` the
    evaluated one, `weights` the model of `pcdms`, `pairs` the evaluated pairs, `coarse` the folder
    of the pictures that a specification with `refine_over` reads.
    """

    gallery: Gallery | None
    split_gallery: Gallery | None
    weights: ModelFiles
    device: str
    pairs: PairSet | None = None
    coarse: Path | None = None


def method_names() -> tuple[str, ...]:
    """Return every name that `--methods` accepts."""
    from pcdms_baselines.methods import baseline_names

    return ("pcdms", *baseline_names())


def needed_names(methods: str) -> frozenset[str]:
    """Return the methods whose being unavailable is a failure: those that the user named.

    `methods` is the option's text. `all` names none, and of the default list a learned baseline
    may be missing: it comes with weights for some frames only.
    """
    from pcdms_baselines.methods import learned_names

    names = frozenset(part.strip() for part in methods.split(","))
    if names == set(DEFAULT_METHODS.split(",")):
        return names - set(learned_names())
    return names - {"all"}


def standard_names() -> tuple[str, ...]:
    """Return the methods that `--methods all` means: each of ours once, without its variants."""
    from pcdms_baselines.methods import METHODS, external_names

    return ("pcdms", *(name for name in METHODS if name not in external_names()))


def spec_for(
    name: str,
    request: RunRequest,
    resolution: tuple[int, int],
    embedded: bool,
    weights: ModelFiles,
    convention: str = "",
) -> RunSpec:
    """Return the specification of method `name` in this request.

    Choices that cannot change the method's pictures are left empty, the seed of a method that
    draws nothing is 0. `weights` is the model of `pcdms`, `convention` how the dataset's
    pictures were made.
    """
    spec = RunSpec(
        dataset=request.dataset,
        size=request.size if embedded else "",
        data_seed=0,
        split=request.split,
        resolution=f"{resolution[0]}x{resolution[1]}",
        method=name,
        stages="final",
        preset="",
        weights=external_digest(name, resolution, weights.externals) or digest_of(name, weights),
        seed=0,
        samples=1,
        selection=request.selection,
        steps=None,
        guidance=None,
        guidance_rescale=None,
        null="",
        final_sigma="",
        dtype="",
        chunk=None,
        refine_over="",
        convention=convention,
    )
    if name != "pcdms":
        return _drawn(spec, request)
    steps, guidance, digest = _resolved(request, weights)
    return replace(
        spec,
        stages=request.stages,
        preset=request.preset,
        weights=digest,
        seed=request.seed,
        samples=request.samples,
        steps=steps,
        guidance=guidance,
        guidance_rescale=float(request.guidance_rescale),
        null=request.null,
        final_sigma=request.final_sigma,
        dtype=request.dtype,
        chunk=request.chunk,
        guidance_interval=_interval(request.guidance_interval),
        prior_steps=request.prior_steps,
        channels_last=request.channels_last,
        compile=request.compile,
    )


def _drawn(spec: RunSpec, request: RunRequest) -> RunSpec:
    """Return a baseline's specification with what decides its draws, if it draws at random.

    Steps and guidance None are the weights' own, which the weights' digest stands for.
    """
    from pcdms_baselines.methods import entry_of

    entry = entry_of(spec.method)
    if entry is None or not entry.draws:
        return spec
    return replace(
        spec,
        seed=request.seed,
        samples=request.samples,
        steps=request.steps,
        guidance=request.guidance,
        chunk=request.chunk,
    )


def _interval(text: str) -> str:
    """Return an interval in one spelling, empty where it leaves nothing out."""
    from pcdms.guidance import EVERYWHERE, parse_interval

    low, high = parse_interval(text) if text else EVERYWHERE
    return "" if (low, high) == EVERYWHERE else f"{low:g}-{high:g}"


def _resolved(request: RunRequest, weights: ModelFiles) -> tuple[int | None, float | None, str]:
    """Return (steps, guidance, weights digest): what is not given comes from the weights."""
    from pcdms.method import PCDMsMethod, sampling_defaults

    null = cast("NullMode", request.null)
    method = PCDMsMethod(weights.root, stages=request.stages, null=null, given=weights.given)
    if method.unavailable() is not None:
        return request.steps, request.guidance, ""
    defaults = sampling_defaults(weights.root)
    steps = request.steps if request.steps is not None else int(defaults["steps"])
    guidance = request.guidance if request.guidance is not None else float(defaults["guidance"])
    return steps, float(guidance), method.weights_digest


def make_method(spec: RunSpec, around: Surroundings) -> Method:
    """Return the method of `spec`, its settings taken from the specification."""
    if spec.method == "pcdms" or spec.refine_over:
        from pcdms.guidance import EVERYWHERE, parse_interval
        from pcdms.method import PCDMsMethod

        silence_libraries()
        interval = spec.guidance_interval
        method: Method = PCDMsMethod(
            around.weights.root,
            stages=spec.stages,
            steps=spec.steps,
            guidance=spec.guidance,
            guidance_rescale=spec.guidance_rescale or 0.0,
            null=cast("NullMode", spec.null),
            final_sigma=cast("FinalSigma", spec.final_sigma),
            chunk=spec.chunk or 8,
            device=around.device,
            dtype=spec.dtype,
            given=around.weights.given,
            guidance_interval=parse_interval(interval) if interval else EVERYWHERE,
            prior_steps=spec.prior_steps,
            channels_last=spec.channels_last,
            compile_mode=cast("CompileMode", spec.compile),
            coarse=around.coarse,
            name=spec.method,
        )
        return method
    check_choice("method", spec.method, method_names())
    from pcdms_baselines.methods import make_baseline

    return make_baseline(
        spec.method,
        spec.frame,
        around.gallery,
        around.split_gallery,
        vae=autoencoder_of(spec.method, around.weights),
        device=around.device,
        weights=around.weights.of_methods.get(spec.method),
        steps=spec.steps,
        guidance=spec.guidance,
        chunk=spec.chunk or 8,
        given=around.weights.externals.get(spec.method),
        dataset=around.pairs,
    )
