"""Ten body parts as polygons: affine maps from target to source, and masks on the target.

Source of parts, extensions and masks: AliaksandrSiarohin/pose-gan, pose_transform.py, with ordinary
least squares in place of its total least squares.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import Keypoints

Points = NDArray[np.float64]
Affine = NDArray[np.float64]

PARTS = (
    "torso", "head", "right_thigh", "left_thigh", "right_shin", "left_shin",
    "right_upper_arm", "left_upper_arm", "right_forearm", "left_forearm",
)  # fmt: skip
TORSO, HEAD = 0, 1
LIMB_JOINTS = {
    2: (8, 9), 3: (11, 12), 4: (9, 10), 5: (12, 13), 6: (2, 3), 7: (5, 6), 8: (3, 4), 9: (6, 7),
}  # fmt: skip
"""Part -> (joint where the limb begins, joint where it ends)."""
MIRRORED_PART = {2: 3, 3: 2, 4: 5, 5: 4, 6: 7, 7: 6, 8: 9, 9: 8}
TORSO_JOINTS = (8, 11, 5, 2)
HEAD_JOINTS = (0, 14, 15, 16, 17)
SHOULDERS = (2, 5)
KNEES = (9, 12)
_OUTER_PARTS = (4, 5, 8, 9)  # shins and forearms carry the foot or the hand beyond the last joint
_START_EXTENSION = 0.1
_INNER_EXTENSION = 0.1
_OUTER_EXTENSION = {"transform": 0.3, "mask": 0.5}
_HALF_WIDTH = 0.2
_HEAD_HALF_SIDE = 0.40
_SINGULAR = 1e-9  # ratio of singular values below which an affine map flattens the plane


def torso_length(xy: Points) -> float:
    """Return the root mean square length of the two torso sides, in pixels; `xy` is (K, 2)."""
    right, left = xy[8] - xy[2], xy[11] - xy[5]
    return math.sqrt((float(right @ right) + float(left @ left)) / 2)


def limb_quadrilateral(
    start: Points, end: Points, torso: float, end_extension: float
) -> Points | None:
    """Return the four corners (4, 2) around the limb from joint `start` to joint `end`.

    The limb grows by a tenth at its start and by `end_extension` of the grown length at its end; it
    is 0.4 `torso` wide. None where both ends fall on one point: the limb has no direction.
    """
    first = start + _START_EXTENSION * (start - end)
    last = end + end_extension * (end - first)
    along = first - last
    length = math.hypot(along[0], along[1])
    if length == 0.0:
        return None
    side = _HALF_WIDTH * torso * np.array([-along[1], along[0]]) / length
    return np.stack([first + side, first - side, last - side, last + side])


def part_quadrilateral(part: int, xy: Points, torso: float, use: str) -> Points | None:
    """Return the corners of limb `part` (2 to 9); `use` is `transform` or `mask`."""
    start, end = LIMB_JOINTS[part]
    extension = _OUTER_EXTENSION[use] if part in _OUTER_PARTS else _INNER_EXTENSION
    return limb_quadrilateral(xy[start], xy[end], torso, extension)


def fit_affine(target: Points, source: Points) -> Affine | None:
    """Return the (2, 3) map that takes `target` points (n, 2) to `source` in least squares.

    None where the points do not fix an invertible map: fewer than three, or all on one line on
    either side.
    """
    if len(target) < 3:
        return None
    # Centred coordinates keep the fit of equal point sets an exact identity up to rounding.
    centre_target, centre_source = target.mean(axis=0), source.mean(axis=0)
    moved = target - centre_target
    solution, _, rank, _ = np.linalg.lstsq(moved, source - centre_source, rcond=_SINGULAR)
    if rank < 2:
        return None
    linear = solution.T
    spread = np.linalg.svd(linear, compute_uv=False)
    if spread[1] <= _SINGULAR * spread[0]:
        return None
    return np.hstack([linear, (centre_source - linear @ centre_target)[:, None]])


def joint_affine(target: Keypoints, source: Keypoints, joints: tuple[int, ...]) -> Affine | None:
    """Return the map fitted on `joints`, all of which are taken as visible in both poses."""
    chosen = list(joints)
    return fit_affine(target.xy[chosen].astype(np.float64), source.xy[chosen].astype(np.float64))


def has_torso(pose: Keypoints) -> bool:
    """Tell whether both hips and both shoulders are visible."""
    return bool(pose.visible[list(TORSO_JOINTS)].all())


def torso_affine(target: Keypoints, source: Keypoints) -> Affine | None:
    """Return the map of the torso; None unless both poses show it whole and in one plane."""
    if not (has_torso(target) and has_torso(source)):
        return None
    return joint_affine(target, source, TORSO_JOINTS)


def common_joints(target: Keypoints, source: Keypoints, joints: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of `joints` that are visible in both poses, in the given order."""
    return tuple(k for k in joints if target.visible[k] and source.visible[k])


