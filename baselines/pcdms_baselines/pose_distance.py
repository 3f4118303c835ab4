"""Distance of two poses whatever their place and scale, and mirrored poses.

The distance is this project's; left and right joints are those of OpenPose's COCO-18 order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.limb_geometry import TORSO_JOINTS, has_torso, torso_length
from pcdms_data.types import K, Keypoints

FLIPPED_JOINTS = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
"""Joint k of a mirrored picture is joint FLIPPED_JOINTS[k] of the picture."""
_TRUNCATION = 1.0  # tau, in torso lengths
_ONE_SIDED = _TRUNCATION**2 / 4  # cost of a joint that only one pose shows


@dataclass(frozen=True, eq=False)
class NormalPoses:
    """N poses around their torso centre: `xy` float64 (K, 2, N) torso lengths, `visible` (K, N)."""

    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]


def normalise(pose: Keypoints) -> NDArray[np.float64]:
    """Return the joints (K, 2) relative to the torso's centre, in torso lengths.

    Without a whole torso: relative to the mean of the visible joints, in twice their root mean
    square distance to it; 1 pixel where fewer than two are visible or all coincide.
    """
    xy = pose.xy.astype(np.float64)
    if has_torso(pose):
        centre = xy[list(TORSO_JOINTS)].mean(axis=0)
        scale = torso_length(xy)
    else:
        seen = xy[pose.visible]
        centre = seen.mean(axis=0) if len(seen) else np.zeros(2)
        scale = 1.0
        if len(seen) >= 2:
            scale = 2 * math.sqrt(float(((seen - centre) ** 2).sum(axis=1).mean()))
    normal = (xy - centre) / (scale if scale > 0 else 1.0)
    normal[~pose.visible] = 0.0  # the -1 or NaN of a file must not reach the arithmetic
    return normal


def normalise_all(poses: list[Keypoints]) -> NormalPoses:
    """Return the normalised poses, joint first, so that one joint of all poses is contiguous."""
    xy = np.zeros((K, 2, len(poses)))
    visible = np.zeros((K, len(poses)), dtype=bool)
    for index, pose in enumerate(poses):
        xy[:, :, index] = normalise(pose)
        visible[:, index] = pose.visible
    return NormalPoses(xy, visible)


def mirrored(pose: Keypoints) -> Keypoints:
    """Return the pose of the mirrored picture: left and right joints swapped, x -> W - 1 - x."""
    order = list(FLIPPED_JOINTS)
    visible = pose.visible[order]
    xy = pose.xy[order].copy()
    xy[visible, 0] = pose.size[1] - 1 - xy[visible, 0]
    return Keypoints(xy, visible, pose.size)


def squared_distances(pose: Keypoints, gallery: NormalPoses) -> NDArray[np.float64]:
    """Return D^2 (N,) between `pose` and every pose of `gallery`.

    The mean over joints that either pose shows of min(squared distance, 1), or 1/4 for a joint only
    one of them shows; 1 where neither shows any. One joint after the other, so that a value depends
    on its two poses alone and not on the rest of the gallery.
    """
    query = normalise(pose)
    total = np.zeros(gallery.visible.shape[1])
    joints = np.zeros(gallery.visible.shape[1])
    for k in range(K):
        shown = gallery.visible[k]
        if not pose.visible[k]:
            total += _ONE_SIDED * shown
            joints += shown
            continue
        x, y = gallery.xy[k] - query[k][:, None]
        x *= x
        y *= y
        x += y
        np.minimum(x, _TRUNCATION**2, out=x)
        total += np.where(shown, x, _ONE_SIDED)
        joints += 1
    return np.divide(total, joints, out=np.ones_like(total), where=joints > 0)
