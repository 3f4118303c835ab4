"""A learned method that draws at random: pairs in padded chunks, noise from each pair's seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pcdms_baselines.learned import LearnedWeights, Maps, Pixels, Size, WeightForm
from pcdms_baselines.writing import picture_path
from pcdms_data.images import load_picture, save_picture
from pcdms_data.seeds import pair_seed
from pcdms_data.types import InputError, Keypoints, Pair

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Draws = Callable[[tuple[int, ...]], "Tensor"]
"""(C, H, W) -> the next standard normal noise (B, C, H, W), each row from its own generator."""

Job = tuple[Pair, int, tuple[Maps, ...]]
"""Pair, number of the sample, and what the loop is given."""


class Sample(Protocol):
    """The sampling loop of a method."""

    def __call__(
        self,
        network: nn.Module,
        vae: nn.Module | None,
        inputs: tuple[Tensor, ...],
        draws: Draws,
        steps: int | None,
        guidance: float | None,
    ) -> Tensor:
        """Return pictures (B, 3, h, w) in [-1, 1]; None for `steps`, `guidance`: as published."""


@dataclass(frozen=True)
class SampledRecipe:
    """What a method feeds its loop and makes of the output.

    `inputs(source pixels, source pose, target pose, canvas)` -> float32 (C, h, w) arrays.
    `picture(output (3, h, w), frame)` -> uint8 (H, W, 3). `needs_vae`: the loop runs in the
    latents of a diffusers AutoencoderKL.
    """

    form: WeightForm
    inputs: Callable[[Pixels, Keypoints, Keypoints, Size], tuple[Maps, ...]]
    sample: Sample
    picture: Callable[[Maps, Size], Pixels]
    needs_vae: bool = False


_RECIPES = {name: f"pcdms_baselines.{name}.sampling" for name in ("cfld", "pidm")}


def sampled_recipe_of(name: str) -> SampledRecipe:
    """Return the `RECIPE` of a method that draws at random."""
    recipe: SampledRecipe = import_module(_RECIPES[name]).RECIPE
    return recipe


@dataclass
class Sampled:
    """The network of `recipe` at `resolution` = (H, W); `weights` as in `LearnedWeights`.

    `vae` is a diffusers AutoencoderKL folder. `steps` and `guidance` None are the weights' own:
    those of a folder's `config.json`, else the published ones. The last chunk repeats its last
    pair, so that networks always see `chunk` pairs and no picture depends on how many there are.
    """

    recipe: SampledRecipe
    resolution: Size
    weights: Path | None
    name: str
    vae: Path | None = None
    steps: int | None = None
    guidance: float | None = None
    chunk: int = 8
    device: str = "cpu"
    kernel: str = "pil-bicubic-u8"
    stages: tuple[str, ...] = ("final",)
    _learned: LearnedWeights = field(init=False, repr=False)
    _autoencoder: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._learned = LearnedWeights(
            self.name, self.recipe.form, self.weights, self.resolution, self.device
        )

    def unavailable(self) -> str | None:
        """Return why it cannot run here, or None."""
        reason = self._learned.unavailable()
        if reason is None and self.recipe.needs_vae:
            if self.vae is None:
                return f"{self.name} works in the latents of an autoencoder: give one with --vae"
            if not (self.vae / "config.json").is_file():
                return f"{self.vae} is no autoencoder of diffusers: config.json is missing"
        return reason

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write every sample of every pair; returns {pair_id: reason} of failures.

        Pictures already there are not made again. Raises InputError where the weights cannot be
        loaded.
        """
        failures: dict[str, str] = {}
        jobs: list[Job] = []
        canvas = self._learned.canvas() if self.unavailable() is None else self.resolution
        for pair in pairs:
            try:
                jobs += self._jobs(pair, out, samples, canvas)
            except InputError as error:
                failures[pair.pair_id] = str(error)
            # No more is held than the next chunk needs: inputs of a large split would not fit.
            while len(jobs) >= self.chunk:
                self._write(jobs[: self.chunk], out, seed)
                jobs = jobs[self.chunk :]
        if jobs:
            self._write(jobs, out, seed)
        return failures

    @property
    def parameters(self) -> int:
        """The number of learned parameters, the autoencoder left out; 0 where unavailable."""
        return self._learned.parameters()

    def _jobs(self, pair: Pair, out: Path, samples: int, canvas: Size) -> list[Job]:
        """Return what is still to be made of a pair, a job per sample; they share the inputs."""
        paths = [picture_path(out, "final", pair.pair_id, k) for k in range(samples)]
        wanted = [k for k, path in enumerate(paths) if not path.exists()]
        if not wanted:
            return []
        pixels = load_picture(pair.source, self.resolution, self.kernel)
        maps = self.recipe.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
        return [(pair, k, maps) for k in wanted]

    def _write(self, jobs: Sequence[Job], out: Path, seed: int) -> None:
        for (pair, k, _), output in zip(jobs, self._outputs(jobs, seed), strict=False):
            path = picture_path(out, "final", pair.pair_id, k)
            save_picture(path, self.recipe.picture(output, self.resolution))

    def _outputs(self, jobs: Sequence[Job], seed: int) -> Maps:
        """Return the pictures (chunk, 3, h, w) of at most `chunk` jobs, padded."""
        import torch

        network, config = self._learned.network(), self._learned.config()
        rows = [*jobs, *[jobs[-1]] * (self.chunk - len(jobs))]
        generators = [
            torch.Generator().manual_seed(pair_seed(seed, pair.pair_id, "final", k))
            for pair, k, _ in rows
        ]
        inputs = tuple(
            torch.from_numpy(np.stack(maps)).to(self.device)
            for maps in zip(*(maps for _, _, maps in rows), strict=True)
        )
        steps = self.steps if self.steps is not None else config.get("steps")
        guidance = self.guidance if self.guidance is not None else config.get("guidance")
        with torch.inference_mode():
            made = self.recipe.sample(
                network, self._vae(), inputs, self._draws(generators), steps, guidance
            )
        output: Maps = made.float().cpu().numpy()
        return output

    def _draws(self, generators: Sequence[torch.Generator]) -> Draws:
        import torch

        def draw(shape: tuple[int, ...]) -> Tensor:
            noise = [torch.randn(shape, generator=generator) for generator in generators]
            return torch.stack(noise).to(self.device)

        return draw

    def _vae(self) -> nn.Module | None:
        """Return the autoencoder in eval mode, loaded once; None where the method needs none."""
        if not self.recipe.needs_vae:
            return None
        if self._autoencoder is None:
            from pcdms_baselines.vae_roundtrip import load_autoencoder

            assert self.vae is not None
            self._autoencoder = load_autoencoder(self.vae).to(self.device)
        autoencoder: nn.Module = self._autoencoder
        return autoencoder
