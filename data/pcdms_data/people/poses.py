"""Poses of the embedded people: joint angles, the turn towards the camera, and their sampler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

Look = Literal["fashion", "street"]

KINDS: tuple[str, ...] = ("stand", "hip", "walk", "up", "crossed", "sit")
"""Kinds of pose: standing, hand(s) on the hip, walking, arm(s) up, arms crossed, sitting."""

KIND_RATES: dict[Look, tuple[float, ...]] = {
    "fashion": (0.35, 0.17, 0.25, 0.08, 0.08, 0.07),
    "street": (0.4, 0.0, 0.6, 0.0, 0.0, 0.0),
}
"""Share of every kind in a look. Source: people.md section 4."""

_YAW_RATES: dict[Look, tuple[float, ...]] = {
    "fashion": (0.38, 0.18, 0.19, 0.05, 0.20),
    "street": (0.42, 0.09, 0.08, 0.09, 0.32),
}
"""Share of views from the front, half front, side, half back and back.

Fitted to the shoulders of the real key points (people.md section 8): of the images with shoulders
and hips the share with (right - left shoulder x) / torso below -0.45, within +-0.3 and above 0.45
is 0.50 / 0.19 / 0.20 in DeepFashion and 0.48 / 0.09 / 0.35 in Market-1501.
"""

_LOOK_BACK = 0.6
"""Share of fashion views from behind with the head turned to the camera: in DeepFashion 59 % of
the back views show the nose."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Turn:
    """Three angles in radians: forward bend, lean to the person's right, turn to the left."""

    bend: float = 0.0
    side: float = 0.0
    twist: float = 0.0


@dataclass(frozen=True)
class Arm:
    """Angles of an arm in radians; zero is hanging straight down, palm to the thigh.

    `abduction` away from the body, `flexion` forwards, `twist` of the upper arm (positive turns a
    bent forearm inwards), `elbow`, `wrist` bend and `roll` of the hand about the forearm.
    """

    abduction: float
    flexion: float
    twist: float
    elbow: float
    wrist: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class Leg:
    """Angles of a leg in radians: outwards, forwards, toes out, knee, toes up."""

    abduction: float
    flexion: float
    twist: float
    knee: float
    ankle: float = 0.0


@dataclass(frozen=True)
class Pose:
    """A pose and how it is seen. `arms` and `legs` are right, left (the person's own).

    `yaw` turns the person about the vertical: 0 faces the camera, positive turns the face to the
    right of the picture. `pitch` is the camera's, positive looks down.
    """

    kind: str
    pelvis: Turn
    spine: Turn
    neck: Turn
    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    yaw: float
    pitch: float


REST_POSE = Pose(
    "stand",
    Turn(),
    Turn(),
    Turn(),
    (Arm(0.1, 0.0, 0.0, 0.1), Arm(0.1, 0.0, 0.0, 0.1)),
    (Leg(0.05, 0.0, 0.0, 0.0), Leg(0.05, 0.0, 0.0, 0.0)),
    0.0,
    0.0,
)
"""Standing upright with hanging arms, facing the camera."""


def view_rng(dataset_seed: int, index: int, view: int) -> np.random.Generator:
    """Return the random numbers of one view of one identity, independent of all others."""
    return np.random.Generator(np.random.PCG64([dataset_seed, 2, index, view]))


