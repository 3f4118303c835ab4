"""The picture of a gallery whose pose is nearest to the target's: pose fit without the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pcdms_data.images import load_picture
from pcdms_data.types import Gallery, InputError, Keypoints, Pair, Picture

from pcdms_baselines.pose_distance import NormalPoses, mirrored, normalise_all, squared_distances
from pcdms_baselines.writing import write_pictures


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
        self._names = np.array([picture.name for picture in self._pictures], dtype=str)
        self._groups = np.array([gallery.groups[i] for i in order], dtype=str)
        poses = [gallery.keypoints[i].resized(frame) for i in order]
        self._poses: list[NormalPoses] = [normalise_all(poses)]
        if flip:
            self._poses.append(normalise_all([mirrored(pose) for pose in poses]))

    def nearest(self, pose: Keypoints, target: Picture, group: str, same_group: bool) -> Found:
        """Return the nearest picture, ties to the first name, and to the unmirrored one.

        `pose` is in the index's frame. Never the target itself; with `same_group` a picture of
        `group`, else a picture of any other group. Raises InputError where there is none.
        """
        # The empty group stands for an unknown one, which two pictures do not share.
        own = (self._groups == group) if group else np.zeros(len(self._pictures), dtype=bool)
        allowed = (own if same_group else ~own) & (self._names != target.name)
        candidates = np.flatnonzero(allowed)
        if len(candidates) == 0:
            where = "in" if same_group else "outside"
            raise InputError(
                f"the gallery has no picture {where} the group {group!r} of target {target.name}"
            )
        best: tuple[float, int, bool] | None = None
        for flipped, poses in enumerate(self._poses):
            distances = squared_distances(pose, poses)[candidates]
            first = int(np.argmin(distances))
            found = (float(distances[first]), int(candidates[first]), bool(flipped))
            best = found if best is None else min(best, found)
        assert best is not None
        return Found(self._pictures[best[1]], best[2], best[0])


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
    _index: PoseIndex | None = field(default=None, repr=False)
    _found: dict[tuple[object, ...], Found] = field(default_factory=dict, repr=False)

    def unavailable(self) -> str | None:
        """Return why there is nothing to search in, or None."""
        if self.gallery is not None and self.gallery.pictures:
            return None
        split = "the evaluated split" if self.same_group else "the training split"
        return f"{self.name} needs the pictures and key points of {split}, which are not there"

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
