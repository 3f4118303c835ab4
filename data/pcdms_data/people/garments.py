"""Dress a body: rest vertices moved outwards under cloth, the skirt cut to its hem, hair and bags.

Clothes are offsets of the body's own surface; only the
skirt, long hair and bags add triangles. What colour a point has is decided later, from its place on
the rest body, so an edge of a garment never depends on how coarse the triangles are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.body import BodyShape, PosedBody, RestBody, rest_body
from pcdms_data.people.extras import Piece, back_bag, hand_bag, long_hair
from pcdms_data.people.head import HeadFrame, hair_offset, head_frame
from pcdms_data.people.identity import Identity
from pcdms_data.people.mesh import BONE, Floats, Ints, Mesh, load_mesh

EYES, SKIRT, HAIR, BAG = 20, 21, 22, 23
"""Regions beyond the 20 bones; a triangle of the body has its main bone as region."""

LEAST_SLEEVE = 0.2
"""A torso garment reaches at least this far down the upper arm (arm units)."""
LEAST_LEG = 0.22
"""The bottom's cloth reaches at least this far down the thigh (leg units)."""
FULL_SLEEVE, FULL_LEG = 1.93, 1.9
"""Where full sleeves and trousers end (2 = wrist, ankle)."""


@dataclass(frozen=True, eq=False)
class Outfit:
    """A dressed person at rest.

    The first vertices are those of the mesh, then those of long hair and bags. `vertices` and
    `normals` (V, 3) are the surface to pose, `weights` (V - mesh, 20) the bones of the added
    vertices; those of `hanging` follow the left hand without turning. `faces` (F, 3) with `region`
    uint8 (F,); from `two_sided_from` on they are seen from both sides. `places` float32 (3, 3, F):
    where the triangles lie on the undressed body, first corner, then the way to the second and to
    the third, by axis. `drawn` and `sheet` bool (V,): vertices in use, and those of two-sided
    triangles. `waist` and `hem` are rest heights, `middle` the rest depth (z) that parts front from
    back.
    """

    body: RestBody
    vertices: Floats
    normals: Floats
    places: NDArray[np.float32]
    weights: Floats
    hanging: slice
    faces: Ints
    region: NDArray[np.uint8]
    two_sided_from: int
    drawn: NDArray[np.bool_]
    sheet: NDArray[np.bool_]
    head: HeadFrame
    waist: float
    hem: float
    middle: float


def dress(identity: Identity) -> Outfit:
    """Return the dressed body of an identity; the same for every view of the person."""
    mesh = load_mesh()
    body = rest_body(BodyShape(identity.female, identity.height, identity.build))
    frame = head_frame(body.vertices, mesh.landmarks)
    push = _per_vertex(mesh, _cloth_offsets(identity))
    push += hair_offset(frame, identity, body.vertices) * mesh.weights[:, BONE["head"]]
    push[mesh.eyes_verts] = 0.0
    vertices = _draped(mesh, body.vertices, body.normals) + body.normals * push[:, None]
    waist, hem = body.joints[1, 0, 1] + 0.01, body.joints[BONE["thigh_l"], 0, 1] - identity.hem
    bones = _main_bone(mesh)
    shown = ~_hidden_legs(mesh, body, bones, hem) if identity.hem > 0 else np.ones(len(bones), bool)
    faces, regions = [mesh.faces[mesh.body][shown], mesh.faces[mesh.eyes]], [bones[shown]]
    regions.append(np.full(len(faces[1]), EYES))
    if identity.hem > 0:
        vertices[mesh.skirt_verts] = _hemmed(mesh, body, vertices, hem)
        skirt = mesh.faces[mesh.skirt]
        high = body.vertices[skirt, 1].max(1)
        faces.append(skirt[high > hem])
        regions.append(np.full(len(faces[-1]), SKIRT))
    pieces, hanging = _pieces(identity, body, vertices, frame)
    parts = [(vertices, _round_shoes(mesh, body, _normals(vertices, mesh.faces)), body.vertices)]
    count = len(vertices)
    for piece, region in pieces:
        faces.append(piece.faces + count)
        regions.append(np.full(len(piece.faces), region))
        parts.append((piece.vertices, _normals(piece.vertices, piece.faces), piece.vertices))
        count += len(piece.vertices)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    solid, all_faces = len(faces[0]) + len(faces[1]), np.concatenate(faces)
    return Outfit(
        body=body,
        vertices=columns[0],
        normals=columns[1],
        places=_places(columns[2].astype(np.float32), all_faces),
        weights=np.concatenate([np.zeros((0, 20)), *(piece.weights for piece, _ in pieces)]),
        hanging=hanging,
        faces=all_faces,
        region=np.concatenate(regions).astype(np.uint8),
        two_sided_from=solid,
        drawn=_used(all_faces, count),
        sheet=_used(all_faces[solid:], count),
        head=frame,
        waist=float(waist),
        hem=float(hem),
        middle=_middle(mesh, body),
    )