def sample_pose(rng: np.random.Generator, look: Look) -> Pose:
    """Draw a pose, yaw and camera pitch.

    Rates and spreads are those of people.md section 4, except the yaw, which follows the real
    images, and the arms, which were turned until hands meet hips, laps and elbows.
    Only `rng.random()` is used, so that the same generator state gives the same pose in every
    NumPy version.
    """
    kind = KINDS[_pick(rng, KIND_RATES[look])]
    pelvis = Turn(0.0, _normal(rng, 0, 0.05), _normal(rng, 0, 0.05))
    spine = Turn(_normal(rng, 0, 0.05), _normal(rng, 0, 0.06), _normal(rng, 0, 0.05))
    neck = Turn(_normal(rng, 0, 0.1), _normal(rng, 0, 0.06), _normal(rng, 0, 0.3))
    legs = (_standing_leg(rng), _standing_leg(rng))
    arms = (_hanging_arm(rng), _hanging_arm(rng))
    if kind == "hip":
        arms = _some(rng, arms, (_hip_arm(rng), _hip_arm(rng)))
    elif kind == "up":
        arms = _some(rng, arms, (_raised_arm(rng), _raised_arm(rng)))
    elif kind == "crossed":
        arms = _crossed_arms(rng)
    elif kind == "walk":
        arms, legs = _stride(rng, arms, legs)
    elif kind == "sit":
        legs = (_sitting_leg(rng), _sitting_leg(rng))
        if float(rng.random()) < 0.6:
            arms = (_lap_arm(rng), _lap_arm(rng))
    if kind in ("walk", "sit"):
        pelvis = Turn(0.0, 0.0, pelvis.twist)
    else:
        legs = _shifted(pelvis.side, legs)
        spine = Turn(spine.bend, spine.side - pelvis.side, spine.twist - pelvis.twist)
    yaw, pitch = _yaw(rng, look), _normal(rng, 0.03, 0.04)
    if look == "fashion" and math.cos(yaw) < -0.6 and float(rng.random()) < _LOOK_BACK:
        turn = _uniform(rng, 0.9, 1.25) * (-1.0 if math.sin(yaw) > 0 else 1.0)
        neck = Turn(neck.bend, neck.side, turn)
        spine = Turn(spine.bend, spine.side, spine.twist + 0.25 * turn)
    return Pose(kind, pelvis, spine, neck, arms, legs, yaw, pitch)


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _normal(rng: np.random.Generator, mean: float, spread: float) -> float:
    # A draw of exactly 0 has no normal quantile.
    return mean + spread * _NORMAL.inv_cdf(max(float(rng.random()), 1e-12))


def _pick(rng: np.random.Generator, rates: tuple[float, ...]) -> int:
    """Draw an index with the given probabilities."""
    draw, total = float(rng.random()), 0.0
    for index, rate in enumerate(rates):
        total += rate
        if draw < total:
            return index
    return max(index for index, rate in enumerate(rates) if rate > 0)


def _some(
    rng: np.random.Generator, idle: tuple[Arm, Arm], busy: tuple[Arm, Arm]
) -> tuple[Arm, Arm]:
    """Right, left or both arms busy, each as often."""
    which = _pick(rng, (1 / 3, 1 / 3, 1 / 3))
    return (idle[0] if which == 1 else busy[0], idle[1] if which == 0 else busy[1])


def _hanging_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        _uniform(rng, 0.05, 0.3),
        _normal(rng, 0, 0.15),
        _normal(rng, 0, 0.3),
        abs(_normal(rng, 0, 0.25)) + 0.1,
    )


def _hip_arm(rng: np.random.Generator) -> Arm:
    # Means put the wrist beside the top of the pelvis of the mean woman and the mean man.
    return Arm(
        _normal(rng, 0.62, 0.05),
        _normal(rng, -0.5, 0.06),
        _normal(rng, 0.75, 0.06),
        _normal(rng, 1.55, 0.08),
        wrist=-0.5,
        roll=0.3,
    )


def _raised_arm(rng: np.random.Generator) -> Arm:
    # An outward twist bends the forearm up and over the head and not down before the face.
    return Arm(
        _uniform(rng, 1.5, 2.7),
        _normal(rng, 0, 0.15),
        _normal(rng, -0.8, 0.4),
        _uniform(rng, 0.2, 1.5),
    )


