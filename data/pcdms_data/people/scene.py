"""Where everything is in a view, before anything has a colour: the person, the camera, the surface.

A picture (`render`) and the correspondence of two pictures (`correspondence`) start from the same
scene, which three integers decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.body import PosedBody, pose_body
from pcdms_data.people.draws import Draws
from pcdms_data.people.garments import Outfit, dress, pose_outfit
from pcdms_data.people.identity import LOOKS, Identity, sample_identity
from pcdms_data.people.keypoints import keypoints_3d
from pcdms_data.people.looks import Camera, frame_camera
from pcdms_data.people.mesh import Floats, Ints
from pcdms_data.people.poses import Pose, sample_pose, view_rng
from pcdms_data.people.raster import SUBPIXEL, Fragments, rasterise
from pcdms_data.types import InputError

SAMPLES = 2
"""Samples per output pixel along each axis."""

DEPTH_STEPS = 65536.0
"""Steps of a projected depth per metre."""
DEPTH_ORIGIN = 8.0
"""Added to a depth in metres, so that it is positive."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """A posed person before a camera.

    `vertices` and `normals` (V, 3) of the dressed person and `joints` (18, 3) in the camera frame,
    metres; `xy` int64 (V, 2) and `depth` int64 (V,) the projected vertices (1/256 of a sample, and
    `DEPTH_STEPS`); `fragments` the visible surface on the canvas of `SAMPLES` samples a pixel.
    `draw` gives the remaining random values of the view.
    """

    identity: Identity
    outfit: Outfit
    pose: Pose
    posed: PosedBody
    vertices: Floats
    normals: Floats
    joints: Floats
    camera: Camera
    xy: Ints
    depth: Ints
    fragments: Fragments
    draw: Draws

    def interpolated(self, corners: Array) -> Array:
        """Return values (N,) at the fragments.

        `corners` (3, F) are the value at a triangle's first corner and the way to the others.
        """
        t = self.fragments.triangle
        out: Array = corners[0][t]
        out += self.fragments.b1 * corners[1][t]
        out += self.fragments.b2 * corners[2][t]
        return out

    def rest(self) -> Array:
        """Return where the fragments lie on the undressed body at rest, (3, N) metres."""
        return np.stack([self.interpolated(self.outfit.places[:, axis]) for axis in range(3)])


def scene_of(dataset_seed: int, index: int, view: int, look: str, size: tuple[int, int]) -> Scene:
    """Return the scene of view `view` of identity `index`, for a picture of `size` = (H, W).

    Raises InputError on an unknown look, a negative number, or a picture that is too small.
    """
    _check(dataset_seed, index, view, look, size)
    identity, outfit = _dressed(dataset_seed, index, look)
    rng = view_rng(dataset_seed, index, view)
    pose = sample_pose(rng, "fashion" if look == "fashion" else "street")
    draw = Draws(rng)
    posed = pose_body(outfit.body, pose)
    vertices, normals = pose_outfit(outfit, posed)
    joints = keypoints_3d(posed)
    heights = vertices[outfit.drawn, 1]
    extent = (float(heights.min()), float(heights.max()))
    camera = frame_camera(draw, look, joints, extent, size)
    xy, depth = _projected(vertices, camera)
    canvas = (size[0] * SAMPLES, size[1] * SAMPLES)
    fragments = rasterise(xy, depth, outfit.faces, canvas, outfit.two_sided_from)
    return Scene(
        identity, outfit, pose, posed, vertices, normals, joints, camera, xy, depth, fragments, draw
    )


def _check(dataset_seed: int, index: int, view: int, look: str, size: tuple[int, int]) -> None:
    if look not in LOOKS:
        raise InputError(f"look {look!r} is unknown, expected one of {', '.join(LOOKS)}")
    for name, value in (("dataset seed", dataset_seed), ("index", index), ("view", view)):
        if value < 0:
            raise InputError(f"{name} {value} is negative, expected 0 or more")
    if min(size) < 16:
        raise InputError(f"picture size {size} is too small, expected at least 16 pixels a side")


@lru_cache(maxsize=4)
def _dressed(dataset_seed: int, index: int, look: str) -> tuple[Identity, Outfit]:
    identity = sample_identity(dataset_seed, index, look)
    return identity, dress(identity)


def _projected(vertices: Floats, camera: Camera) -> tuple[Ints, Ints]:
    fine = SUBPIXEL * SAMPLES
    column = np.rint((camera.centre + vertices[:, 0] * camera.scale) * fine)
    row = np.rint((camera.floor - vertices[:, 1] * camera.scale) * fine)
    depth = np.rint((vertices[:, 2] + DEPTH_ORIGIN) * DEPTH_STEPS)
    return np.stack((column, row), 1).astype(np.int64), depth.astype(np.int64)
