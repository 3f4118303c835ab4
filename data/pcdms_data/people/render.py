"""One picture of one person, with its labels and key points, from three integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.people.body import PosedBody
from pcdms_data.people.draws import Draws
from pcdms_data.people.garments import Outfit
from pcdms_data.people.identity import Identity
from pcdms_data.people.keypoints import visible_keypoints
from pcdms_data.people.looks import (
    CAMERAS,
    Camera,
    contact_shadow,
    fashion_background,
    street_background,
    street_finish,
)
from pcdms_data.people.mesh import Floats
from pcdms_data.people.poses import Pose
from pcdms_data.people.raster import Fragments, pixel_grid
from pcdms_data.people.scene import DEPTH_ORIGIN, DEPTH_STEPS, SAMPLES, scene_of
from pcdms_data.people.shading import brightness, occlusion
from pcdms_data.people.surface import paint
from pcdms_data.types import Keypoints

RENDERER_VERSION = 2
"""Part of every cache key; raised whenever a picture changes."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RenderedView:
    """A picture and what is known about it; (H, W) is its size.

    `pixels` uint8 (H, W, 3); `parts` and `garments` uint8 (H, W), labels of `surface.PARTS` and
    `surface.GARMENTS`, 0 the background; `rest` float32 (H, W, 3), the place on the rest body in
    metres (NaN on the background), or None unless asked for. `side` is "front", "three-quarter",
    "side" or "back". `camera` is the street camera's number, -1 in the fashion look.
    """

    pixels: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    garments: NDArray[np.uint8]
    rest: Array | None
    keypoints: Keypoints
    identity: Identity
    pose: Pose
    side: str
    camera: int


