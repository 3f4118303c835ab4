"""What a point of a dressed person is: its garment, its body part and its colour.

Everything follows from the triangle's region and the point's place on the rest body, so a garment's
edge is a clean line at any resolution and the same cloth shows the same texture in every pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.garments import (
    EYES,
    FULL_LEG,
    FULL_SLEEVE,
    LEAST_LEG,
    LEAST_SLEEVE,
    Outfit,
)
from pcdms_data.people.head import hair_colour, paint_head
from pcdms_data.people.identity import Identity
from pcdms_data.people.mesh import BONE
from pcdms_data.people.patterns import angle, fabric_colour, logo_mask

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]

GARMENTS = ("none", "skin", "top", "bottom", "shoe", "hair", "bag")
"""Names of the garment labels 0 to 6; 0 is the background."""
SKIN, TOP, BOTTOM, SHOE, HAIR_SLOT, BAG_SLOT = range(1, 7)

PARTS = (
    "background", "head", "hair", "torso", "right_arm", "left_arm", "right_leg", "left_leg",
    "right_foot", "left_foot", "skirt", "bag", "right_hand", "left_hand",
)  # fmt: skip
"""Names of the part labels 0 to 13."""
_HAIR_PART = 2

_PART_OF_REGION = np.array(
    [3, 3, 3, 3, 1, 1, 3, 4, 4, 12, 6, 6, 8, 3, 5, 5, 13, 7, 7, 9, 1, 10, 2, 11], dtype=np.uint8
)
_HEAD_GROUP, _TORSO_GROUP, _ARM_GROUP, _LEG_GROUP, _SKIRT_GROUP, _HAIR_GROUP, _BAG_GROUP = range(7)
_GROUP_OF_REGION = np.array(
    [1, 1, 1, 1, 1, 0, 1, 2, 2, 2, 3, 3, 3, 1, 2, 2, 2, 3, 3, 3, 0, 4, 5, 6], dtype=np.uint8
)
_IS_HIP = np.zeros(24, dtype=bool)
_IS_HIP[[BONE["pelvis"], BONE["thigh_r"], BONE["thigh_l"]]] = True
_TORSO_RADIUS, _ARM_RADIUS, _LEG_RADIUS = 0.14, 0.045, 0.07


@dataclass(frozen=True, eq=False)
class Painted:
    """Per point: `colour` float32 (N, 3), `garment` and `part` uint8 (N,)."""

    colour: Array
    garment: Labels
    part: Labels


@dataclass(frozen=True, eq=False)
class _Limb:
    """Arm or leg of the left side: two segments; points of the right side are mirrored onto it."""

    start: Array
    middle: Array
    first: Array
    second: Array
    first_length: np.float32
    second_length: np.float32

    def coordinates(self, rest: Array) -> tuple[Array, Array, Array]:
        """Return limb units (1 = middle joint, 2 = end), angle in radians and metres along it."""
        x = np.abs(rest[0])
        y, z = rest[1], rest[2]
        upper = _along(self.first, self.start, x, y, z)
        lower = np.maximum(_along(self.second, self.middle, x, y, z), 0)
        below = upper > self.first_length
        metres = np.where(below, self.first_length + lower, upper)
        units = np.where(below, 1 + lower / self.second_length, upper / self.first_length)
        # Across the limb: outwards in the frontal plane, and forwards.
        d = self.first
        across = (x - self.start[0]) * -d[1] + (y - self.start[1]) * d[0]
        d = self.second
        bent = (x - self.middle[0]) * -d[1] + (y - self.middle[1]) * d[0]
        forward = z - self.start[2] - d[2] * lower
        return units, angle(np.where(below, bent, across), forward), metres


def _along(direction: Array, origin: Array, x: Array, y: Array, z: Array) -> Array:
    return (
        (x - origin[0]) * direction[0] + (y - origin[1]) * direction[1]
        + (z - origin[2]) * direction[2]
    )  # fmt: skip


def _limb(outfit: Outfit, upper: str, lower: str) -> _Limb:
    joints = outfit.body.joints
    a, b = joints[BONE[upper]]
    c = joints[BONE[lower], 1]
    first, second = np.sqrt(((b - a) ** 2).sum()), np.sqrt(((c - b) ** 2).sum())
    return _Limb(
        a.astype(np.float32),
        b.astype(np.float32),
        ((b - a) / first).astype(np.float32),
        ((c - b) / second).astype(np.float32),
        np.float32(first),
        np.float32(second),
    )


def paint(identity: Identity, outfit: Outfit, region: Labels, rest: Array) -> Painted:
    """Return colour, garment and part of points: `region` uint8 (N,), `rest` float32 (3, N)."""
    colour = np.empty((len(region), 3), dtype=np.float32)
    garment = np.empty(len(region), dtype=np.uint8)
    region = _clean_hips(outfit, region, rest)
    part = _PART_OF_REGION[region]
    group = _GROUP_OF_REGION[region]
    for number, painter in enumerate(_PAINTERS):
        at = np.flatnonzero(group == number)
        if len(at):
            colour[at], garment[at] = painter(identity, outfit, region[at], rest[:, at])
    part[(garment == HAIR_SLOT)] = _HAIR_PART
    return Painted(colour, garment, part)


def _clean_hips(outfit: Outfit, region: Labels, rest: Array) -> Labels:
    """Regions with pelvis and thighs parted by slanting planes instead of edges of triangles."""
    at = np.flatnonzero(_IS_HIP[region])
    hip = outfit.body.joints[BONE["thigh_l"], 0]
    x, y = rest[0, at], rest[1, at]
    thigh = y < np.float32(hip[1]) + np.float32(0.8) * (np.abs(x) - np.float32(0.06))
    side = np.where(x < 0, BONE["thigh_r"], BONE["thigh_l"])
    out = region.copy()
    out[at] = np.where(thigh, side, BONE["pelvis"])
    return out


def _skin(identity: Identity, count: int) -> tuple[Array, Labels]:
    colour = np.empty((count, 3), dtype=np.float32)
    colour[:] = identity.skin
    return colour, np.full(count, SKIN, dtype=np.uint8)


def _paint_head(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    colour, hair = paint_head(outfit.head, identity, rest, region == EYES)
    return colour, np.where(hair, HAIR_SLOT, SKIN).astype(np.uint8)


def _paint_torso(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    joints = outfit.body.joints
    x, y, z = rest
    neck, middle = np.float32(joints[BONE["neck_01"], 0, 1]), np.float32(outfit.middle)
    front = z > middle
    colour, garment = _skin(identity, len(region))
    around, down = angle(x, z - middle) * np.float32(_TORSO_RADIUS), neck - y
    # The opening of the neck: a parabola, shallow behind and gradually deeper to the front.
    wide = np.float32(0.082 + 0.3 * identity.neckline)
    ahead = np.clip((z - middle + np.float32(0.03)) / np.float32(0.08), 0, 1)
    depth = np.float32(0.02) + np.float32(identity.neckline + 0.015) * ahead
    opening = depth * (1 - (x / wide) ** 2) - np.float32(0.012)
    cloth = down > opening
    low = y < outfit.waist
    top = np.flatnonzero(cloth & ~low)
    bottom = np.flatnonzero(low)
    garment[top], garment[bottom] = TOP, BOTTOM
    colour[top] = fabric_colour(identity.top, around[top], down[top])
    edge = cloth & (down < opening + 0.012)
    colour[edge] *= np.float32(0.8)
    colour[bottom] = fabric_colour(identity.bottom, around[bottom], down[bottom])
    _paint_marks(identity, outfit, colour, garment, rest, front)
    return colour, garment


def _torso_cloth(identity: Identity, outfit: Outfit, rest: Array) -> Array:
    """Colour of the top where it covers the torso, at points (3, N)."""
    joints = outfit.body.joints
    middle = np.float32(joints[BONE["spine_03"], 0, 2] + 0.01)
    around = angle(rest[0], rest[2] - middle) * np.float32(_TORSO_RADIUS)
    return fabric_colour(identity.top, around, np.float32(joints[BONE["neck_01"], 0, 1]) - rest[1])


def _paint_marks(
    identity: Identity, outfit: Outfit, colour: Array, garment: Labels, rest: Array,
    front: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Add logo, back print, zip, belt and the straps of a backpack to the torso, in place."""
    neck = outfit.body.joints[BONE["neck_01"], 0, 1]
    x, y = rest[0], rest[1]
    top = garment == TOP
    marks = ((identity.front, 0.17, front, 1.0), (identity.back, 0.20, ~front, -1.0))
    for logo, drop, side, mirror in marks:
        if logo.kind != "none":
            size = np.float32(logo.half_size)
            at = logo_mask(
                logo, x * np.float32(mirror) / size, (np.float32(neck - drop) - y) / size
            )
            colour[top & side & at] = logo.colour
    if identity.zip:
        colour[top & front & (np.abs(x) < 0.008)] = identity.zip_colour
    if identity.belt:
        colour[(garment >= TOP) & (np.abs(y - outfit.waist) < 0.018)] = identity.belt_colour
    if identity.bag == "backpack":
        strap = top & (np.abs(np.abs(x) - 0.085) < 0.018) & (y > neck - 0.24)
        colour[strap] = identity.bag_colour
        garment[strap] = BAG_SLOT