def part_transforms(target: Keypoints, source: Keypoints) -> list[Affine | None]:
    """Return ten (2, 3) maps from target pixels (x, y, 1) to source pixels, None where absent.

    Both poses must show the whole torso, else every part is absent. A limb whose source joints are
    missing is taken from the other side of the body.
    """
    if not (has_torso(target) and has_torso(source)):
        return [None] * len(PARTS)
    head = common_joints(target, source, HEAD_JOINTS)
    transforms = [
        joint_affine(target, source, TORSO_JOINTS),
        joint_affine(target, source, head + SHOULDERS) if head else None,
    ]
    transforms.extend(_limb_transform(part, target, source) for part in LIMB_JOINTS)
    return transforms


def _limb_transform(part: int, target: Keypoints, source: Keypoints) -> Affine | None:
    """The map of one limb; source joints of the mirrored limb step in for missing ones."""
    if not _shows(target, part):
        return None
    if _shows(source, part):
        origin = part
    elif _shows(source, MIRRORED_PART[part]):
        origin = MIRRORED_PART[part]
    else:
        return None
    target_xy, source_xy = target.xy.astype(np.float64), source.xy.astype(np.float64)
    to = part_quadrilateral(part, target_xy, torso_length(target_xy), "transform")
    take = part_quadrilateral(origin, source_xy, torso_length(source_xy), "transform")
    if to is None or take is None:
        return None
    return fit_affine(to, take)


def _shows(pose: Keypoints, part: int) -> bool:
    """Tell whether both joints of a limb are visible."""
    return bool(pose.visible[list(LIMB_JOINTS[part])].all())


def part_masks(pose: Keypoints, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the ten masks (10, H, W) of the parts of `pose` on a canvas `size` = (H, W).

    The torso covers the whole canvas, the head is a square around the visible head joints, a limb
    is its quadrilateral; parts with missing joints are empty. Limbs and head take their width from
    the torso and are empty without it.
    """
    masks = np.zeros((len(PARTS), *size), dtype=bool)
    masks[TORSO] = True
    if not has_torso(pose):
        return masks
    xy = pose.xy.astype(np.float64)
    torso = torso_length(xy)
    masks[HEAD][_head_square(xy, pose.visible, torso, size)] = True
    for part in LIMB_JOINTS:
        corners = part_quadrilateral(part, xy, torso, "mask") if _shows(pose, part) else None
        if corners is not None:
            fill_polygon(masks[part], corners)
    return masks


def _head_square(
    xy: Points, visible: NDArray[np.bool_], torso: float, size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of the head's square, cut to the canvas; empty without head joints."""
    joints = [k for k in HEAD_JOINTS if visible[k]]
    if not joints:
        return slice(0, 0), slice(0, 0)
    x, y = (int(value) for value in xy[joints].mean(axis=0))
    half = int(_HEAD_HALF_SIDE * torso)
    rows = slice(max(y - half, 0), max(min(y + half, size[0]), 0))
    return rows, slice(max(x - half, 0), max(min(x + half, size[1]), 0))


def fill_polygon(mask: NDArray[np.bool_], corners: Points) -> None:
    """Set the pixels of `mask` (H, W) whose centres lie inside the polygon.

    `corners` (n, 2) are (x, y); even-odd rule with pixel centres at integer coordinates.
    """
    height, width = mask.shape
    low, high = corners.min(axis=0), corners.max(axis=0)
    x0, y0 = max(math.floor(low[0]), 0), max(math.floor(low[1]), 0)
    x1, y1 = min(math.ceil(high[0]) + 1, width), min(math.ceil(high[1]) + 1, height)
    if x0 >= x1 or y0 >= y1:
        return
    x = np.arange(x0, x1, dtype=np.float64)[None, :]
    y = np.arange(y0, y1, dtype=np.float64)[:, None]
    inside = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = (ay > y) != (by > y)
        inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    mask[y0:y1, x0:x1] |= inside
