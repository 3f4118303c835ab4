"""What the runner needs beyond `Method`, and what it asks of a built one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from pcdms_baselines.method import Method
from pcdms_bench.model_files import ModelFiles
from pcdms_data.types import Pair


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