def pose_outfit(outfit: Outfit, posed: PosedBody) -> tuple[Floats, Floats]:
    """Return vertices and unit normals (V, 3) of the dressed person in the camera frame."""
    count = posed.blend.shape[1]
    vertices = posed.skin(outfit.vertices[:count])
    normals = posed.turn(outfit.normals[:count])
    if len(outfit.weights) == 0:
        return vertices, normals
    more = posed.carry(outfit.vertices[count:], outfit.weights)
    origin = np.zeros_like(outfit.vertices[count:])
    tips = posed.carry(outfit.normals[count:], outfit.weights)
    turned = tips - posed.carry(origin, outfit.weights)
    vertices, normals = np.concatenate((vertices, more)), np.concatenate((normals, turned))
    if outfit.hanging.stop > outfit.hanging.start:
        hand = BONE["hand_l"]
        rest_hand = outfit.body.joints[hand, 1]
        pelvis = posed.rotations[0]
        carried = (pelvis * rest_hand).sum(1) + posed.offsets[0]
        vertices[outfit.hanging] += posed.joints[hand, 1] - carried
    return vertices, normals


def _cloth_offsets(identity: Identity) -> Floats:
    """How far cloth stands off the body at each of the 20 bones, metres."""
    loose = identity.looseness
    out = np.zeros(20)
    out[[0, 1, 2, 3]] = 0.008 + 0.45 * loose
    if identity.hem > 0:
        out[0] = 0.004
    upper = 0.006 + 0.4 * loose if identity.sleeve > 0 else 0.004
    lower = 0.006 + 0.4 * loose if identity.sleeve > 1.5 else 0.0
    thigh = 0.008 + 0.6 * loose if identity.leg_length > 0 else 0.0
    calf = 0.006 + 0.6 * loose if identity.leg_length > 1.5 else 0.0
    for side in "rl":
        out[BONE[f"clavicle_{side}"]] = 0.006 + 0.3 * loose
        out[BONE[f"upperarm_{side}"]] = upper
        out[BONE[f"lowerarm_{side}"]] = lower
        out[BONE[f"thigh_{side}"]] = thigh
        out[BONE[f"calf_{side}"]] = calf
        out[BONE[f"foot_{side}"]] = 0.008
    return out


def _draped(mesh: Mesh, vertices: Floats, normals: Floats) -> Floats:
    """The body's vertices smoothed under the clothes of the trunk: cloth spans hollows.

    They move along the normals only, so that no pattern is pulled out of shape.
    """
    share = np.zeros(len(mesh.bones))
    share[[0, 1, 2, 3]] = 0.5
    amount = _per_vertex(mesh, share)
    faces = mesh.faces[mesh.body]
    start = np.concatenate((faces[:, 0], faces[:, 1], faces[:, 2]))
    end = np.concatenate((faces[:, 1], faces[:, 2], faces[:, 0]))
    degree = np.maximum(np.bincount(start, minlength=len(vertices)), 1)
    out = vertices
    for _ in range(3):
        means = [np.bincount(start, out[end, axis], len(out)) / degree for axis in range(3)]
        along = ((np.stack(means, 1) - out) * normals).sum(1)
        along[degree == 1] = 0.0
        out = out + (amount * along)[:, None] * normals
    return out


def _round_shoes(mesh: Mesh, body: RestBody, normals: Floats) -> Floats:
    """The normals with those of the feet turned away from the foot's axis: shoes show no toes."""
    out = normals.copy()
    for side in "rl":
        bone = BONE[f"foot_{side}"]
        heel, toe = body.joints[bone]
        own = np.flatnonzero(mesh.bone_idx[0] == bone)
        across = body.vertices[own] - heel
        along = (across * (toe - heel)).sum(1) / ((toe - heel) ** 2).sum()
        across -= np.clip(along, 0.0, 0.85)[:, None] * (toe - heel)
        out[own] = across / np.maximum(np.sqrt((across**2).sum(1, keepdims=True)), 1e-9)
    return out


