"""What NTED sees and what becomes of its output, with the published settings: no resizing.

Source: RenYurui/Neural-Texture-Extraction-Distribution:inference.py, data/fashion_data.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.learned import WeightForm, to_levels, to_planes
from pcdms_baselines.one_pass import Recipe
from pcdms_baselines.skeleton_maps import skeleton_maps
from pcdms_data.types import Keypoints

if TYPE_CHECKING:
    from torch import nn

SMALLEST = 16
"""Rows of the smallest level of both published networks."""


def inputs(
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    canvas: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Return the source (3, H, W) in [-1, 1] and the target's skeleton (20, H, W).

    The source's own pose is not used.
    """
    return to_planes(source), skeleton_maps(target_pose, canvas)


def picture(output: NDArray[np.float32], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the output clamped to [-1, 1] as uint8 (H, W, 3), truncated."""
    return to_levels(output)


def misfit(network: nn.Module, frame: tuple[int, int]) -> str | None:
    """Return why these weights are not those for the frame, or None: each size has its own."""
    made: int = SMALLEST * 2 ** (len(network.levels) - 1)  # type: ignore[arg-type]
    return None if made == frame[0] else f"the network is that for {made} rows"


RECIPE = Recipe(
    form=WeightForm(
        published_file="epoch_00200_iteration_000495400_checkpoint.pt",
        canvases={(256, 176): (256, 176), (512, 352): (512, 352)},
        misfit=misfit,
    ),
    inputs=inputs,
    picture=picture,
)
