"""The source's surface moved onto the target exactly, as only the renderer of the people can.

The best that carrying pixels can do, without a network: what it lacks is what the source hides, and
light, which stays the source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pcdms_baselines.limb_warp import background_colour, bilinear
from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture, resize, to_uint8
from pcdms_data.people.cache import view_of
from pcdms_data.people.correspondence import Surface, ViewKey, carry, surface_of
from pcdms_data.people.scene import SAMPLES
from pcdms_data.types import Gallery, InputError, Pair, Picture

Pixels = NDArray[np.uint8]
Colours = NDArray[np.float64]
NO_SURFACE = (
    "it carries pixels along the renderer's own surface, which only the embedded people have "
    "(--dataset people or people-street)"
)
LEAST_INSIDE = 0.5
"""How much of a bilinear sample must come from pixels without background to count as seen."""
TWIN_REACH = 0.02
"""How far (metres at rest, beside two pixels) the seen mirror image of a point may lie from it."""


def warp_surface(source: Pixels, target: Surface, seen: Surface) -> Pixels:
    """Return the picture of `target` with the colours of `source` (H, W, 3), which shows `seen`.

    Each sample of the target's surface takes the bilinear colour of its place in the source, from
    pixels that the person fills alone. What the source does not show takes the colour of its mirror
    image on the body's other side, where that is shown and of the same garment, else the mean
    colour of its garment, else of the person. Around the person lies the median of the source's
    outer ring of 4 pixels.
    """
    carried = carry(target, seen)
    filled = _share(seen) == 1
    inside = np.dstack((source * filled[..., None], 255 * filled)).astype(np.uint8)
    mixed = bilinear(inside, carried.x, carried.y)
    weight = mixed[:, 3:] / 255
    colours = mixed[:, :3] / np.maximum(weight, LEAST_INSIDE)
    hidden = np.flatnonzero(~carried.seen | (weight[:, 0] < LEAST_INSIDE))
    colours[hidden] = _unseen(source, filled, target, seen, hidden)
    (height, width), each = target.size, 1 / SAMPLES**2
    canvas = background_colour(source) * (1 - _share(target).reshape(-1, 1))
    for channel in range(3):
        canvas[:, channel] += np.bincount(target.pixel, colours[:, channel], height * width) * each
    return np.floor(canvas + 0.5).astype(np.uint8).reshape(height, width, 3)


def _share(surface: Surface) -> Colours:
    """How much of each pixel (H, W) the person covers, 0 to 1."""
    height, width = surface.size
    count = np.bincount(surface.pixel, minlength=height * width)
    return (count / SAMPLES**2).reshape(height, width)


def _unseen(
    source: Pixels,
    filled: NDArray[np.bool_],
    target: Surface,
    seen: Surface,
    hidden: NDArray[np.intp],
) -> Colours:
    """Colours (n, 3) of the target's samples `hidden`, which the source does not show."""
    # In both pictures one sample of each pixel is enough to look for by its place.
    known = np.unique(seen.pixel, return_index=True)[1]
    known = known[filled.reshape(-1)[seen.pixel[known]]]
    out = np.empty((len(hidden), 3))
    if not len(known):
        out[:] = background_colour(source)
        return out
    shown = source.reshape(-1, 3)[seen.pixel[known]].astype(np.float64)
    of_shown, wanted = seen.garment[known], target.garment[hidden]
    out[:] = shown.mean(axis=0)
    for label in np.intersect1d(of_shown, wanted):
        out[wanted == label] = shown[of_shown == label].mean(axis=0)
    reach = TWIN_REACH + 2 / seen.scene.camera.scale
    _, first, pixel = np.unique(target.pixel[hidden], return_index=True, return_inverse=True)
    mirrored = target.rest[hidden[first]] * np.array([-1, 1, 1], dtype=np.float32)
    tree = cKDTree(seen.rest[known], balanced_tree=False, compact_nodes=False)
    distance, near = tree.query(mirrored, distance_upper_bound=reach)
    found = np.flatnonzero(np.isfinite(distance)[pixel])
    twin = near[pixel[found]]
    same = of_shown[twin] == wanted[found]
    out[found[same]] = shown[twin[same]]
    return out


@dataclass(frozen=True)
class DenseWarp:
    """The source's pixels on the target's surface, for the embedded people alone."""

    resolution: tuple[int, int]
    gallery: Gallery | None = None
    """The evaluated split: its pictures tell whether there is a surface to go by."""
    kernel: str = "pil-bicubic-u8"
    name: str = "dense-warp"
    stages: tuple[str, ...] = ("final",)

    def unavailable(self) -> str | None:
        """Return why the dataset cannot be warped, or None for the embedded people."""
        pictures = self.gallery.pictures if self.gallery else ()
        return None if pictures and view_of(pictures[0]) else NO_SURFACE

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the warped source of every pair; returns {pair_id: reason} of failures."""

        def warped(pair: Pair) -> Pixels:
            target, seen = (surface_of(_view(each)) for each in (pair.target, pair.source))
            made = warp_surface(load_picture(pair.source), target, seen)
            return to_uint8(resize(made, self.resolution, self.kernel))

        return write_pictures(pairs, out, samples, warped)


def _view(picture: Picture) -> ViewKey:
    view = view_of(picture)
    if view is None:
        raise InputError(f"picture {picture.name}: {NO_SURFACE}")
    return view