def _per_vertex(mesh: Mesh, values: Floats) -> Floats:
    """Values of the 20 bones blended at every vertex by its weights, (Nv,)."""
    out = mesh.bone_w[0] * values[mesh.bone_idx[0]]
    for number, weight in zip(mesh.bone_idx[1:], mesh.bone_w[1:], strict=True):
        out += weight * values[number]
    return out


@cache
def _main_bone(mesh: Mesh) -> Ints:
    """The heaviest bone of every body triangle; there is one mesh, so one answer is kept."""
    corners = mesh.weights[mesh.faces[mesh.body]]
    return (corners[:, 0] + corners[:, 1] + corners[:, 2]).argmax(1)


def _places(rest: NDArray[np.float32], faces: Ints) -> NDArray[np.float32]:
    first, second, third = (rest[faces[:, corner]].T for corner in range(3))
    return np.ascontiguousarray(np.stack((first, second - first, third - first)))


def _used(faces: Ints, count: int) -> NDArray[np.bool_]:
    out = np.zeros(count, dtype=bool)
    out[faces] = True
    return out


def _middle(mesh: Mesh, body: RestBody) -> float:
    """Depth halfway between chest and back."""
    chest = mesh.weights[:, BONE["spine_02"]] + mesh.weights[:, BONE["spine_03"]] > 0.5
    depth = body.vertices[mesh.body_verts][chest[mesh.body_verts], 2]
    return float(depth.min() + depth.max()) / 2


def _hidden_legs(mesh: Mesh, body: RestBody, bones: Ints, hem: float) -> NDArray[np.bool_]:
    """Triangles of the legs well above the hem of a skirt, which would push through it."""
    legs = np.isin(bones, [BONE[f"{bone}_{side}"] for bone in ("thigh", "calf") for side in "rl"])
    low = body.vertices[mesh.faces[mesh.body], 1].min(1)
    return legs & (low > hem + 0.12)


def _hemmed(mesh: Mesh, body: RestBody, vertices: Floats, hem: float) -> Floats:
    """The skirt's vertices, stood off a little and gathered at the height of the hem."""
    own = mesh.skirt_verts
    out = body.vertices[own] + 0.012 * body.normals[own]
    out[:, 1] = np.maximum(out[:, 1], hem)
    return out


def _pieces(
    identity: Identity, body: RestBody, vertices: Floats, frame: HeadFrame
) -> tuple[list[tuple[Piece, int]], slice]:
    """Added meshes with their regions, and which of all vertices hang from the hand."""
    mesh = load_mesh()
    scale = identity.height / 1.7
    out: list[tuple[Piece, int]] = []
    surface = vertices[mesh.body_verts]
    spine = body.joints[BONE["spine_03"]]
    near = (np.abs(surface[:, 1] - spine.mean(0)[1]) < 0.09) & (np.abs(surface[:, 0]) < 0.12)
    back = float(surface[near, 2].min())
    if identity.hair_length > 0:
        crown = np.array((0.0, frame.ear_y, frame.ear_z + 0.012 * scale))
        neck = body.joints[BONE["neck_01"], 0]
        length = 0.16 if identity.hair_length == 1 else 0.30
        out.append((long_hair(crown, neck, back, length * scale, scale), HAIR))
    count = len(vertices) + sum(len(piece.vertices) for piece, _ in out)
    if identity.bag == "backpack":
        out.append((back_bag(spine, back, scale), BAG))
    elif identity.bag == "handbag":
        out.append((hand_bag(body.joints[BONE["hand_l"], 1], scale), BAG))
        return out, slice(count, count + len(out[-1][0].vertices))
    return out, slice(0, 0)


def _normals(vertices: Floats, faces: Ints) -> Floats:
    """Unit vertex normals, every triangle weighted by its area."""
    a, b, c = (vertices[faces[:, corner]].T for corner in range(3))
    e, f = b - a, c - a
    cross = (e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0])
    corners = faces.T.reshape(-1)
    out = np.stack([np.bincount(corners, np.tile(axis, 3), len(vertices)) for axis in cross], 1)
    return out / np.maximum(np.sqrt((out * out).sum(1, keepdims=True)), 1e-12)
