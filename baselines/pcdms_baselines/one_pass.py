"""A learned method that makes its picture in one pass of a network, without randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from pcdms_baselines.learned import LearnedWeights, Maps, Pixels, Size, WeightForm
from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import Keypoints, Pair


@dataclass(frozen=True)
class Recipe:
    """What a method feeds its network and makes of the output.

    `inputs(source pixels, source pose, target pose, canvas)` -> float32 (C, H, W) arrays in the
    order of the network's arguments. `picture(output (3, H, W), frame)` -> uint8 (H, W, 3).
    """

    form: WeightForm
    inputs: Callable[[Pixels, Keypoints, Keypoints, Size], tuple[Maps, ...]]
    picture: Callable[[Maps, Size], Pixels]


_RECIPES = {name: f"pcdms_baselines.{name}.sampling" for name in ("dptn", "patn", "nted")}


def recipe_of(name: str) -> Recipe:
    """Return the `RECIPE` of a method that makes its picture in one pass."""
    recipe: Recipe = import_module(_RECIPES[name]).RECIPE
    return recipe


@dataclass
class OnePass:
    """The network of `recipe` at `resolution` = (H, W); `weights` as in `LearnedWeights`.

    One pair at a time, so that no picture depends on its neighbours.
    """

    recipe: Recipe
    resolution: Size
    weights: Path | None
    name: str
    device: str = "cpu"
    kernel: str = "pil-bicubic-u8"
    stages: tuple[str, ...] = ("final",)
    _learned: LearnedWeights = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._learned = LearnedWeights(
            self.name, self.recipe.form, self.weights, self.resolution, self.device
        )

    def unavailable(self) -> str | None:
        """Return why there is no network for this frame, or None."""
        return self._learned.unavailable()

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the picture of every pair; returns {pair_id: reason} of failures.

        All samples are equal and `seed` changes nothing. Raises InputError where the weights cannot
        be loaded.
        """
        import torch

        network, canvas = self._learned.network(), self._learned.canvas()

        def make(pair: Pair) -> Pixels:
            pixels = load_picture(pair.source, self.resolution, self.kernel)
            inputs = self.recipe.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
            with torch.inference_mode():
                given = [torch.from_numpy(maps)[None].to(self.device) for maps in inputs]
                output: Maps = network(*given)[0].float().cpu().numpy()
            return self.recipe.picture(output, self.resolution)

        return write_pictures(pairs, out, samples, make)

    @property
    def parameters(self) -> int:
        """The number of learned parameters; 0 where the method is unavailable."""
        return self._learned.parameters()
