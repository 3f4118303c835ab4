"""The body mesh that ships with the package: shapes, triangles, skin weights and joints.

The file is built by `data/people/build_mesh.py` from CC0 sources (MESH-LICENSE.md beside it).
Axes: x to the person's left, y up, z to the front; metres.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MESH_FILE = Path(__file__).with_name("mesh.npz")
MESH_SHA256 = "7cda1f331668a1c0bf96987fc87490455644c4798d3a00dea642a61e9b6e803b"

_SIDED = ("clavicle", "upperarm", "lowerarm", "hand", "thigh", "calf", "foot")
BONES: tuple[str, ...] = (
    *("pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head"),
    *(f"{bone}_r" for bone in _SIDED),
    *(f"{bone}_l" for bone in _SIDED),
)
"""Names of the 20 bones in the order of every bone axis; parents come before children."""

BONE: dict[str, int] = {name: number for number, name in enumerate(BONES)}
"""Number of a bone by its name."""

PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 4, 3, 6, 7, 8, 0, 10, 11, 3, 13, 14, 15, 0, 17, 18)
"""Number of the bone each bone hangs on, -1 for the pelvis."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Vertex numbers of the points of the face; right and left are the person's own."""

    nose: int
    right_eye: int
    left_eye: int
    right_ear: int
    left_ear: int


@dataclass(frozen=True, eq=False)
class Mesh:
    """The mesh in its rest pose (an A pose, 3,866 vertices, 7,648 triangles).

    `verts` (6, Nv, 3) and `joints` (6, 20, 2, 3: head and tail of every bone) hold six shapes:
    female, male, and the offsets female-thin, female-fat, male-thin, male-fat. `faces` (Nf, 3),
    anticlockwise seen from outside; `body`, `eyes`, `skirt` are its slices, and `body_verts`,
    `eyes_verts`, `skirt_verts` those of the vertices. `weights` (Nv, 20) sum to one;
    `bone_idx`, `bone_w` (4, Nv) are the same as the four heaviest bones, heaviest first.
    All arrays are read-only.
    """

    verts: Floats
    faces: Ints
    body: slice
    eyes: slice
    skirt: slice
    body_verts: slice
    eyes_verts: slice
    skirt_verts: slice
    weights: Floats
    bone_idx: Ints
    bone_w: Floats
    joints: Floats
    landmarks: Landmarks
    bones: tuple[str, ...] = BONES
    parents: tuple[int, ...] = PARENTS


@cache
def load_mesh() -> Mesh:
    """Return the mesh of the package; every call returns the same object.

    Raises:
        InputError: the file is missing or is not the one this version was built with.
    """
    try:
        data = MESH_FILE.read_bytes()
    except OSError as error:
        raise InputError(f"{MESH_FILE}: cannot read the body mesh ({error.strerror})") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != MESH_SHA256:
        raise InputError(f"{MESH_FILE}: sha256 {digest}, expected {MESH_SHA256}")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    faces = arrays["faces"].astype(np.int64)
    body, eyes, skirt = (slice(int(start), int(stop)) for start, stop in arrays["ranges"])
    parts = [slice(int(faces[s].min()), int(faces[s].max()) + 1) for s in (body, eyes, skirt)]
    bone_idx = np.ascontiguousarray(arrays["bone_idx"].T.astype(np.int64))
    bone_w = arrays["bone_w"].T.astype(np.float64)
    bone_w = np.ascontiguousarray(bone_w / bone_w.sum(0))
    weights = np.zeros((bone_idx.shape[1], len(BONES)))
    for number, weight in zip(bone_idx, bone_w, strict=True):
        weights[np.arange(len(weights)), number] += weight
    mesh = Mesh(
        verts=arrays["verts"] / 1000.0,
        faces=faces,
        body=body,
        eyes=eyes,
        skirt=skirt,
        body_verts=parts[0],
        eyes_verts=parts[1],
        skirt_verts=parts[2],
        weights=weights,
        bone_idx=bone_idx,
        bone_w=bone_w,
        joints=arrays["joints"] / 1000.0,
        landmarks=Landmarks(*(int(vertex) for vertex in arrays["landmarks"])),
    )
    for array in (mesh.verts, faces, weights, bone_idx, bone_w, mesh.joints):
        array.flags.writeable = False
    return mesh
