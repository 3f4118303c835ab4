"""Where the network of a learned method comes from: the authors' file, or a folder trained here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int]
Maps = NDArray[np.float32]
Pixels = NDArray[np.uint8]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""Files of a folder with weights trained here."""

SHIPPED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True)
class WeightForm:
    """How the weights of a method look and which frames they serve.

    `canvases`: (H, W) of the pictures -> (H, W) on which the network works, as published.
    `misfit(network, frame)` says why published weights are not those for the frame, or None.
    `published_files`: where the authors' weights are several files, those of their folder.
    """

    published_file: str
    canvases: Mapping[Size, Size]
    misfit: Callable[[nn.Module, Size], str | None] | None = None
    published_files: tuple[str, ...] = ()

    def trained_here(self, path: Path) -> bool:
        """Whether the path is that of a folder with weights trained here, not of the authors'."""
        files = self.published_files
        whole = bool(files) and all((path / name).is_file() for name in files)
        return path.is_dir() and not whole

    @property
    def wanted(self) -> str:
        """What the authors' weights are, in words."""
        files = self.published_files
        return (
            f"a folder with {' and '.join(files)}" if files else f"the file {self.published_file}"
        )


@dataclass
class LearnedWeights:
    """The network of method `name` for pictures of `resolution` = (H, W).

    `path` is the authors' file (their folder, where there are several), or a folder with
    `config.json` and `model.safetensors` as a training of this project leaves it: `frame` and
    `canvas` there, both [H, W], take the place of the published ones.
    """

    name: str
    form: WeightForm
    path: Path | None
    resolution: Size
    device: str = "cpu"
    _network: Any = field(default=None, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Return why there is no network for this frame, or None."""
        file = self.form.published_file
        if self.path is None:
            return f"{self.name} needs its published weights: --method-weights {self.name}={file}"
        if self.form.trained_here(self.path):
            lacking = [name for name in (CONFIG, WEIGHTS) if not (self.path / name).is_file()]
            if lacking:
                return f"{self.path} lacks {' and '.join(lacking)}; or name {self.form.wanted}"
        elif not self.path.exists():
            return f"{self.path}: no such file, expected {self.form.wanted} of {self.name}"
        try:
            canvases = self._canvases()
        except InputError as error:
            return str(error)
        if self.resolution not in canvases:
            made = " or ".join(f"{height}x{width}" for height, width in canvases)
            height, width = self.resolution
            return (
                f"{self.name} makes pictures of {made}, not of {height}x{width}: "
                f"--resolution, or other weights with --method-weights {self.name}=FILE"
            )
        return None

    def canvas(self) -> Size:
        """Return (H, W) on which the network works for the frame."""
        return self._canvases()[self.resolution]

    def config(self) -> dict[str, Any]:
        """Return the entries of a folder's `config.json`, none for the authors' file."""
        if self.path is None or not self.form.trained_here(self.path):
            return {}
        file = self.path / CONFIG
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read as JSON ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"{file}: holds {type(values).__name__}, expected a JSON object")
        return values

    def network(self) -> nn.Module:
        """Return the network in eval mode, loaded once; InputError where that is impossible."""
        from pcdms_baselines.published import import_published

        reason = self.unavailable()
        if reason is not None or self.path is None:
            raise InputError(str(reason))
        if self._network is None:
            folder = self.form.trained_here(self.path)
            path = self.path / WEIGHTS if folder else self.path
            loaded = import_published(self.name, path, self.path / CONFIG if folder else None)
            check = None if folder else self.form.misfit
            misfit = check(loaded, self.resolution) if check else None
            if misfit:
                height, width = self.resolution
                raise InputError(f"{path} does not make pictures of {height}x{width}: {misfit}")
            self._network = loaded.to(self.device)
        network: nn.Module = self._network
        return network

    def parameters(self) -> int:
        """Return the number of learned parameters; 0 where there is no network."""
        if self.unavailable() is not None:
            return 0
        return sum(tensor.numel() for tensor in self.network().parameters())

    def _canvases(self) -> dict[Size, Size]:
        """{frame: canvas} of these weights."""
        if self.path is None or not self.form.trained_here(self.path):
            return dict(self.form.canvases)
        values = self.config()
        try:
            frame, canvas = ((int(v[0]), int(v[1])) for v in (values["frame"], values["canvas"]))
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(
                f"{self.path / CONFIG}: expected a JSON object with frame and canvas as [H, W]"
            ) from None
        return {frame: canvas}


def shipped_weights(name: str) -> Path | None:
    """Return the folder of the weights of method `name` that come with the package, or None."""
    folder = SHIPPED / f"{name}-tiny"
    return folder if (folder / WEIGHTS).is_file() else None


def to_planes(pixels: Pixels) -> Maps:
    """Return uint8 (H, W, 3) as float32 (3, H, W) in [-1, 1], as all these networks expect."""
    planes = pixels.transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray(planes / np.float32(127.5) - np.float32(1))


def to_levels(output: Maps) -> Pixels:
    """Return (3, H, W) in [-1, 1] as uint8 (H, W, 3), clipped and truncated as published."""
    levels = (output.transpose(1, 2, 0) + np.float32(1)) / np.float32(2) * np.float32(255)
    return np.ascontiguousarray(np.clip(levels, 0, 255).astype(np.uint8))
