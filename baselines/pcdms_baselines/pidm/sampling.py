"""What PIDM sees and what becomes of its output, with the published settings.

Source: ankanbhunia/PIDM:predict.py, README.md. The picture is squashed from the run's frame, the
published scripts squash the original file. The published code has one scale of guidance, on the
source; the two of the paper (arXiv 2211.12500, equation 8) are not in it.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.learned import WeightForm, to_levels
from pcdms_baselines.pidm.canvas import (
    KERNEL,
    drawn_pose,
    patch_of,
    pose_cells,
    squashed,
    to_cells,
    to_pixels,
)
from pcdms_baselines.sampled import Draws, SampledRecipe
from pcdms_data.images import resize
from pcdms_data.types import InputError, Keypoints

if TYPE_CHECKING:
    from torch import Tensor, nn

STEPS, GUIDANCE = 50, 2.0
"""Of the README's example; the steps behind the paper's numbers are not stated."""


def inputs(
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    canvas: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Return the source (3, H, W) in [-1, 1] and the target's skeleton (20, H, W).

    The source's own pose is not used.
    """
    return squashed(source, canvas), drawn_pose(target_pose, canvas)


def sample(
    network: nn.Module,
    vae: nn.Module | None,
    inputs: tuple[Tensor, ...],
    draws: Draws,
    steps: int | None,
    guidance: float | None,
) -> Tensor:
    """Return pictures (B, 3, H, W), clamped to [-1, 1], by the network's own loop.

    The loop `ddpm` walks through all times whatever `steps` says.
    """
    from pcdms_baselines.pidm.diffusion import Diffusion
    from pcdms_baselines.pidm.loops import guided, run_ddim, run_ddpm
    from pcdms_baselines.pidm.network import PidmDenoiser

    assert isinstance(network, PidmDenoiser)
    steps = STEPS if steps is None else steps
    diffusion = Diffusion(network.process)
    if not 1 <= steps <= len(diffusion.betas):
        raise InputError(f"{steps} steps: expected 1 to {len(diffusion.betas)}")
    patch = patch_of(network.shape.picture)
    source, pose = to_cells(inputs[0], patch), pose_cells(inputs[1], patch)
    predict = guided(network, pose, source, GUIDANCE if guidance is None else guidance)
    noise = (draws(shape) for shape in repeat(tuple(source.shape[1:])))
    if network.process.loop == "ddpm":
        made = run_ddpm(predict, diffusion, noise)
    else:
        made = run_ddim(predict, diffusion, next(noise), steps)
    return to_pixels(made, patch).clamp(-1, 1)


def picture(output: NDArray[np.float32], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the output as uint8 (H, W, 3), truncated, then brought back to the frame."""
    pixels: NDArray[np.uint8] = resize(to_levels(output), frame, KERNEL)
    return pixels


RECIPE = SampledRecipe(
    form=WeightForm(published_file="last.pt", canvases={(256, 176): (256, 256)}),
    inputs=inputs,
    sample=sample,
    picture=picture,
)
