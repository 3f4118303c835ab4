"""The 18 key points of a posed body and which of them a picture shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.body import PosedBody
from pcdms_data.people.mesh import BONE, Floats, load_mesh

_NECK = 1
_LIMB_BONES = {
    2: "upperarm_r",
    3: "lowerarm_r",
    4: "hand_r",
    5: "upperarm_l",
    6: "lowerarm_l",
    7: "hand_l",
    8: "thigh_r",
    9: "calf_r",
    10: "foot_r",
    11: "thigh_l",
    12: "calf_l",
    13: "foot_l",
}
_RADIUS = {3: 0.04, 4: 0.027, 6: 0.04, 7: 0.027, 9: 0.052, 10: 0.034, 12: 0.052, 13: 0.034}
_FACE = (0, 14, 15, 16, 17)
_FACE_RADIUS = {0: 0.0, 14: 0.012, 15: 0.012, 16: 0.0, 17: 0.0}
_FACE_SLACK, _LIMB_SLACK = 0.03, 0.10
_REFERENCE_HEIGHT = 1.75


def keypoints_3d(posed: PosedBody) -> Floats:
    """Return the key points (18, 3) in the camera frame, metres, in OpenPose's COCO-18 order.

    Joints are the heads of the limb bones, the neck lies 1 cm below the head of its bone, and the
    points of the face are vertices of the mesh. Order: datasets.md section 3 (14 and 16 are the
    person's right eye and ear).
    """
    out = np.empty((18, 3))
    for point, bone in _LIMB_BONES.items():
        out[point] = posed.joints[BONE[bone], 0]
    out[_NECK] = posed.joints[BONE["neck_01"], 0] - 0.01 * posed.camera[:, 1]
    mark = load_mesh().landmarks
    face = (mark.nose, mark.right_eye, mark.left_eye, mark.right_ear, mark.left_ear)
    out[list(_FACE)] = posed.vertices[list(face)]
    return out


def keypoint_slack(height: float) -> Floats:
    """Return how deep (metres) below the visible surface each key point may lie, (18,).

    Face: 3 cm and the radius of the part; elbows, wrists, knees, ankles: 10 cm and the radius of
    the limb, scaled to the person's height. Neck, shoulders and hips: infinite, because people
    see them through clothes and hair as detectors do.
    """
    out = np.full(18, np.inf)
    scale = height / _REFERENCE_HEIGHT
    for point, radius in _FACE_RADIUS.items():
        out[point] = _FACE_SLACK + radius * scale
    for point, radius in _RADIUS.items():
        out[point] = _LIMB_SLACK + radius * scale
    return out


def visible_keypoints(
    points: Floats, depth: Floats, zbuffer: NDArray[np.floating], height: float
) -> NDArray[np.bool_]:
    """Return which key points a picture shows, bool (18,).

    Args:
        points: (18, 2) x, y in pixels of the z-buffer; pixel (i, j) covers [j, j+1) x [i, i+1).
        depth: (18,) metres, larger is nearer to the camera.
        zbuffer: (H, W) depth of the nearest surface in the same measure, -inf where empty.
        height: the person's height in metres, for the radii of the limbs.

    A point must lie inside the picture, and not deeper under the surface than `keypoint_slack`.
    Source: people.md section 7.
    """
    column, row = np.floor(points[:, 0]), np.floor(points[:, 1])
    rows, columns = zbuffer.shape
    inside = (column >= 0) & (row >= 0) & (column < columns) & (row < rows)
    surface = np.full(18, -np.inf)
    surface[inside] = zbuffer[row[inside].astype(np.int64), column[inside].astype(np.int64)]
    visible: NDArray[np.bool_] = inside & (surface <= depth + keypoint_slack(height))
    return visible