def render_view(
    dataset_seed: int,
    index: int,
    view: int,
    look: str,
    size: tuple[int, int],
    with_rest: bool = False,
) -> RenderedView:
    """Return view `view` of identity `index`; equal arguments give equal bytes.

    Args:
        dataset_seed: seed of the whole dataset.
        index: identity, 0 or more.
        view: view of the identity, 0 or more.
        look: "fashion" (dataset `people`) or "street" (`people-street`).
        size: (H, W) of the picture, at least 16 pixels each.
        with_rest: whether to fill in `rest`.

    Raises:
        InputError: an unknown look, a negative number, or a picture that is too small.
    """
    scene = scene_of(dataset_seed, index, view, look, size)
    identity, fragments, camera, draw = scene.identity, scene.fragments, scene.camera, scene.draw
    rest = scene.rest()
    painted = paint(identity, scene.outfit, scene.outfit.region[fragments.triangle], rest)
    light = scene.interpolated(_lit(scene.outfit, scene.normals))
    depth = (fragments.depth_map(-(2**40)) / DEPTH_STEPS).astype(np.float32)
    shade = occlusion(depth, fragments.pixel, 1 / (camera.scale * SAMPLES))
    colour = painted.colour * (light * shade)[:, None]
    camera_number = int(draw.unit() * CAMERAS) if look == "street" else -1
    picture = _background(identity, scene.posed, camera, camera_number, draw, size)
    picture = _composite(fragments, colour, picture)
    keypoints = _keypoints(scene.joints, camera, depth, size, identity.height)
    if look == "street":
        picture = street_finish(dataset_seed, camera_number, draw, picture)
        keypoints = _detected(keypoints, draw)
    pixels = np.floor(np.clip(picture, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return RenderedView(
        pixels,
        _labels(fragments, painted.part),
        _labels(fragments, painted.garment),
        _rest_map(fragments, rest) if with_rest else None,
        keypoints,
        identity,
        scene.pose,
        view_side(scene.pose.yaw),
        camera_number,
    )


def view_side(yaw: float) -> str:
    """Return which side a turn of `yaw` radians shows.

    Within 35 degrees of the camera "front", to 70 "three-quarter", to 125 "side", beyond "back".
    """
    turn = math.degrees(abs(math.remainder(yaw, 2 * math.pi)))
    if turn < 35:
        return "front"
    if turn < 70:
        return "three-quarter"
    return "side" if turn < 125 else "back"


def _lit(outfit: Outfit, normals: Floats) -> Array:
    """Brightness of the triangles' first corner and its change to the others, (3, F)."""
    light = brightness(normals, outfit.sheet)
    first, second, third = (light[outfit.faces[:, corner]] for corner in range(3))
    return np.stack((first, second - first, third - first))


def _background(
    identity: Identity,
    posed: PosedBody,
    camera: Camera,
    number: int,
    draw: Draws,
    size: tuple[int, int],
) -> Array:
    feet = np.stack([posed.joints[bone].mean(0) for bone in (12, 19)])
    ground = camera.floor + 0.02 * camera.scale
    spots = np.stack((camera.centre + feet[:, 0] * camera.scale, np.full(2, ground)), 1)
    if number < 0:
        return fashion_background(identity, size, spots)
    plane = street_background(identity.dataset_seed, number, draw, size)
    return plane * contact_shadow(size, spots)[:, :, None]


def _composite(fragments: Fragments, colour: Array, background: Array) -> Array:
    """The person's samples averaged over each pixel, in front of the background."""
    height, width = background.shape[:2]
    row, column = pixel_grid(fragments.size)
    pixel = ((row // SAMPLES) * width + column // SAMPLES)[fragments.pixel]
    each = np.float32(1 / SAMPLES**2)
    share: Array = np.bincount(pixel, minlength=height * width).astype(np.float32) * each
    out: Array = background.reshape(-1, 3) * (1 - share)[:, None]
    for channel in range(3):
        total = np.bincount(pixel, colour[:, channel], height * width)
        out[:, channel] += total.astype(np.float32) * each
    return out.reshape(height, width, 3)


def _labels(fragments: Fragments, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.zeros(fragments.size[0] * fragments.size[1], dtype=np.uint8)
    out[fragments.pixel] = labels
    return out.reshape(fragments.size)[SAMPLES // 2 :: SAMPLES, SAMPLES // 2 :: SAMPLES].copy()


def _rest_map(fragments: Fragments, rest: Array) -> Array:
    out = np.full((fragments.size[0] * fragments.size[1], 3), np.nan, dtype=np.float32)
    out[fragments.pixel] = rest.T
    middle = SAMPLES // 2
    return out.reshape(*fragments.size, 3)[middle::SAMPLES, middle::SAMPLES].copy()


def _keypoints(
    joints: Floats, camera: Camera, depth: Array, size: tuple[int, int], height: float
) -> Keypoints:
    points = np.stack(
        (camera.centre + joints[:, 0] * camera.scale, camera.floor - joints[:, 1] * camera.scale), 1
    )
    visible = visible_keypoints(points * SAMPLES, joints[:, 2] + DEPTH_ORIGIN, depth, height)
    return Keypoints(points.astype(np.float32), visible, size)


_DROP_RATES = np.zeros(18)
_DROP_RATES[[0, 14, 15, 16, 17]] = 0.3
_DROP_RATES[[4, 7]] = 0.25
_DROP_RATES[[3, 6, 10, 13]] = 0.15


def _detected(keypoints: Keypoints, draw: Draws) -> Keypoints:
    """Key points as a detector on small pictures finds them: some lost, the rest a pixel off."""
    height, width = keypoints.size
    lost = draw.grid(18) < _DROP_RATES
    spread = height / 128
    noise = np.array([[draw.normal(0, spread), draw.normal(0, spread)] for _ in range(18)])
    xy = (keypoints.xy + noise).astype(np.float32)
    inside = (xy >= 0).all(1) & (xy[:, 0] < width) & (xy[:, 1] < height)
    return Keypoints(xy, keypoints.visible & ~lost & inside, keypoints.size)
