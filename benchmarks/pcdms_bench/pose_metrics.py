"""Metrics that look where the target pose says something is: the pose itself, and the face.

Adding a metric is one entry here and one in `metrics/catalog.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.faces import LEAST_EYES, SIDE, cosines, face_input, face_transform
from pcdms_bench.metrics.pose_agreement import ESTIMATOR, pose_agreement
from pcdms_bench.user_weights import find_user_file, user_file_digest
from pcdms_data.images import to_uint8
from pcdms_data.types import InputError, Keypoints

if TYPE_CHECKING:
    from pcdms_bench.metrics.given_network import Embed
    from pcdms_data.pose_estimation import PoseEstimator

Compute = Callable[["SeenPose"], tuple[float, ...]]


@dataclass(eq=False)
class SeenPose:
    """A picture, its target and the target pose in their frame; what is found is found once."""

    made: NDArray[Any]
    true: NDArray[Any]
    pose: Keypoints
    _found: Keypoints | None = None

    def found(self) -> Keypoints:
        """Return the pose of the picture as the estimator sees it."""
        if self._found is None:
            self._found = estimator().estimate(to_uint8(self.made))
        return self._found


@dataclass(frozen=True)
class PoseMetric:
    """One metric. `extractor` names its network, or raises InputError with what it lacks."""

    compute: Compute
    """One value, or a numerator and a denominator; NaN where the pose gives none."""
    extractor: Callable[[], str]
    left_out: str
    """What the pairs without a value lack."""
    outside: None = None
    """No metric here masks its pictures."""


def estimator() -> PoseEstimator:
    """Return the pose estimator, loaded once. Raises InputError with the reason."""
    pose_problem()
    from pcdms_data.pose_estimation.weight_files import weights_folder

    return _estimator(weights_folder(None))


@lru_cache(maxsize=1)
def _estimator(folder: Path) -> PoseEstimator:
    from pcdms_data.pose_estimation import load_estimator

    return load_estimator(ESTIMATOR, folder)


def pose_problem() -> None:
    """Raise InputError where the estimator's files are missing; nothing is loaded."""
    from pcdms_data.pose_estimation import estimator_problem

    problem = estimator_problem(ESTIMATOR)
    if problem:
        raise InputError(
            f"pose estimator {ESTIMATOR} is not available: {problem}; scoring looks for them in "
            "PCDMS_WEIGHTS"
        )


@lru_cache(maxsize=1)
def _face_network(path: Path, digest: str) -> Embed:
    from pcdms_bench.metrics.given_network import load_given

    del digest  # only part of the cache key: a file that was replaced is loaded anew
    return load_given(path, SIDE)


def _face_label() -> str:
    path = find_user_file("face")
    return f"{path.stem}@{user_file_digest(path)[:8]}"


def _joints(seen: SeenPose) -> tuple[float, ...]:
    agreement = pose_agreement(seen.found(), seen.pose)
    return agreement.found, agreement.visible


def _similarity(seen: SeenPose) -> tuple[float, ...]:
    return (pose_agreement(seen.found(), seen.pose).similarity,)


def _face(seen: SeenPose) -> tuple[float, ...]:
    transform = face_transform(seen.pose)
    if transform is None:
        return (float("nan"),)
    path = find_user_file("face")
    network = _face_network(path, user_file_digest(path))
    faces = [face_input(to_uint8(picture), transform) for picture in (seen.made, seen.true)]
    embedded = network(np.stack(faces))
    return (float(cosines(embedded[:1], embedded[1:])[0]),)


POSE_METRICS: dict[str, PoseMetric] = {
    "pckh50": PoseMetric(
        _joints, lambda: estimator().extractor, "whose target pose has no head size"
    ),
    "oks": PoseMetric(
        _similarity, lambda: estimator().extractor, "whose target pose spans no area"
    ),
    "face_similarity": PoseMetric(
        _face, _face_label,
        f"without a face that can be seen ({LEAST_EYES:g} pixels between the eyes)",
    ),
}  # fmt: skip
"""Metric -> how it is computed."""
