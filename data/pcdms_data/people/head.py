"""The head: where hair grows and how a face is painted, measured from the eyes of the rest body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.identity import Identity
from pcdms_data.people.mesh import Landmarks
from pcdms_data.people.patterns import angle, value_noise

Floats = NDArray[np.float64]
Array = NDArray[np.float32]

# Hairline: height above the eyes at a place behind the eyes, both in head units.
_LINE_AT = np.array([-0.170, -0.135, -0.108, -0.088, -0.070, -0.045, -0.022, 0.0])
_LINE_UP = np.array([-0.078, -0.072, -0.040, -0.020, 0.0, 0.042, 0.062, 0.068])


@dataclass(frozen=True)
class HeadFrame:
    """Eye height and depth, half the distance of the eyes, ear place, crown, head unit.

    Lengths in metres on the rest body; `unit` (1 on a body of 1.6 m)
    multiplies the lengths of this module.
    """

    eye_y: float
    eye_z: float
    eye_x: float
    ear_y: float
    ear_z: float
    top: float
    unit: float


def head_frame(vertices: Floats, landmarks: Landmarks) -> HeadFrame:
    """Return the frame of a rest body (V, 3) from its landmark vertices."""
    eyes = vertices[[landmarks.right_eye, landmarks.left_eye]]
    eye, ear = eyes.mean(0), vertices[[landmarks.right_ear, landmarks.left_ear]].mean(0)
    top = float(vertices[:, 1].max())
    return HeadFrame(
        eye_y=float(eye[1]),
        eye_z=float(eye[2]),
        eye_x=float(abs(eyes[:, 0]).mean()),
        ear_y=float(ear[1]),
        ear_z=float(ear[2]),
        top=top,
        unit=(top - float(eye[1])) / 0.105,
    )


def above_hairline(frame: HeadFrame, rest: Floats | Array) -> Floats | Array:
    """Return how far points (3, N) lie above the hairline, in head units."""
    dtype = rest.dtype
    up = (rest[1] - frame.eye_y) / dtype.type(frame.unit)
    behind = (rest[2] - frame.eye_z) / dtype.type(frame.unit)
    side = np.abs(rest[0]) / dtype.type(frame.unit)
    line = np.interp(behind, _LINE_AT, _LINE_UP).astype(dtype)
    # The line falls towards the temples, as hair does round a forehead.
    over = up - line + np.clip(side - 0.03, 0, 0.05) * (behind > -0.05)
    ear_up, ear_back = up - (frame.ear_y - frame.eye_y), behind - (frame.ear_z - frame.eye_z)
    ear = (ear_up * ear_up / 2.2 + ear_back * ear_back < 0.021**2) & (side > 0.066)
    return np.where(ear, dtype.type(-0.02), over)


def hair_offset(frame: HeadFrame, identity: Identity, vertices: Floats) -> Floats:
    """Return how far the hair lifts each vertex (N, 3) off the skull, in metres."""
    thick = (0.012 if not identity.female else 0.018) + 0.003 * identity.hair_length
    over = np.asarray(above_hairline(frame, vertices.T), dtype=np.float64)
    return np.clip(over / 0.03 + 0.15, 0, 1) * (over > -0.01) * thick * frame.unit


def paint_head(
    frame: HeadFrame, identity: Identity, rest: Array, eyeball: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.bool_]]:
    """Return colours float32 (N, 3) and which points are hair, for points (3, N) of the head."""
    skin = np.array(identity.skin, dtype=np.float32)
    colour = np.empty((rest.shape[1], 3), dtype=np.float32)
    colour[:] = skin
    over = above_hairline(frame, rest)
    hair = (over > 0) & ~eyeball
    up = (rest[1] - np.float32(frame.eye_y)) / np.float32(frame.unit)
    behind = (rest[2] - np.float32(frame.eye_z)) / np.float32(frame.unit)
    side = np.abs(rest[0]) / np.float32(frame.unit)
    face = np.flatnonzero(~hair & (behind > -0.06))
    colour[face] = _paint_face(frame, identity, up[face], side[face], behind[face], skin)
    ball = np.flatnonzero(eyeball)
    if len(ball):
        colour[ball] = _paint_eyes(frame, identity, up[ball], side[ball])
    at = np.flatnonzero(hair)
    if len(at):
        around = angle(rest[0, at], np.float32(frame.ear_z) - rest[2, at])
        colour[at] = hair_colour(identity, around * np.float32(0.09), rest[1, at])
    return colour, hair


def hair_colour(identity: Identity, u: Array, v: Array) -> Array:
    """Return the colour of hair with strands that run along `v` (metres), float32 (N, 3)."""
    strands = value_noise(u * np.float32(170), v * np.float32(14), identity.index)
    tone = np.float32(0.78) + np.float32(0.42) * strands
    return tone[:, None] * np.array(identity.hair, dtype=np.float32)


def _paint_face(
    frame: HeadFrame, identity: Identity, up: Array, side: Array, behind: Array, skin: Array
) -> Array:
    out = np.empty((len(up), 3), dtype=np.float32)
    out[:] = skin
    dark = np.array(identity.hair, dtype=np.float32) * np.float32(0.8)
    eye_x = np.float32(frame.eye_x / frame.unit)
    if identity.beard:
        # Below a line from the ear to the corner of the mouth; the cheeks and neck stay bare.
        line = np.minimum(-0.066, np.float32(-0.066) - 0.75 * (behind + 0.04) + 0.5 * (side - 0.03))
        line = np.where(behind < -0.04, np.float32(-0.066) - 0.75 * (behind + 0.04), line)
        chin = (up < line) & (behind > -0.08) & (up > -0.13)
        lip = (up > -0.057) & (up < -0.049) & (side < 0.026) & (behind > -0.03)
        out[chin | lip] = skin * np.float32(0.45) + dark * np.float32(0.55)
    arch = (side - eye_x) / np.float32(0.022)
    brow = np.abs(up - 0.0235 + 0.005 * arch * arch) < (0.0035 if identity.female else 0.0045)
    brow &= (np.abs(arch) < 1.0) & (behind > -0.05)
    out[brow] = skin * np.float32(0.2) + dark * np.float32(0.8)
    a, b = (side - eye_x) / np.float32(0.019), (up + 0.001) / np.float32(0.0095)
    lid = (a * a + b * b < 1) & (behind > -0.05)
    out[lid] = skin * np.float32(0.55)
    a, b = side / np.float32(0.0245), (up + 0.0625) / np.float32(0.0075)
    mouth = (a * a + b * b < 1) & (behind > -0.03)
    red = np.array([0.72, 0.25, 0.27] if identity.female else [0.62, 0.32, 0.3], dtype=np.float32)
    out[mouth] = skin * np.float32(0.55) + red * np.float32(0.45) * skin[0]
    line = mouth & (np.abs(up + 0.062) < 0.0012)
    out[line] = skin * np.float32(0.4)
    return out


def _paint_eyes(frame: HeadFrame, identity: Identity, up: Array, side: Array) -> Array:
    out = np.empty((len(up), 3), dtype=np.float32)
    out[:] = np.float32(0.93)
    across = side - np.float32(frame.eye_x / frame.unit)
    square = across * across + up * up
    out[square < 0.0066**2] = np.array(identity.eyes, dtype=np.float32)
    out[square < 0.0030**2] = np.float32(0.05)
    return out