def _crossed_arms(rng: np.random.Generator) -> tuple[Arm, Arm]:
    """Return forearms across the chest; the outer one lies higher and further in front."""
    inner = Arm(
        _normal(rng, 0.02, 0.03),
        _normal(rng, 0.58, 0.04),
        _normal(rng, 1.5, 0.05),
        _normal(rng, 1.55, 0.05),
    )
    outer = Arm(
        _normal(rng, 0.08, 0.03),
        _normal(rng, 0.75, 0.04),
        _normal(rng, 1.4, 0.05),
        _normal(rng, 1.6, 0.05),
    )
    return (outer, inner) if float(rng.random()) < 0.5 else (inner, outer)


def _lap_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        _uniform(rng, 0.08, 0.22),
        _normal(rng, 0.22, 0.05),
        _normal(rng, 0.3, 0.1),
        _normal(rng, 0.7, 0.06),
    )


def _standing_leg(rng: np.random.Generator) -> Leg:
    flexion, knee = _normal(rng, 0, 0.05), abs(_normal(rng, 0, 0.06))
    return Leg(_uniform(rng, 0.02, 0.12), flexion, _uniform(rng, 0.0, 0.25), knee, flexion - knee)


def _shifted(side: float, legs: tuple[Leg, Leg]) -> tuple[Leg, Leg]:
    """Return legs that stand upright under a pelvis tilted by `side`, one knee loose.

    The tilt lowers one hip by about 0.19 m * |side|. A leg of 0.82 m gets that much shorter when
    its thigh swings forward by a = sqrt(2 * 0.19 * |side| / 0.82) and its knee bends by 2 a.
    """
    right, left = legs
    loose = math.sqrt(2 * 0.19 * abs(side) / 0.82)
    bent = [loose if side > 0 else 0.0, loose if side < 0 else 0.0]
    return (
        Leg(
            right.abduction + side,
            right.flexion + bent[0],
            right.twist,
            right.knee + 2 * bent[0],
            right.ankle - bent[0],
        ),
        Leg(
            left.abduction - side,
            left.flexion + bent[1],
            left.twist,
            left.knee + 2 * bent[1],
            left.ankle - bent[1],
        ),
    )


def _sitting_leg(rng: np.random.Generator) -> Leg:
    return Leg(
        _normal(rng, 0.15, 0.05),
        _normal(rng, 1.35, 0.06),
        _normal(rng, 0.0, 0.05),
        _normal(rng, 1.35, 0.08),
    )


def _stride(
    rng: np.random.Generator, arms: tuple[Arm, Arm], legs: tuple[Leg, Leg]
) -> tuple[tuple[Arm, Arm], tuple[Leg, Leg]]:
    """Return arms and legs at a moment of a step; the arms swing against the legs."""
    phase, amplitude = _uniform(rng, 0.0, 2.0 * math.pi), _uniform(rng, 0.35, 0.6)
    new_arms, new_legs = [], []
    for arm, leg, shift in zip(arms, legs, (0.0, math.pi), strict=True):
        swing = amplitude * math.sin(phase + shift)
        knee = max(0.0, 0.15 + 0.6 * math.cos(phase + shift))
        new_legs.append(
            Leg(leg.abduction * 0.5, swing, leg.twist * 0.5, knee, 0.5 * (swing - knee))
        )
        new_arms.append(Arm(arm.abduction, -0.8 * swing, arm.twist, arm.elbow))
    return (new_arms[0], new_arms[1]), (new_legs[0], new_legs[1])


def _yaw(rng: np.random.Generator, look: Look) -> float:
    """Draw the turn of the body, radians in about -pi to 1.3 pi."""
    view = _pick(rng, _YAW_RATES[look])
    sign = 1.0 if float(rng.random()) < 0.5 else -1.0
    if view == 0:
        return _normal(rng, 0.0, 0.2)
    if view == 1:
        return sign * _uniform(rng, 0.4, 1.0)
    if view == 2:
        return sign * _normal(rng, 1.5, 0.15)
    if view == 3:
        return sign * _uniform(rng, 2.0, 2.6)
    return _normal(rng, math.pi, 0.3)
