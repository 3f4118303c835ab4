"""The table of pose estimators, and the one way to open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pcdms_data.images import Pixels
from pcdms_data.people.presets import check_choice
from pcdms_data.pose_estimation.joints import DEFAULT_THRESHOLD
from pcdms_data.types import InputError, Keypoints


class PoseEstimator(Protocol):
    """A loaded estimator. `extractor` names the network actually used, `<network>@<digest>`."""

    extractor: str

    def estimate(self, pixels: Pixels) -> Keypoints:
        """Return the key points of one picture, uint8 RGB (H, W, 3), in its own pixels."""

    def estimate_all(self, pictures: Sequence[Pixels]) -> list[Keypoints]:
        """Return the key points of each picture, in order; pictures may differ in size."""

    def close(self) -> None:
        """Let go of the network."""


@dataclass(frozen=True)
class EstimatorEntry:
    """What an estimator is, why it cannot run ("" where it can), and how it is opened."""

    about: str
    problem: Callable[[Path | None], str]
    load: Callable[[Path | None, float], PoseEstimator]


def _posenet_problem(weights: Path | None) -> str:
    from pcdms_data.pose_estimation.weight_files import find_posenet

    try:
        find_posenet(weights)
    except InputError as error:
        return str(error)
    return ""


def _load_posenet(weights: Path | None, threshold: float) -> PoseEstimator:
    from pcdms_data.pose_estimation.posenet import PoseNetEstimator
    from pcdms_data.pose_estimation.weight_files import find_posenet

    return PoseNetEstimator(find_posenet(weights), threshold)


def _mediapipe_problem(weights: Path | None) -> str:
    from pcdms_data.pose_estimation.mediapipe_pose import missing_part

    return missing_part(weights)


def _load_mediapipe(weights: Path | None, threshold: float) -> PoseEstimator:
    from pcdms_data.pose_estimation.mediapipe_pose import MediapipeEstimator

    return MediapipeEstimator(weights, threshold)


ESTIMATORS: dict[str, EstimatorEntry] = {
    "posenet": EstimatorEntry(
        "PoseNet (MobileNetV1 0.75, 17 points) in torch; its files are the user's",
        _posenet_problem,
        _load_posenet,
    ),
    "mediapipe": EstimatorEntry(
        "BlazePose (33 points) of the optional package mediapipe",
        _mediapipe_problem,
        _load_mediapipe,
    ),
}
"""Name on the command line -> estimator. The one table of pose estimators."""


def estimator_problem(name: str, weights: Path | None = None) -> str:
    """Return why the estimator `name` cannot run here, with the next step; "" where it can.

    Raises InputError on an unknown name.
    """
    check_choice("pose estimator", name, tuple(ESTIMATORS))
    return ESTIMATORS[name].problem(weights)


def load_estimator(
    name: str, weights: Path | None = None, threshold: float = DEFAULT_THRESHOLD
) -> PoseEstimator:
    """Return the estimator `name`, one of `ESTIMATORS`.

    `weights` is the folder of its files, None for `PCDMS_WEIGHTS` or the user's cache. Joints with
    a score below `threshold` (0 to 1) are missing. Raises InputError on an unknown name and, with
    the reason and the next step, where it is not available.
    """
    problem = estimator_problem(name, weights)
    if problem:
        raise InputError(f"pose estimator {name} is not available: {problem}")
    return ESTIMATORS[name].load(weights, threshold)
