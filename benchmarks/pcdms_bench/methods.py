"""Which methods exist, the specification a request gives each, and how each is built from it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from pcdms_bench.environment import file_digests
from pcdms_bench.external_options import external_digest
from pcdms_bench.progress import silence_libraries
from pcdms_bench.request import DEFAULT_METHODS, RunRequest
from pcdms_bench.spec import RunSpec
from pcdms_bench.suggestions import check_choice
from pcdms_data.cache import file_sha256
from pcdms_data.types import Gallery, InputError, Pair

if TYPE_CHECKING:
    from pcdms.execution import CompileMode
    from pcdms.sampling import NullMode
    from pcdms.schedulers import FinalSigma
    from pcdms_baselines.external.clone import Given
    from pcdms_data.pair_set import PairSet

SHIPPED_WEIGHTS = {"tiny": "people-tiny"}
"""Preset -> folder below `pcdms/pretrained` that comes with the package."""


@dataclass(frozen=True)
class ModelFiles:
    """The model directory of `pcdms`, and {part: folder} of parts given in place of its own.

    `of_methods` = {method: file or folder} are the weights of other learned methods, `externals`
    what the user has of official repositories.
    """

    root: Path
    given: Mapping[str, Path] = field(default_factory=dict[str, Path])
    of_methods: Mapping[str, Path] = field(default_factory=dict[str, Path])
    externals: Mapping[str, Given] = field(default_factory=dict[str, "Given"])

    def folder(self, part: str) -> Path:
        """Return where a part lies."""
        return self.given.get(part, self.root / part)


class Method(Protocol):
    """What the runner needs of a method."""

    @property
    def name(self) -> str:
        """Name on the command line."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages in pipeline order."""

    def unavailable(self) -> str | None:
        """Return why it cannot run here, or None."""

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Leave the pictures of every pair; return {pair_id: reason} of the failed ones."""


class StagedMethod(Method, Protocol):
    """A method whose stages can be run one at a time, so that each can be measured."""

    def generate_stage(
        self,
        stage: str,
        pairs: Sequence[Pair],
        out: Path,
        seed: int,
        samples: int = 1,
        progress: Callable[[int, int], None] | None = None,
        chosen: Mapping[str, int] | None = None,
    ) -> dict[str, str]:
        """Leave one stage's output of every pair; return {pair_id: reason} of the failed ones.

        With `chosen` = {pair_id: sample} every sample starts from that one of the stage before.
        """


@runtime_checkable
class Releasable(Protocol):
    """A method that can give back the memory of its networks."""

    def release(self) -> None:
        """Free them; they are loaded again when they are needed."""


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


def weights_directory(preset: str, weights: Path | None) -> Path:
    """Return the model directory: the given one, else the shipped one of the preset.

    The result need not exist: the method then says that it is unavailable.
    """
    if weights is not None:
        return weights
    import pcdms

    home = Path(next(iter(pcdms.__path__))) / "pretrained"
    return home / SHIPPED_WEIGHTS.get(preset, f"none-for-{preset}")


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
        weights=external_digest(name, resolution, weights.externals) or _digest_of(name, weights),
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


def parse_method_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Return {method: file or folder}: those of `NAME=PATH` texts, and the shipped ones of others.

    Raises InputError on another form, on a method without weights of its own, and where nothing is
    at the path.
    """
    from pcdms_baselines.learned import shipped_weights
    from pcdms_baselines.methods import external_names, learned_names

    shipped = {name: shipped_weights(name) for name in learned_names()}
    found: dict[str, Path] = {name: path for name, path in shipped.items() if path is not None}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise InputError(f"--method-weights {text}: expected METHOD=FILE")
        check_choice("method with weights", name, (*learned_names(), *external_names()))
        if not Path(path).exists():
            raise InputError(f"--method-weights {text}: no such file or folder")
        found[name] = Path(path)
    return found


def autoencoder_of(name: str, weights: ModelFiles) -> Path | None:
    """Return the autoencoder in whose latents method `name` works: that of `pcdms`."""
    from pcdms_baselines.methods import entry_of

    entry = entry_of(name)
    latent = entry is not None and entry.latent
    return weights.folder("vae") if latent and weights.folder("vae").is_dir() else None


def folder_digest(folder: Path | None) -> str:
    """Return the first 8 hex digits of the SHA-256 over a folder's weight files, "" without one.

    A single file counts by its content alone.
    """
    if folder is None:
        return ""
    if folder.is_file():
        return file_sha256(folder)[:8]
    text = json.dumps(file_digests(folder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _digest_of(name: str, weights: ModelFiles) -> str:
    """Return the digest of what a baseline loads: its weights, and the autoencoder it works in."""
    found = [_weights_digest(weights.of_methods.get(name))]
    found.append(folder_digest(autoencoder_of(name, weights)))
    digests = [digest for digest in found if digest]
    if len(digests) < 2:
        return "".join(digests)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:8]


def _weights_digest(mine: Path | None) -> str:
    """Return the digest of a method's own weights: of a folder trained here not its checkpoints."""
    if mine is None or mine.is_file():
        return folder_digest(mine)
    from pcdms_baselines.learned import CONFIG, WEIGHTS

    parts = [mine / part for part in (CONFIG, WEIGHTS) if (mine / part).is_file()]
    if not parts:
        return folder_digest(mine)
    return hashlib.sha256("".join(file_sha256(part) for part in parts).encode()).hexdigest()[:8]


def needs_all_pairs(method: Method) -> bool:
    """Whether a picture depends on the set of pairs, so that it may not be cut into batches.

    Only the mean image of a dataset without a training split: it is the mean of the sources.
    """
    return method.name == "mean-image" and getattr(method, "gallery", None) is None


def fallbacks_of(method: Method, pairs: Sequence[Pair]) -> dict[str, int]:
    """Return {what the method did instead of the usual: number of pairs}, the most frequent first.

    Only methods that say so of a pair (`fallback`) have any.
    """
    if not hasattr(method, "fallback"):
        return {}
    found = Counter(method.fallback(pair) for pair in pairs)
    return {words: count for words, count in found.most_common() if words}


def parameters_of(method: Method, weights: ModelFiles | None) -> dict[str, int]:
    """Return {stage: learned parameters it uses}; 0 for a method that learns nothing.

    `weights` is the model of `pcdms` where the method computes with it. Empty where they are not
    known: an official repository's program.
    """
    if weights is None:
        count = getattr(method, "parameters", 0)
        return {} if count is None else {stage: int(count) for stage in method.stages}
    from pcdms.model_directory import count_parameters
    from pcdms.stages import STAGE_PARTS

    return {
        stage: sum(count_parameters(weights.root, p, weights.given) for p in STAGE_PARTS[stage])
        for stage in method.stages
    }
