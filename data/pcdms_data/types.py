"""The values that walk through the suite: pictures by handle, key points, pairs and batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LARGEST_PLACE = 1e6
"""A coordinate in pixels beyond which no joint can lie: more is a mistake of the file."""

K = 18
"""Number of key points, in the COCO-18 order of OpenPose; right and left are the person's own."""

KEYPOINT_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip


class InputError(ValueError):
    """Unusable input. The message is one line: the value, what was expected, the file."""


class AbsentSplitError(InputError):
    """A split that a dataset on disk does not have: no list of it, or no folder of its pictures."""


class PictureError(InputError):
    """A picture that is missing or cannot be decoded; the message names its file."""


class MissingPictureError(PictureError):
    """A picture that is not where it should be; the message names the place."""


@dataclass(frozen=True)
class Picture:
    """Handle of one picture or label map; holds no pixels.

    `name` is the flat file name with extension. What `path` is decides how it is read: an image
    file, or a NumPy file of one map; with `row` >= 0 a NumPy file of uint8 (N, H, W, 3) pictures or
    (N, H, W) labels, or an Arrow file with encoded pictures in its column `image`; with a `key` an
    lmdb folder or a zip archive (`.zip`).
    `crop` = (left, top, right, bottom) in pixels of the stored picture is what is used of it.
    """

    name: str
    path: Path
    row: int = -1
    key: str = ""
    crop: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class Keypoints:
    """18 joints: `xy` float32 (K, 2), pixels of the frame `size` = (H, W); `visible` bool (K,)."""

    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Refuse arrays of another shape: a swapped axis would draw nonsense silently."""
        if self.xy.shape != (K, 2) or self.visible.shape != (K,):
            raise InputError(
                f"key points have shapes {self.xy.shape} and {self.visible.shape}, "
                f"expected ({K}, 2) and ({K},)"
            )

    def resized(self, size: tuple[int, int]) -> Keypoints:
        """Return the same joints in a picture stretched to `size` = (H, W)."""
        if size == self.size:
            return self
        scale = np.array([size[1] / self.size[1], size[0] / self.size[0]], dtype=np.float32)
        return Keypoints(self.xy * scale, self.visible, size)


@dataclass(frozen=True, eq=False)
class Pair:
    """One task: make the person of `source` in the pose of `target`. Holds no pixels.

    `group` is the person (and garment) both pictures show; `slices` maps slice names to labels, for
    example `{"view_change": "over135"}`.
    """

    pair_id: str
    source: Picture
    target: Picture
    source_pose: Keypoints
    target_pose: Keypoints
    target_mask: Picture | None = None
    group: str = ""
    slices: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class Gallery:
    """All pictures of a split, each once: handles, key points and groups, of equal length."""

    pictures: tuple[Picture, ...]
    keypoints: tuple[Keypoints, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """Decoded pairs: pictures uint8 (B, 3, H, W), key points (B, K, 2) in pixels of that frame."""

    pair_ids: tuple[str, ...]
    source: NDArray[np.uint8]
    target: NDArray[np.uint8]
    source_xy: NDArray[np.float32]
    target_xy: NDArray[np.float32]
    source_visible: NDArray[np.bool_]
    target_visible: NDArray[np.bool_]


def flat_stem(name: str) -> str:
    """Return `name` without exactly one last extension (`x.jpg.jpg` -> `x.jpg`)."""
    return name.rpartition(".")[0] or name


def make_pair_id(source: str, target: str) -> str:
    """Return `<source stem>_to_<target stem>`.

    Raises InputError on characters outside [A-Za-z0-9_.-].
    """
    pair_id = f"{flat_stem(source)}_to_{flat_stem(target)}"
    if not pair_id.replace("_", "").replace(".", "").replace("-", "").isalnum() or (
        not pair_id.isascii() or pair_id.startswith(".")
    ):
        raise InputError(f"pair id {pair_id!r} holds characters outside A-Z a-z 0-9 _ . -")
    return pair_id
