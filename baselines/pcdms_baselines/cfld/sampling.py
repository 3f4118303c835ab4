"""What CFLD sees, its loop, and what becomes of its output, with the published settings.

Source: YanzuoLu/CFLD:datasets/deepfashion.py, pose_transfer_test.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pcdms_baselines.cfld.ancestral import (
    PUBLISHED_GUIDANCE,
    PUBLISHED_STEPS,
    TIMES,
    guide,
    sample_latents,
)
from pcdms_baselines.cfld.network import Cfld
from pcdms_baselines.cfld.pose_encoder import FOLD
from pcdms_baselines.cfld.pose_tensor import pose_tensor
from pcdms_baselines.learned import WeightForm, to_planes
from pcdms_baselines.sampled import Draws, SampledRecipe
from pcdms_data.images import resize
from pcdms_data.types import InputError, Keypoints


def inputs(
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    canvas: tuple[int, int],
) -> tuple[NDArray[np.float32], ...]:
    """Return the source (3, h, w) in [-1, 1] and the target's pose tensor (21, h, w).

    The source's own pose is not used.
    """
    picture = resize(source, canvas, "pil-bicubic-u8")
    return to_planes(picture), pose_tensor(target_pose, canvas)


@torch.inference_mode()
def sample(
    network: nn.Module,
    vae: nn.Module | None,
    inputs: tuple[Tensor, ...],
    draws: Draws,
    steps: int | None = None,
    guidance: float | None = None,
) -> Tensor:
    """Return pictures (B, 3, H, W), about [-1, 1], of the inputs of as many pairs.

    One start and a draw per step come from `draws`. With a guidance of 1 the full branch alone is
    computed, which is what the three then add up to. Raises InputError on a number of steps that
    the schedule does not have.
    """
    if not isinstance(network, Cfld) or vae is None:
        raise InputError("CFLD samples with both of its networks and an autoencoder")
    steps = PUBLISHED_STEPS if steps is None else steps
    scale = PUBLISHED_GUIDANCE if guidance is None else guidance
    if not 1 <= steps <= TIMES:
        raise InputError(f"{steps} sampling steps were asked for, expected 1 to {TIMES}")
    source, pose = inputs
    cells = tuple(side // FOLD for side in pose.shape[-2:])
    noise = torch.stack([draws((_channels(network), *cells)) for _ in range(steps + 1)])
    given = network(source, pose)
    branches = given if scale == 1 else network.branches(given)

    def denoise(latents: Tensor, time: Tensor) -> Tensor:
        if scale == 1:
            return network.predict(latents, time, given)
        latents, time = latents.repeat(3, 1, 1, 1), time.repeat(3)
        return guide(network.predict(latents, time, branches), scale)

    return decoded(vae, sample_latents(denoise, noise, network.schedule))


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """Return pictures (B, 3, H, W), about [-1, 1], of scaled latents."""
    pictures: Tensor = vae.decode(latents / vae.config["scaling_factor"]).sample
    return pictures


def picture(output: NDArray[np.float32], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the output brought to `frame` (bicubic, antialiased) as uint8 (H, W, 3), truncated."""
    planes = torch.from_numpy(output)[None]
    if tuple(output.shape[1:]) != tuple(frame):
        planes = F.interpolate(planes, size=frame, mode="bicubic", antialias=True)
    levels = ((planes[0] + 1) / 2).clamp(0, 1) * 255
    return np.ascontiguousarray(levels.to(torch.uint8).permute(1, 2, 0).numpy())


def misfit(network: nn.Module, frame: tuple[int, int]) -> str | None:
    """Return why these weights cannot make pictures, or None: both frames share one network."""
    if isinstance(network, Cfld):
        return None
    return "that is one of two files, give the folder that holds both"


def _channels(network: Cfld) -> int:
    return int(network.model.config["in_channels"])


RECIPE = SampledRecipe(
    form=WeightForm(
        published_file="FOLDER",
        canvases={(256, 176): (256, 256), (512, 352): (256, 256)},
        misfit=misfit,
        published_files=("pytorch_model.bin", "pytorch_model_1.bin"),
    ),
    inputs=inputs,
    sample=sample,
    picture=picture,
    needs_vae=True,
)
"""Source and pose on a square of 256; latents of 64 x 64 cells, a square picture of 512."""
