"""A body of given sex, height and build, and the same body in a pose, before the camera.

Frames: x to the person's left, y up, z to the front, metres. In the camera frame x grows to the
right of the picture, y upwards, z towards the camera; the projection is orthographic (x, y). At
yaw 0 the two frames agree but for the camera's pitch. Products are written out as elementwise
arithmetic because matrix libraries round differently from machine to machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pcdms_data.people.mesh import BONE, PARENTS, Floats, Mesh, load_mesh
from pcdms_data.people.poses import Arm, Leg, Pose

_LIMBS = ("upperarm", "lowerarm", "thigh", "calf")
_SIDES = (("r", -1.0), ("l", 1.0))


@dataclass(frozen=True)
class BodyShape:
    """Sex, standing height in metres (about 1.4 to 2.1) and build (1 average, 0.82 to 1.3)."""

    female: bool
    height: float
    build: float


@dataclass(frozen=True, eq=False)
class RestBody:
    """A body in the rest pose: soles at y = 0, pelvis joint at x = z = 0.

    `vertices`, `normals` (Nv, 3) in the order of `load_mesh()`, `joints` (20, 2, 3) head and tail
    of every bone, `aligned` (20, 3, 3) the rotation that takes the rest direction of a limb bone
    to straight down (identity for the other bones), `soles` (n,) vertex numbers of the feet.
    """

    shape: BodyShape
    vertices: Floats
    normals: Floats
    joints: Floats
    aligned: Floats
    soles: tuple[Floats, Floats]

    @property
    def head_top(self) -> float:
        """Height of the crown above the soles in metres: the height of the shape."""
        return self.shape.height


@dataclass(frozen=True, eq=False)
class PosedBody:
    """A body in a pose, in the camera frame; the lower sole stands at the origin's height.

    A point p of the rest body that is fixed to bone b lies at `rotations[b] p + offsets[b]`;
    `joints` (20, 2, 3) are head and tail of the bones there. `blend` (12, Nv) holds the blended
    transform of every vertex: nine numbers of the rotation row by row, then the offset.
    """

    rest: RestBody
    pose: Pose
    camera: Floats
    rotations: Floats
    offsets: Floats
    joints: Floats
    blend: Floats

    @cached_property
    def vertices(self) -> Floats:
        """The posed vertices of the naked body (Nv, 3)."""
        return self.skin(self.rest.vertices)

    @cached_property
    def normals(self) -> Floats:
        """The posed unit normals of the naked body (Nv, 3)."""
        return self.turn(self.rest.normals)

    def skin(self, points: Floats) -> Floats:
        """Return where the rest positions `points` (Nv, 3) of the mesh's vertices go, (Nv, 3)."""
        return _apply(self.blend, points)

    def turn(self, normals: Floats) -> Floats:
        """Return the unit normals of the posed surface for rest normals (Nv, 3)."""
        turned = _apply(self.blend[:9], normals)
        x, y, z = turned.T
        length = np.sqrt(x * x + y * y + z * z)
        return turned / np.maximum(length, 1e-12)[:, None]

    def carry(self, points: Floats, weights: Floats) -> Floats:
        """Return where other rest points (N, 3) go that hang on the bones by `weights` (N, 20)."""
        blend = np.zeros((12, len(points)))
        table = _table(self.rotations, self.offsets)
        for bone in np.flatnonzero(weights.any(0)):
            blend += table[:, bone, None] * weights[None, :, bone]
        return _apply(blend, points)


def rest_body(shape: BodyShape) -> RestBody:
    """Return the body of a shape in the rest pose, scaled to its height."""
    mesh = load_mesh()
    vertices = _shaped(mesh.verts, shape)
    joints = _shaped(mesh.joints, shape)
    low = vertices[mesh.body_verts, 1].min()
    scale = shape.height / (vertices[mesh.body_verts, 1].max() - low)
    origin = np.array((joints[0, 0, 0], low, joints[0, 0, 2]))
    vertices, joints = (vertices - origin) * scale, (joints - origin) * scale
    aligned = np.tile(np.eye(3), (len(PARENTS), 1, 1))
    for side, _ in _SIDES:
        for limb in _LIMBS:
            bone = BONE[f"{limb}_{side}"]
            aligned[bone] = _down(joints[bone, 1] - joints[bone, 0])
    dominant = mesh.bone_idx[0, mesh.body_verts]
    soles = tuple(vertices[mesh.body_verts][dominant == BONE[f"foot_{side}"]] for side, _ in _SIDES)
    return RestBody(
        shape, vertices, _normals(mesh, vertices), joints, aligned, (soles[0], soles[1])
    )


