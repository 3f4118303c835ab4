"""What PATN sees, with the published settings: no resizing, and poses as it was trained on them.

Source: tengteng95/Pose-Transfer:test.py, data/keypoint.py, tool/generate_pose_map_*.py. The maps of
DeepFashion were stored as whole numbers, which leaves one pixel per joint; the authors kept that on
purpose (issue 10 there). Those of Market-1501 are Gaussians.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.heat_maps import gaussian_maps, one_hot_maps
from pcdms_baselines.learned import WeightForm, to_levels, to_planes
from pcdms_baselines.one_pass import Recipe
from pcdms_data.types import Keypoints

if TYPE_CHECKING:
    from torch import nn

FASHION, MARKET = (256, 176), (128, 64)


def inputs(
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    canvas: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Return the source (3, H, W) in [-1, 1] and both poses (18, H, W); the canvas is the frame."""
    maps = gaussian_maps if canvas == MARKET else one_hot_maps
    return to_planes(source), maps(source_pose, canvas), maps(target_pose, canvas)


def picture(output: NDArray[np.float32], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the output as uint8 (H, W, 3), truncated."""
    return to_levels(output)


def misfit(network: nn.Module, frame: tuple[int, int]) -> str | None:
    """Return why these weights are not those for the frame, or None: the norms tell them apart."""
    if network.norm == "batch" and frame != MARKET:
        return "batch norm, the network for Market-1501"
    if network.norm == "instance" and frame == MARKET:
        return "instance norm, the network for DeepFashion"
    return None


RECIPE = Recipe(
    form=WeightForm(
        published_file="latest_net_netG.pth",
        canvases={FASHION: FASHION, MARKET: MARKET},
        misfit=misfit,
    ),
    inputs=inputs,
    picture=picture,
)
