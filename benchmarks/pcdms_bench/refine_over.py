"""`--refine-over METHOD`: the stage `refine` of PCDMs behind any other method.

METHOD runs as always and leaves its pictures (stage `final`) and rows in a run folder of its own.
`METHOD+refine` is a second run, with its own folder, that reads these pictures in the place of
those of `inpaint`; seeds, steps and guidance are those of PCDMs. It depends on every choice behind
METHOD's pictures, so its specification names METHOD's run. Source: arXiv 2310.06313, the
experiment with the refining stage behind other methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcdms.stages import REFINE_OVER
from pcdms_baselines.method import Method
from pcdms_bench.method_type import needs_all_pairs
from pcdms_bench.methods import method_names, spec_for
from pcdms_bench.model_files import ModelFiles
from pcdms_bench.request import RunRequest
from pcdms_bench.run_folder import SAMPLES, RunStatus, missing_pictures
from pcdms_bench.selection import ORACLE, choose
from pcdms_bench.spec import RunSpec
from pcdms_bench.suggestions import split_names
from pcdms_data.types import InputError, Pair

STAGE = "final"
"""The stage of the other method whose pictures are refined."""


@dataclass(frozen=True)
class Coarse:
    """The run of another method whose pictures are refined."""

    spec: RunSpec
    folder: Path

    @property
    def pictures(self) -> Path:
        """The folder of the pictures."""
        return self.folder / SAMPLES / STAGE

    def lost(self, pairs: Sequence[Pair]) -> dict[str, str]:
        """Return {pair_id: reason} of the pairs without a picture to refine."""
        status = RunStatus.read(self.folder)
        ids = [pair.pair_id for pair in pairs]
        missing = missing_pictures(self.folder, STAGE, ids, self.spec.samples)
        unknown = status.reason or "it left no picture"
        return {i: f"{self.spec.method}: {status.failed.get(i, unknown)}" for i in missing}

    def starts(self, folder: Path, spec: RunSpec, pairs: Sequence[Pair]) -> dict[str, int]:
        """Return {pair_id: sample of METHOD that every sample of `refine` starts from}.

        Empty where sample k starts from sample k. The oracle's choices are noted in `folder`.
        """
        if spec.selection == ORACLE:
            return choose(folder, STAGE, pairs, self.spec.samples, self.pictures)
        if self.spec.samples < spec.samples:
            return {pair.pair_id: 0 for pair in pairs}
        return {}


def over_names(text: str) -> tuple[str, ...]:
    """Return the methods of a `--refine-over` list, none for an empty text.

    Raises InputError on an unknown name, and on `pcdms`, whose own pictures are refined anyway.
    """
    if not text:
        return ()
    others = [name for name in method_names() if name != "pcdms"]
    if "pcdms" in [part.strip() for part in text.split(",")]:
        raise InputError(
            "--refine-over pcdms: pcdms refines its own pictures (--methods pcdms), expected "
            f"another method: {', '.join(others)}"
        )
    return split_names("method of --refine-over", text, others)


def refined_spec(coarse: RunSpec, request: RunRequest, weights: ModelFiles) -> RunSpec:
    """Return the specification of the stage `refine` over the run `coarse`."""
    refining = replace(request, stages=REFINE_OVER, prior_steps=None)
    own = spec_for("pcdms", refining, coarse.frame, bool(coarse.size), weights, coarse.convention)
    return replace(
        own,
        method=f"{coarse.method}+refine",
        refine_over=f"{coarse.method}@{coarse.hash8}",
    )


def check_refined(coarse: Method, refined: Method, unavailable: str | None) -> None:
    """Raise InputError where a method cannot be refined: `unavailable` is why METHOD cannot run."""
    where = f"--refine-over {coarse.name}"
    if unavailable is not None:
        raise InputError(f"{where}: {unavailable}")
    if STAGE not in coarse.stages:
        raise InputError(f"{where}: it leaves the stages {', '.join(coarse.stages)}, not {STAGE}")
    if needs_all_pairs(coarse):
        raise InputError(
            f"{where}: without a training split its picture depends on which pairs are run"
        )
    lacking = refined.unavailable()
    if lacking is not None:
        raise InputError(f"{where}: the stage refine is not available: {lacking}")
