"""Networks that only the user can supply: where each is looked for, and what it must be.

None of them is shipped or fetched. The table names the variable that points at the file or folder;
without it the file is looked for by name in `PCDMS_WEIGHTS`, else in the user's cache.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pcdms_bench.suggestions import check_choice
from pcdms_bench.weights_store import cache_folder, file_digest
from pcdms_data.types import InputError

FOLDER_VARIABLE = "PCDMS_WEIGHTS"
"""Environment variable: folder that holds weight files."""


@dataclass(frozen=True)
class UserFile:
    """A file or folder of the user's, by `variable` or under the name `file`."""

    variable: str
    file: str
    kind: Literal["file", "folder"]
    what: str
    """What it must be, as the end of "... not found, expected"."""


USER_FILES: dict[str, UserFile] = {
    "squeezenet_caffe": UserFile(
        "PCDMS_WEIGHTS_SQUEEZENET_CAFFE",
        "squeezenet1_1_caffe.npz",
        "file",
        "the Caffe release of SqueezeNet 1.1 as a NumPy archive (conv1.weight (64, 3, 3, 3), "
        "fire2.squeeze1x1.weight, ..., conv10.bias)",
    ),
    "clip": UserFile(
        "PCDMS_WEIGHTS_CLIP",
        "clip",
        "folder",
        "a CLIP vision model as transformers saves it (config.json, model.safetensors)",
    ),
    "dinov2": UserFile(
        "PCDMS_WEIGHTS_DINOV2",
        "dinov2",
        "folder",
        "a DINOv2 model as transformers saves it (config.json, model.safetensors)",
    ),
    "face": UserFile(
        "PCDMS_WEIGHTS_FACE",
        "face.onnx",
        "file",
        "a face recognition network: ONNX (.onnx) or TorchScript (.pt), float32 (B, 3, 112, 112) "
        "RGB in [-1, 1] to (B, D)",
    ),
    "garment": UserFile(
        "PCDMS_WEIGHTS_GARMENT",
        "garment.onnx",
        "file",
        "a garment embedding: ONNX (.onnx) or TorchScript (.pt), float32 (B, 3, 224, 224) RGB in "
        "[-1, 1] to (B, D)",
    ),
    "extractor": UserFile(
        "PCDMS_WEIGHTS_EXTRACTOR",
        "extractor.onnx",
        "file",
        "a network of picture features: ONNX (.onnx) or TorchScript (.pt), float32 (B, 3, 224, "
        "224) RGB in [-1, 1] to (B, D)",
    ),
}
"""Name -> what the user may supply. The one table of networks without a download."""


def user_file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per process and state of the file."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, stamp: int) -> str:
    del size, stamp  # only part of the cache key: a rewritten file is read anew
    return file_digest(path)


def find_user_file(name: str) -> Path:
    """Return the file or folder `name`, one of `USER_FILES`.

    Raises InputError with the next step where it is missing.
    """
    wanted = USER_FILES[check_choice("weights", name, USER_FILES)]
    given = os.environ.get(wanted.variable)
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else cache_folder() / "weights"
    place = Path(given) if given else folder / wanted.file
    if place.is_file() if wanted.kind == "file" else place.is_dir():
        return place
    where = f" at {place}" if given else ""
    raise InputError(
        f"weights {wanted.file} not found{where}, expected {wanted.what}: set {wanted.variable} "
        f"to the {wanted.kind}"
    )
