"""Face identity: the embedding of the generated face against that of the target's.

Both faces are cut out by the target pose, in the layout that face networks are trained with (112 x
112, eyes and nose in fixed places), so a face in the wrong place scores low. The network is the
user's; without one the metric is unavailable.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import Keypoints

SIDE = 112
NOSE, RIGHT_EYE, LEFT_EYE = 0, 14, 15
TEMPLATE = np.array([[56.0252, 71.7366], [38.2946, 51.6963], [73.5318, 51.5014]])
"""Places (x, y) of nose, right eye and left eye in the 112 x 112 layout of ArcFace."""
LEAST_EYES = 5.0
"""Pixels between the eyes below which a face holds too little to be recognised."""


def face_transform(pose: Keypoints) -> NDArray[np.float64] | None:
    """Return the (2, 3) matrix from picture to face layout; None where no face can be seen.

    Nose and both eyes must be visible, with `LEAST_EYES` between the eyes. It is the rotation,
    scale and shift (no mirror) nearest to the three places in squared distance (Umeyama 1991).
    """
    joints = [NOSE, RIGHT_EYE, LEFT_EYE]
    if not pose.visible[joints].all():
        return None
    places = pose.xy[joints].astype(np.float64)
    if float(np.linalg.norm(places[1] - places[2])) < LEAST_EYES:
        return None
    centre, goal = places.mean(0), TEMPLATE.mean(0)
    # As complex numbers, rotation with scale is one factor, found by least squares.
    own = (places - centre) @ np.array([1, 1j])
    wanted = (TEMPLATE - goal) @ np.array([1, 1j])
    factor = complex((np.conj(own) @ wanted) / (np.conj(own) @ own))
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, goal - turn @ centre])


def face_input(pixels: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the face (3, 112, 112), RGB in [-1, 1], of a picture uint8 (H, W, 3)."""
    face = cv2.warpAffine(
        pixels, transform, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    planes: NDArray[np.float32] = face.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(planes)


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each row of two (N, D), -1 to 1; 0 where a row is zero."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: NDArray[np.float64] = (a * b).sum(1) / np.where(lengths == 0, 1, lengths)
    return found
