"""Which place of one picture shows the same point of the surface as a place of another.

Exact, because both pictures are renderings of one dressed person: a sample of the visible surface
is a place in a triangle, and the triangle lies somewhere in the other picture too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.raster import SUBPIXEL, pixel_grid
from pcdms_data.people.scene import DEPTH_STEPS, SAMPLES, Scene, scene_of
from pcdms_data.people.surface import paint
from pcdms_data.types import InputError

SLACK = 0.01
"""How deep (metres) below the visible surface a point may lie and count as seen, beside a pixel."""


@dataclass(frozen=True)
class ViewKey:
    """What decides a rendered picture: the arguments of `render.render_view`."""

    dataset_seed: int
    index: int
    view: int
    look: str
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Surface:
    """The visible surface of one picture of `size` = (H, W), `SAMPLES`**2 samples a pixel.

    Of its N samples: `pixel` int64 (N,) = row * W + column of the pixel; `garment` uint8 (N,), a
    label of `surface.GARMENTS`; `rest` float32 (N, 3), the place on the undressed body at rest in
    metres, the person's left at positive x.
    """

    key: ViewKey
    scene: Scene
    pixel: NDArray[np.int64]
    garment: NDArray[np.uint8]
    rest: NDArray[np.float32]

    @property
    def size(self) -> tuple[int, int]:
        """Return (H, W) of the picture."""
        return self.key.size


@dataclass(frozen=True, eq=False)
class Carried:
    """Where the samples of one surface lie in another picture.

    `x`, `y` float64 (N,) in pixels, pixel centres at integers; `seen` bool (N,): that picture shows
    the point, that is, it is inside, faces the camera and nothing lies before it.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    seen: NDArray[np.bool_]


def surface_of(key: ViewKey) -> Surface:
    """Return the visible surface of a rendered picture; its pixels are not needed."""
    scene = scene_of(key.dataset_seed, key.index, key.view, key.look, key.size)
    fragments, rest = scene.fragments, scene.rest()
    row, column = pixel_grid(fragments.size)
    pixel = (row // SAMPLES).astype(np.int64) * key.size[1] + column // SAMPLES
    region = scene.outfit.region[fragments.triangle]
    garment = paint(scene.identity, scene.outfit, region, rest).garment
    return Surface(key, scene, pixel[fragments.pixel], garment, np.ascontiguousarray(rest.T))


def carry(surface: Surface, other: Surface) -> Carried:
    """Return where the points that `surface` shows lie in the picture of `other`.

    Raises InputError unless both show one person.
    """
    people = [(each.key.dataset_seed, each.key.index, each.key.look) for each in (surface, other)]
    if people[0] != people[1]:
        raise InputError(f"identities {people[0]} and {people[1]} have no common surface")
    scene, fragments = other.scene, surface.scene.fragments
    corners = scene.outfit.faces[fragments.triangle]
    second, third = fragments.b1.astype(np.float64), fragments.b2.astype(np.float64)
    shares = (1 - second - third, second, third)

    def at_points(values: NDArray[np.int64]) -> NDArray[np.float64]:
        terms = [share * values[corners[:, k]] for k, share in enumerate(shares)]
        out: NDArray[np.float64] = terms[0] + terms[1] + terms[2]
        return out

    column, row = (at_points(scene.xy[:, axis]) / SUBPIXEL for axis in (0, 1))
    height, width = scene.fragments.size
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    cell = np.where(inside, row, 0).astype(np.int64) * width
    cell += np.where(inside, column, 0).astype(np.int64)
    nearest = scene.fragments.depth_map(-(2**40)).reshape(-1)[cell]
    slack = (SLACK + 1 / scene.camera.scale) * DEPTH_STEPS
    seen = inside & (at_points(scene.depth) >= nearest - slack)
    seen &= _facing(scene)[fragments.triangle]
    return Carried(column / SAMPLES - 0.5, row / SAMPLES - 0.5, seen)


def _facing(scene: Scene) -> NDArray[np.bool_]:
    """Which triangles (F,) the camera can see from their drawn side."""
    x, y = (scene.xy[:, axis][scene.outfit.faces].T for axis in (0, 1))
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    facing: NDArray[np.bool_] = area < 0  # y points down
    facing[scene.outfit.two_sided_from :] = True
    return facing
