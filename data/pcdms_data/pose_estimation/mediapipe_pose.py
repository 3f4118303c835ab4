"""The estimator `mediapipe`: Google's BlazePose, 33 points, through the optional package mediapipe.

Two generations of the package are understood. Up to 0.10.21 it holds its own models and the API
`solutions`, and wants NumPy below 2. Later releases work with NumPy 2, hold no model, and want a
bundle `pose_landmarker_*.task`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from pcdms_data.cache import file_sha256
from pcdms_data.images import Pixels
from pcdms_data.pose_estimation.joints import (
    BLAZEPOSE_33,
    DEFAULT_THRESHOLD,
    check_threshold,
    nothing_found,
    to_keypoints,
)
from pcdms_data.pose_estimation.weight_files import (
    MEDIAPIPE_MODELS,
    MEDIAPIPE_PAGE,
    find_mediapipe_model,
    weights_folder,
)
from pcdms_data.types import InputError, Keypoints

Points = Sequence[Any]
"""33 points with `x`, `y` relative to the picture's sides, and `visibility` in 0 to 1."""


def missing_part(weights: Path | None = None) -> str:
    """Return why the estimator cannot run here and the next step, or "" where it can.

    Looks for the installed package and its files without importing it.
    """
    try:
        installed = version("mediapipe")
    except PackageNotFoundError:
        return (
            "the package mediapipe is not installed: run `pip install mediapipe` "
            f"and put {MEDIAPIPE_MODELS[0]} ({MEDIAPIPE_PAGE}) into {weights_folder(weights)}"
        )
    if _has_own_models() or find_mediapipe_model(weights):
        return ""
    return (
        f"mediapipe {installed} holds no model: put {MEDIAPIPE_MODELS[0]} ({MEDIAPIPE_PAGE}) "
        f"into {weights_folder(weights)}, or give its folder with --weights"
    )


class MediapipeEstimator:
    """Key points of the most prominent person of a picture by BlazePose."""

    def __init__(self, weights: Path | None = None, threshold: float = DEFAULT_THRESHOLD) -> None:
        """Open the installed package; raises InputError with the reason where it cannot run."""
        check_threshold(threshold)
        problem = missing_part(weights)
        if problem:
            raise InputError(f"pose estimator mediapipe is not available: {problem}")
        self._threshold = threshold
        model = find_mediapipe_model(weights)
        self._network: Any
        self._detect: Callable[[Pixels], Points | None]
        if model is None or _has_own_models():
            self.extractor = f"blazepose-full@mediapipe-{version('mediapipe')}"
            self._network, self._detect = _solutions()
        else:
            self.extractor = f"{model.stem}@{file_sha256(model)[:8]}"
            self._network, self._detect = _tasks(model)

    def estimate(self, pixels: Pixels) -> Keypoints:
        """Return the key points of one picture, uint8 RGB (H, W, 3), in its own pixels.

        All joints are missing where no person is found. Raises InputError on another array.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise InputError(
                f"cannot find a pose in an array of {pixels.dtype} {pixels.shape}, "
                "expected a picture, uint8 (H, W, 3)"
            )
        size = (pixels.shape[0], pixels.shape[1])
        points = self._detect(np.ascontiguousarray(pixels))
        if points is None:
            return nothing_found(size)
        # The sides count from edge to edge, our pixels from centre to centre.
        xy = np.array([(p.x * size[1] - 0.5, p.y * size[0] - 0.5) for p in points], np.float32)
        visibility = np.array([p.visibility for p in points], np.float32)
        return to_keypoints(xy, visibility, BLAZEPOSE_33, size, self._threshold)

    def close(self) -> None:
        """Let go of the network; left to the interpreter's end, the package complains aloud."""
        self._network.close()

    def estimate_all(self, pictures: Sequence[Pixels]) -> list[Keypoints]:
        """Return the key points of each picture, in order; pictures may differ in size."""
        return [self.estimate(pixels) for pixels in pictures]


def _has_own_models() -> bool:
    """Tell whether the installed release is of the older kind, by its folder of models."""
    spec = importlib.util.find_spec("mediapipe")
    folders = spec.submodule_search_locations if spec else None
    model = Path("modules", "pose_landmark", "pose_landmark_full.tflite")
    return any((Path(folder) / model).is_file() for folder in folders or ())


def _solutions() -> tuple[Any, Callable[[Pixels], Points | None]]:
    """Return the network of the older API, and the function that finds a person's 33 points."""
    module: Any = importlib.import_module("mediapipe.python.solutions.pose")
    network = module.Pose(static_image_mode=True, model_complexity=1)

    def detect(pixels: Pixels) -> Points | None:
        found = network.process(pixels).pose_landmarks
        return found.landmark if found else None

    return network, detect


def _tasks(model: Path) -> tuple[Any, Callable[[Pixels], Points | None]]:
    """Return the same of the newer API, for a model bundle."""
    package: Any = importlib.import_module("mediapipe")
    tasks: Any = importlib.import_module("mediapipe.tasks.python")
    vision: Any = importlib.import_module("mediapipe.tasks.python.vision")
    options = vision.PoseLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.IMAGE,
    )
    try:
        network = vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{model} cannot be used by mediapipe: {reason}") from error

    def detect(pixels: Pixels) -> Points | None:
        image = package.Image(image_format=package.ImageFormat.SRGB, data=pixels)
        found = network.detect(image).pose_landmarks
        return found[0] if found else None

    return network, detect
