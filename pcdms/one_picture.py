"""One person put into one pose, in memory: a picture and two poses in, a picture out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms.model_directory import Given
from pcdms.pipeline import PCDMsPipeline
from pcdms.stages import parse_stages
from pcdms_data.types import Batch, InputError, Keypoints


def generate_picture(
    weights: Path,
    source: NDArray[np.uint8],
    source_pose: Keypoints,
    target_pose: Keypoints,
    seed: int = 0,
    stages: str = "prior+inpaint+refine",
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "cpu",
    given: Given | None = None,
) -> NDArray[np.uint8]:
    """Return the person of `source` uint8 (H, W, 3) in the target pose, in the model's frame.

    The target picture is unknown, so the pseudo-stage `truth` is refused.
    """
    if "truth" in parse_stages(stages) or stages == "prior":
        raise InputError(
            f"stages {stages!r}: expected a list that ends in a picture, without truth"
        )
    pipeline = PCDMsPipeline.from_pretrained(weights, device, stages=stages, given=given)
    frame = (int(source.shape[0]), int(source.shape[1]))
    pixels = np.ascontiguousarray(source.transpose(2, 0, 1))[None]
    poses = (source_pose.resized(frame), target_pose.resized(frame))
    batch = Batch(
        ("source_to_pose",),
        pixels,
        np.zeros_like(pixels),
        poses[0].xy[None],
        poses[1].xy[None],
        poses[0].visible[None],
        poses[1].visible[None],
    )
    out = pipeline(batch, stages=stages, seed=seed, steps=steps, guidance=guidance)
    picture = out.inpaint if out.refine is None else out.refine
    assert picture is not None
    return np.ascontiguousarray(picture[0, 0].transpose(1, 2, 0))