def pose_body(rest: RestBody, pose: Pose) -> PosedBody:
    """Return the body in a pose, turned by the pose's yaw and tilted by the camera's pitch.

    The body stands on the origin's plane (its lowest sole), so that `camera` (3, 3), the rotation
    from the upright world to the camera frame, takes the floor's height y = 0 through the origin.
    """
    rotations = _bone_rotations(rest, pose)
    heads = np.zeros((len(PARENTS), 3))
    heads[0] = rest.joints[0, 0]
    for bone, parent in enumerate(PARENTS[1:], start=1):
        reach = rest.joints[bone, 0] - rest.joints[parent, 0]
        heads[bone] = heads[parent] + _rotate(rotations[parent], reach)
    offsets = heads - _rotate(rotations, rest.joints[:, 0])
    offsets[:, 1] -= _lowest(rest, rotations, offsets)
    camera = _product(_rx(pose.pitch), _ry(pose.yaw))
    rotations, offsets = _product(camera, rotations), _rotate(camera, offsets)
    joints = _rotate(rotations[:, None], rest.joints) + offsets[:, None]
    blend = _blend(load_mesh(), rotations, offsets)
    return PosedBody(rest, pose, camera, rotations, offsets, joints, blend)


def _shaped(table: Floats, shape: BodyShape) -> Floats:
    """Mix the six shapes of vertices or joints; the law of the build is people.md section 3."""
    sex, thin = (0, 2) if shape.female else (1, 4)
    k = 2.2 * (shape.build - 1.0)
    if k > 0:
        return table[sex] + 0.6 * k * table[thin + 1]
    return table[sex] + 0.8 * min(-k, 1.0) * table[thin]


def _normals(mesh: Mesh, vertices: Floats) -> Floats:
    """Unit vertex normals, every triangle weighted by its area."""
    a, b, c = (vertices[mesh.faces[:, corner]].T for corner in range(3))
    e, f = b - a, c - a
    cross = (e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0])
    corners = mesh.faces.T.reshape(-1)
    sums = [np.bincount(corners, np.tile(axis, 3), len(vertices)) for axis in cross]
    length = np.sqrt(sums[0] ** 2 + sums[1] ** 2 + sums[2] ** 2)
    # At two vertices the mesh is folded flat on itself and the sum vanishes: any direction will do.
    sums[2][length < 1e-9], length[length < 1e-9] = 1.0, 1.0
    return np.stack(sums, 1) / length[:, None]


def _bone_rotations(rest: RestBody, pose: Pose) -> Floats:
    """Rotation of every bone from rest to pose in the person's frame, (20, 3, 3)."""
    out = np.tile(np.eye(3), (len(PARENTS), 1, 1))
    sway = pose.pelvis
    out[0] = _product(_product(_ry(sway.twist), _rz(sway.side)), _rx(sway.bend))
    third = _product(
        _product(_rx(pose.spine.bend / 3), _rz(pose.spine.side / 3)), _ry(pose.spine.twist / 3)
    )
    for bone in (1, 2, 3):
        out[bone] = _product(out[bone - 1], third)
    # The chest leans half the bend further, so that a bent back is round and not a hinge.
    chest = out[3] = _product(out[3], _rx(0.5 * pose.spine.bend))
    neck = pose.neck
    for bone, share in ((BONE["neck_01"], 0.5), (BONE["head"], 1.0)):
        turn = _product(_ry(share * neck.twist), _rx(share * neck.bend))
        out[bone] = _product(chest, _product(turn, _rz(share * neck.side)))
    for (name, side), arm, leg in zip(_SIDES, pose.arms, pose.legs, strict=True):
        _arm(rest, out, name, side, chest, arm)
        _leg(rest, out, name, side, out[0], leg)
    return out


