"""The picture of a gallery whose pose is nearest to the target's: pose fit without the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.limb_geometry import has_torso
from pcdms_baselines.pose_distance import NormalPoses, mirrored, normalise_all, squared_distances
from pcdms_baselines.writing import write_pictures
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, InputError, Keypoints, Pair, Picture

NO_TORSO = "hips or shoulders are missing: placed by the visible joints"


@dataclass(frozen=True)
class Found:
    """One picture of the gallery, mirrored or not, and its squared distance."""

    picture: Picture
    flipped: bool
    squared_distance: float


class PoseIndex:
    """A gallery in sorted flat-name order, its poses normalised in one frame (H, W)."""

    def __init__(self, gallery: Gallery, frame: tuple[int, int], flip: bool) -> None:
        """Normalise every pose of `gallery`, and its mirror image if `flip`."""
        # Equal names keep the gallery's order: sorting is stable.
        order = sorted(range(len(gallery.pictures)), key=lambda i: gallery.pictures[i].name)
        self._pictures = [gallery.pictures[i] for i in order]
        self._names = _places([picture.name for picture in self._pictures])
        self._groups = _places([gallery.groups[i] for i in order])
        poses = [gallery.keypoints[i].resized(frame) for i in order]
        self._poses: list[NormalPoses] = [normalise_all(poses)]
        if flip:
            self._poses.append(normalise_all([mirrored(pose) for pose in poses]))

    def nearest(self, pose: Keypoints, target: Picture, group: str, same_group: bool) -> Found:
        """Return the nearest picture, ties to the first name, and to the unmirrored one.

        `pose` is in the index's frame. Never the target itself; with `same_group` a picture of
        `group`, else a picture of any other group. Raises InputError where there is none.
        """
        barred = np.full(len(self._pictures), same_group)
        if group:  # the empty group stands for an unknown one, which two pictures do not share
            barred[self._groups.get(group, [])] = not same_group
        barred[self._names.get(target.name, [])] = True
        if barred.all():
            where = "in" if same_group else "outside"
            raise InputError(
                f"the gallery has no picture {where} the group {group!r} of target {target.name}"
            )
        found = []
        for flipped, poses in enumerate(self._poses):
            distances = squared_distances(pose, poses)
            distances[barred] = np.inf
            first = int(np.argmin(distances))
            found.append((float(distances[first]), first, bool(flipped)))
        squared_distance, place, flipped_best = min(found)
        return Found(self._pictures[place], flipped_best, squared_distance)


def _places(labels: list[str]) -> dict[str, list[int]]:
    """Where each label stands in the list."""
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return places


@dataclass
class NearestPose:
    """The gallery picture whose pose is nearest to the target pose; the source is ignored.

    `gallery` is the training split; with `same_group` it is the evaluated split, of which only the
    other pictures of the target's group are used. `flip` adds every picture mirrored.
    """

    resolution: tuple[int, int]
    gallery: Gallery | None
    same_group: bool = False
    flip: bool = False
    kernel: str = "pil-bicubic-u8"
    name: str = "nearest-pose"
    stages: tuple[str, ...] = ("final",)
    _index: PoseIndex | None = field(default=None, init=False, repr=False)
    _found: dict[tuple[object, ...], Found] = field(default_factory=dict, init=False, repr=False)

    def unavailable(self) -> str | None:
        """Return why there is nothing to search in, or None."""
        if self.gallery is not None and self.gallery.pictures:
            return None
        split = "the evaluated split" if self.same_group else "the training split"
        return f"{self.name} needs the pictures and key points of {split}, which are not there"

    def fallback(self, pair: Pair) -> str:
        """Return how the target pose of `pair` was placed where its torso is not whole."""
        return "" if has_torso(pair.target_pose) else NO_TORSO

    def generate(
        self, pairs: Sequence[Pair], out: Path, seed: int, samples: int = 1
    ) -> dict[str, str]:
        """Write the nearest picture for every pair; returns {pair_id: reason} of failures."""

        def nearest(pair: Pair) -> NDArray[np.uint8]:
            found = self.find(pair)
            pixels = load_picture(found.picture, self.resolution, self.kernel)
            return np.ascontiguousarray(pixels[:, ::-1]) if found.flipped else pixels

        return write_pictures(pairs, out, samples, nearest)

    def find(self, pair: Pair) -> Found:
        """Return the nearest picture of the gallery for the target of `pair`.

        Searched once per target: a test split names each target in several pairs. Raises InputError
        where the gallery is missing or holds no allowed picture.
        """
        reason = self.unavailable()
        if reason is not None or self.gallery is None:
            raise InputError(str(reason))
        pose = pair.target_pose.resized(self.resolution)
        key = (pair.target.name, pair.group, pose.xy.tobytes(), pose.visible.tobytes())
        if key not in self._found:
            if self._index is None:
                self._index = PoseIndex(self.gallery, self.resolution, self.flip)
            self._found[key] = self._index.nearest(pose, pair.target, pair.group, self.same_group)
        return self._found[key]
