"""Is the person in the wanted pose? Joints found in the generated picture against the target pose.

`pckh50` counts joints within half a head size; `oks` is COCO's object key-point similarity. The
joints of the generated picture come from a pose estimator, so the scores of the true targets
(method `target-copy`) are what is within reach, not 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.pose_estimation.agreement import joints_found
from pcdms_data.types import Keypoints

ESTIMATOR = "posenet"
"""The estimator behind both metrics; another one would give other numbers."""
SIGMAS = np.array([
    0.026, np.nan, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087,
    0.089, 0.025, 0.025, 0.035, 0.035,
])  # fmt: skip
"""COCO's spread of each joint as annotators place it, over the square root of the person's area.

The neck has none: it is no joint of COCO but the middle of the shoulders, and is left out.
"""
AREA_OF_BOX = 0.53
"""Share of its box that a person covers, where the area is not known (as in xtcocotools)."""


@dataclass(frozen=True)
class PoseAgreement:
    """One picture: joints of the target pose, those found near enough, and the similarity.

    `found` and `visible` are NaN where the target pose has no head size, `similarity` (0 to 1)
    where its visible joints span no area.
    """

    found: float
    visible: float
    similarity: float


def pose_agreement(estimate: Keypoints, target: Keypoints) -> PoseAgreement:
    """Return how well the estimated joints agree with the target pose.

    The estimate is scaled to the frame of the target pose. Source: the key-point evaluation
    of COCO (Lin et al., 2014) for OKS; PCKh with the head size of `pose_estimation.agreement`.
    """
    near = joints_found(estimate, target)
    nan = float("nan")
    similarity = key_point_similarity(estimate, target)
    if near is None:
        return PoseAgreement(nan, nan, similarity)
    return PoseAgreement(float(near.sum()), float(target.visible.sum()), similarity)


def key_point_similarity(estimate: Keypoints, target: Keypoints) -> float:
    """Return the mean of exp(-d^2 / (2 s^2 (2 sigma)^2)) over the target's visible joints.

    s^2, the person's area, is `AREA_OF_BOX` of the box around those joints; a joint that the
    estimate lacks counts 0. NaN where the box has no area.
    """
    counted = target.visible & np.isfinite(SIGMAS)
    if not counted.any():
        return float("nan")
    places = target.xy[counted].astype(np.float64)
    area = AREA_OF_BOX * float(np.prod(np.ptp(places, axis=0)))
    if area <= 0:
        return float("nan")
    found: NDArray[np.float64] = estimate.resized(target.size).xy[counted].astype(np.float64)
    squares = ((found - places) ** 2).sum(1)
    scores = np.exp(-squares / (2 * area * (2 * SIGMAS[counted]) ** 2))
    return float(np.where(estimate.visible[counted], scores, 0).mean())
