"""An embedding network from a file of the user's: ONNX, or TorchScript.

Both hold the network with its weights and run without its code. Python objects are never unpickled.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

Embed = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""float32 (B, 3, S, S) -> float32 (B, D)."""
TORCHSCRIPT = (".pt", ".pth", ".ts")


def load_given(path: Path, side: int, device: str = "cpu") -> Embed:
    """Return the network of `path` (.onnx, or TorchScript as .pt, .pth or .ts).

    It is tried on one empty picture of `side` pixels. Raises InputError on another kind of file,
    one that cannot be read, ONNX without the package onnxruntime, and a network that does not take
    float32 (1, 3, side, side) to (1, D).
    """
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        embed = _onnx(path)
    elif suffix in TORCHSCRIPT:
        embed = _torchscript(path, device)
    else:
        raise InputError(f"{path}: expected .onnx or TorchScript ({', '.join(TORCHSCRIPT)})")

    def checked(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            found = np.asarray(embed(pictures), np.float32)
        except Exception as error:  # each runtime raises kinds of its own
            reason = " ".join(str(error).split())[-200:]
            raise InputError(f"{path} fails on float32 {pictures.shape}: {reason}") from error
        if found.ndim != 2 or len(found) != len(pictures) or not np.isfinite(found).all():
            raise InputError(
                f"{path} makes {found.shape} of {pictures.shape}, expected finite (B, D)"
            )
        return found

    checked(np.zeros((1, 3, side, side), np.float32))
    return checked


def _torchscript(path: Path, device: str) -> Embed:
    import torch

    from pcdms_bench.metrics.networks import exact_float32

    try:
        with warnings.catch_warnings():
            # torch advises its newer format, whose loader unpickles.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path} is no TorchScript file: {str(error).splitlines()[0]}") from error

    def embed(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), exact_float32():
            found: NDArray[np.float32] = (
                network(torch.from_numpy(pictures).to(device)).cpu().numpy()
            )
        return found

    return embed


def _onnx(path: Path) -> Embed:
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise InputError(f"{path} needs the package onnxruntime, which is not installed") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{path} is no ONNX file: {' '.join(str(error).split())[:200]}") from error
    name = session.get_inputs()[0].name

    def embed(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {name: pictures})[0]
        return found

    return embed