def _arm(rest: RestBody, out: Floats, name: str, side: float, chest: Floats, arm: Arm) -> None:
    """Fill in the rotations of clavicle, upper arm, forearm and hand of one side."""
    raised = 0.4 * max(0.0, arm.abduction - 1.0)
    out[BONE[f"clavicle_{name}"]] = _product(chest, _rz(side * raised))
    frame = _product(chest, _rx(-arm.flexion))
    frame = _product(_product(frame, _rz(side * arm.abduction)), _ry(-side * arm.twist))
    upper, lower = BONE[f"upperarm_{name}"], BONE[f"lowerarm_{name}"]
    out[upper] = _product(frame, rest.aligned[upper])
    frame = _product(frame, _rx(-arm.elbow))
    out[lower] = _product(frame, rest.aligned[lower])
    wrist = _product(_ry(-side * arm.roll), _rx(-arm.wrist))
    out[BONE[f"hand_{name}"]] = _product(_product(frame, wrist), rest.aligned[lower])


def _leg(rest: RestBody, out: Floats, name: str, side: float, pelvis: Floats, leg: Leg) -> None:
    """Fill in the rotations of thigh, calf and foot of one side."""
    frame = _product(pelvis, _rx(-leg.flexion))
    frame = _product(_product(frame, _rz(side * leg.abduction)), _ry(side * leg.twist))
    thigh, calf = BONE[f"thigh_{name}"], BONE[f"calf_{name}"]
    out[thigh] = _product(frame, rest.aligned[thigh])
    frame = _product(frame, _rx(leg.knee))
    out[calf] = _product(frame, rest.aligned[calf])
    # The foot leaves the alignment out: at rest the sole is level although the calf is not.
    out[BONE[f"foot_{name}"]] = _product(frame, _rx(-leg.ankle))


def _lowest(rest: RestBody, rotations: Floats, offsets: Floats) -> float:
    """Height of the lowest point of the feet."""
    low = math.inf
    for (side, _), points in zip(_SIDES, rest.soles, strict=True):
        bone = BONE[f"foot_{side}"]
        row = rotations[bone, 1]
        height = row[0] * points[:, 0] + row[1] * points[:, 1] + row[2] * points[:, 2]
        low = min(low, float(height.min() + offsets[bone, 1]))
    return low


def _blend(mesh: Mesh, rotations: Floats, offsets: Floats) -> Floats:
    """Weighted sum of the bone transforms at every vertex, (12, Nv)."""
    table = _table(rotations, offsets)
    out = table[:, mesh.bone_idx[0]] * mesh.bone_w[0]
    for number, weight in zip(mesh.bone_idx[1:], mesh.bone_w[1:], strict=True):
        # Most vertices hang on one bone only: adding to the others alone halves the time.
        shared = np.flatnonzero(weight)
        out[:, shared] += table[:, number[shared]] * weight[shared]
    return out


def _table(rotations: Floats, offsets: Floats) -> Floats:
    """Rotations and offsets as twelve numbers per bone, (12, 20)."""
    return np.concatenate((rotations.reshape(-1, 9).T, offsets.T))


def _apply(blend: Floats, points: Floats) -> Floats:
    """Apply transforms (9 or 12, N) to points (N, 3)."""
    x, y, z = np.ascontiguousarray(points.T)
    out = np.empty((len(points), 3))
    for row in range(3):
        value = blend[3 * row] * x
        value += blend[3 * row + 1] * y
        value += blend[3 * row + 2] * z
        if len(blend) == 12:
            value += blend[9 + row]
        out[:, row] = value
    return out


def _product(a: Floats, b: Floats) -> Floats:
    """The product of 3 x 3 matrices, over any leading axes."""
    terms = [a[..., :, k, None] * b[..., k, None, :] for k in range(3)]
    out: Floats = terms[0] + terms[1] + terms[2]
    return out


def _rotate(a: Floats, v: Floats) -> Floats:
    """3 x 3 matrices applied to vectors, over any leading axes."""
    terms = [a[..., :, k] * v[..., k, None] for k in range(3)]
    out: Floats = terms[0] + terms[1] + terms[2]
    return out


def _rx(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))


def _ry(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))


def _rz(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def _down(direction: Floats) -> Floats:
    """The smallest rotation that takes a direction to (0, -1, 0)."""
    x, y, z = direction / math.sqrt(float((direction * direction).sum()))
    # Rodrigues' formula for the axis direction x (0, -1, 0) = (z, 0, -x) and cosine -y.
    axis = np.array(((0.0, x, 0.0), (-x, 0.0, -z), (0.0, z, 0.0)))
    return np.eye(3) + axis + _product(axis, axis) / (1.0 - y)
