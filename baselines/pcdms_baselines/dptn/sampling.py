"""What DPTN sees and what becomes of its output, with the published settings.

Source: PangzeCheung/Dual-task-Pose-Transformer-Network:data/fashion_dataset.py,
data/market_dataset.py, models/base_model.py. The published script then saves JPEG; here it is PNG.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcdms_baselines.heat_maps import gaussian_maps
from pcdms_baselines.learned import WeightForm, to_levels, to_planes
from pcdms_baselines.one_pass import Recipe
from pcdms_data.images import resize
from pcdms_data.types import Keypoints


def inputs(
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    canvas: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Return the source (3, H, W) in [-1, 1] and both poses as heat maps (18, H, W)."""
    return (
        to_planes(squeezed(source, canvas)),
        gaussian_maps(source_pose, canvas),
        gaussian_maps(target_pose, canvas),
    )


def squeezed(pixels: NDArray[np.uint8], canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture squeezed or stretched onto `canvas` = (H, W) by PIL's bilinear filter."""
    if pixels.shape[:2] == canvas:
        return pixels
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((canvas[1], canvas[0]), Image.Resampling.BILINEAR))


def picture(output: NDArray[np.float32], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the output as uint8 (H, W, 3), truncated, then brought back by OpenCV's bilinear."""
    pixels: NDArray[np.uint8] = resize(to_levels(output), frame, "cv2-linear-u8")
    return pixels


RECIPE = Recipe(
    form=WeightForm(
        published_file="latest_net_G.pth",
        canvases={(256, 176): (256, 256), (128, 64): (128, 64)},
    ),
    inputs=inputs,
    picture=picture,
)
"""DeepFashion is squeezed into a square, Market-1501 is not."""
