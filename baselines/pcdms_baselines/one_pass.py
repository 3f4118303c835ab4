"""A learned method that makes its picture in one pass of a network, without randomness."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Keypoints, Pair

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int]
Maps = NDArray[np.float32]
Pixels = NDArray[np.uint8]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""Files of a folder with weights trained here."""


@dataclass(frozen=True)
class Recipe:
    """What a method feeds its network and makes of the output.

    `canvases`: (H, W) of the pictures -> (H, W) on which the network works, as published.
    `inputs(source pixels, source pose, target pose, canvas)` -> float32 (C, H, W) arrays in the
    order of the network's arguments. `picture(output (3, H, W), frame)` -> uint8 (H, W, 3).
    `misfit(network, frame)` says why published weights are not those for the frame, or None.
    """

    published_file: str
    canvases: Mapping[Size, Size]
    inputs: Callable[[Pixels, Keypoints, Keypoints, Size], tuple[Maps, ...]]
    picture: Callable[[Maps, Size], Pixels]
    misfit: Callable[[nn.Module, Size], str | None] | None = None


_RECIPES = {name: f"pcdms_baselines.{name}.sampling" for name in ("dptn", "patn", "nted")}


def recipe_of(name: str) -> Recipe:
    """Return the `RECIPE` of a method that makes its picture in one pass."""
    recipe: Recipe = import_module(_RECIPES[name]).RECIPE
    return recipe


@dataclass
class OnePass:
    """The network of `recipe` at `resolution` = (H, W).

    `weights` is the authors' file, or a folder with `config.json` and `model.safetensors` as a
    training of this project leaves it: `frame` and `canvas` there, both [H, W], take the place of
    the published ones. One pair at a time, so that no picture depends on its neighbours.
    """

    recipe: Recipe
    resolution: Size
    weights: Path | None
    name: str
    device: str = "cpu"
    kernel: str = "pil-bicubic-u8"
    stages: tuple[str, ...] = ("final",)
    _network: Any = field(default=None, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Return why there is no network for this frame, or None."""
        file = self.recipe.published_file
        if self.weights is None:
            return f"{self.name} needs its published weights: --method-weights {self.name}={file}"
        if self.weights.is_dir():
            lacking = [name for name in (CONFIG, WEIGHTS) if not (self.weights / name).is_file()]
            if lacking:
                return f"{self.weights} lacks {' and '.join(lacking)}; or name the file {file}"
        elif not self.weights.is_file():
            return f"{self.weights}: no such file, expected {file} of {self.name}"
        try:
            canvases = self._canvases()
        except InputError as error:
            return str(error)
        if self.resolution not in canvases:
            made = " or ".join(f"{height}x{width}" for height, width in canvases)
            height, width = self.resolution
            return f"{self.name} makes pictures of {made}, not of {height}x{width}: --resolution"
        return None

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the picture of every pair; returns {pair_id: reason} of failures.

        All samples are equal and `seed` changes nothing. Raises InputError where the weights cannot
        be loaded.
        """
        network, canvas = self._loaded(), self._canvases()[self.resolution]

        def make(pair: Pair) -> Pixels:
            pixels = load_picture(pair.source, self.resolution, self.kernel)
            inputs = self.recipe.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
            return self.recipe.picture(self._run(network, inputs), self.resolution)

        return write_pictures(pairs, out, samples, make)

    @property
    def parameters(self) -> int:
        """The number of learned parameters; 0 where the method is unavailable."""
        if self.unavailable() is not None:
            return 0
        return sum(tensor.numel() for tensor in self._loaded().parameters())

    def _canvases(self) -> dict[Size, Size]:
        """{frame: canvas} of these weights."""
        if self.weights is None or not self.weights.is_dir():
            return dict(self.recipe.canvases)
        file = self.weights / CONFIG
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            frame, canvas = ((int(v[0]), int(v[1])) for v in (values["frame"], values["canvas"]))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            raise InputError(
                f"{file}: expected a JSON object with frame and canvas as [H, W]"
            ) from None
        return {frame: canvas}

    def _loaded(self) -> nn.Module:
        """The network, loaded once; raises InputError where that is impossible."""
        from pcdms_baselines.published import import_published

        reason = self.unavailable()
        if reason is not None or self.weights is None:
            raise InputError(str(reason))
        if self._network is None:
            folder = self.weights.is_dir()
            path = self.weights / WEIGHTS if folder else self.weights
            config = self.weights / CONFIG if folder else None
            loaded = import_published(self.name, path, config)
            check = None if folder else self.recipe.misfit
            misfit = check(loaded, self.resolution) if check else None
            if misfit:
                height, width = self.resolution
                raise InputError(f"{path} does not make pictures of {height}x{width}: {misfit}")
            self._network = loaded.to(self.device)
        network: nn.Module = self._network
        return network

    def _run(self, network: nn.Module, inputs: tuple[Maps, ...]) -> Maps:
        """Return the network's output for one pair, float32 (3, H, W)."""
        import torch

        with torch.inference_mode():
            given = [torch.from_numpy(maps)[None].to(self.device) for maps in inputs]
            output: Maps = network(*given)[0].float().cpu().numpy()
        return output


def to_planes(pixels: Pixels) -> Maps:
    """Return uint8 (H, W, 3) as float32 (3, H, W) in [-1, 1], as all these networks expect."""
    planes = pixels.transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray(planes / np.float32(127.5) - np.float32(1))


def to_levels(output: Maps) -> Pixels:
    """Return (3, H, W) in [-1, 1] as uint8 (H, W, 3), clipped and truncated as published."""
    levels = (output.transpose(1, 2, 0) + np.float32(1)) / np.float32(2) * np.float32(255)
    return np.ascontiguousarray(np.clip(levels, 0, 255).astype(np.uint8))