def _paint_arms(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    colour, garment = _skin(identity, len(region))
    units, around, metres = _limb(outfit, "upperarm_l", "lowerarm_l").coordinates(rest)
    end = min(max(identity.sleeve, LEAST_SLEEVE), FULL_SLEEVE)
    at = np.flatnonzero(units < end)
    joints = outfit.body.joints
    # Counted from the neck, so that stripes and gradients go on from the chest.
    below = joints[BONE["neck_01"], 0, 1] - joints[BONE["upperarm_l"], 0, 1]
    down = metres[at] + np.float32(below)
    colour[at] = fabric_colour(identity.top, around[at] * np.float32(_ARM_RADIUS), down)
    shoulder = at[units[at] < 0.14]
    if len(shoulder):
        colour[shoulder] = _torso_cloth(identity, outfit, rest[:, shoulder])
    colour[at[units[at] > end - 0.035]] *= np.float32(0.8)
    garment[at] = TOP
    return colour, garment


def _paint_legs(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    colour, garment = _skin(identity, len(region))
    units, around, metres = _limb(outfit, "thigh_l", "calf_l").coordinates(rest)
    end = min(max(identity.leg_length, LEAST_LEG), FULL_LEG)
    cloth = units < end
    if identity.hem > 0:
        # Cloth between the legs of a skirt: a thigh that pushes through it stays covered.
        cloth |= rest[1] > np.float32(outfit.hem + 0.01)
    at = np.flatnonzero(cloth)
    colour[at] = fabric_colour(identity.bottom, around[at] * np.float32(_LEG_RADIUS), metres[at])
    garment[at] = BOTTOM
    if identity.leg_length > 0:
        colour[at[units[at] > end - 0.025]] *= np.float32(0.8)
    ankle = outfit.body.joints[BONE["foot_l"], 0, 1]
    shoe = (rest[1] < np.float32(ankle + 0.012)) & (units > 1.5)
    colour[shoe] = identity.shoes
    garment[shoe] = SHOE
    colour[shoe & (rest[1] < 0.018)] *= np.float32(0.55)
    return colour, garment


def _paint_skirt(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    middle = np.float32(outfit.middle)
    neck = np.float32(outfit.body.joints[BONE["neck_01"], 0, 1])
    around = angle(rest[0], rest[2] - middle) * np.float32(_TORSO_RADIUS)
    colour = np.array(fabric_colour(identity.bottom, around, neck - rest[1]))
    if identity.belt:
        colour[np.abs(rest[1] - outfit.waist) < 0.018] = identity.belt_colour
    return colour, np.full(len(region), BOTTOM, dtype=np.uint8)


def _paint_hair(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    around = angle(rest[0], np.float32(outfit.head.ear_z) - rest[2]) * np.float32(0.09)
    colour = hair_colour(identity, around, rest[1])
    return colour, np.full(len(region), HAIR_SLOT, dtype=np.uint8)


def _paint_bag(
    identity: Identity, outfit: Outfit, region: Labels, rest: Array
) -> tuple[Array, Labels]:
    colour = np.empty((len(region), 3), dtype=np.float32)
    colour[:] = identity.bag_colour
    middle = outfit.body.joints[3].mean(0)[1] if identity.bag == "backpack" else None
    if middle is not None:
        flap = np.abs(rest[1] - np.float32(middle + 0.05)) < 0.008
        pocket = np.abs(rest[1] - np.float32(middle - 0.09)) < 0.006
        colour[flap | pocket] *= np.float32(0.6)
    return colour, np.full(len(region), BAG_SLOT, dtype=np.uint8)


_PAINTERS = (
    _paint_head, _paint_torso, _paint_arms, _paint_legs, _paint_skirt, _paint_hair, _paint_bag,
)  # fmt: skip
