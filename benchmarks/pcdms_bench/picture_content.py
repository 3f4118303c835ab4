"""Pictures and masks with the digest of their content, decoded only when somebody looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.keypoint_mask import keypoint_mask
from pcdms_bench.protocol_type import Protocol as Recipe
from pcdms_bench.result_store import KEY_BYTES, content_key
from pcdms_data.images import load_labels, load_picture
from pcdms_data.picture_store import array_row, encoded_bytes, is_array_row
from pcdms_data.types import Keypoints, Picture, PictureError


class Source(Protocol):
    """A picture: what stands for its content, and its pixels. Both raise PictureError."""

    def digest(self) -> bytes:
        """Return bytes that change with the content."""
        ...

    def pixels(self) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class PictureSource:
    """A picture by its handle."""

    picture: Picture

    def digest(self) -> bytes:
        """Return the digest of the stored bytes and of the part that is used of them."""
        return _picture_digest(self.picture, *_stamp(self.picture), 4)

    def pixels(self) -> NDArray[np.uint8]:
        """Decode the picture."""
        return load_picture(self.picture)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A picture in memory."""

    array: NDArray[np.uint8]

    def digest(self) -> bytes:
        """Return the digest of the pixels."""
        return array_digest(self.array)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the array itself."""
        return self.array


@dataclass(frozen=True, eq=False)
class PersonMask:
    """The target person: a label map (handle or array, above 0 inside), key points, or both."""

    exact: Picture | NDArray[Any] | None
    pose: Keypoints | None

    def kind(self, recipe: Recipe) -> str:
        """Return `exact`, `keypoints`, or '' when the recipe finds nothing to make a mask of."""
        if self.exact is not None and recipe.mask_source != "keypoints":
            return "exact"
        return "keypoints" if self.pose is not None else ""

    def digest(self, recipe: Recipe) -> bytes:
        """Return bytes that change with the mask."""
        if self.kind(recipe) == "exact":
            own = (
                _picture_digest(self.exact, *_stamp(self.exact), 3)
                if isinstance(self.exact, Picture)
                else array_digest(np.asarray(self.exact))
            )
            return content_key("labels", own, repr(recipe.frame))
        assert self.pose is not None
        return pose_digest(self.pose, recipe.frame, recipe.keypoint_mask_radius)

    def mask(self, recipe: Recipe) -> NDArray[np.bool_]:
        """Return the person's pixels (H, W) in the recipe's metric frame."""
        if self.kind(recipe) == "exact":
            if isinstance(self.exact, Picture):
                return np.asarray(load_labels(self.exact, recipe.frame) > 0)
            return np.asarray(self.exact) > 0
        assert self.pose is not None
        pose = self.pose.resized(recipe.frame)
        return keypoint_mask(pose.xy, pose.visible, recipe.frame, recipe.keypoint_mask_radius)


def pose_digest(pose: Keypoints, *settings: object) -> bytes:
    """Return bytes that change with the joints, their frame and the settings."""
    return content_key(
        "pose", np.ascontiguousarray(pose.xy).tobytes(), pose.visible.tobytes(),
        repr((pose.size, *settings)),
    )  # fmt: skip


def array_digest(array: NDArray[Any]) -> bytes:
    """Return 16 bytes for the values, type and shape of an array."""
    digest = blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=KEY_BYTES)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _stamp(picture: Picture) -> tuple[int, ...]:
    """Return what the file system knows of the file; it changes whenever the bytes do."""
    try:
        state = picture.path.stat()
    except OSError:
        return ()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@lru_cache(maxsize=200_000)
def _picture_digest(picture: Picture, *state: int) -> bytes:
    """Return the digest of a picture's bytes, read once per process and state of its file."""
    if is_array_row(picture):
        content = array_digest(array_row(picture, state[-1]))
    else:
        encoded = encoded_bytes(picture)
        if not encoded:
            raise PictureError(f"picture {picture.path} is an empty file, expected an image")
        content = blake2b(encoded, digest_size=KEY_BYTES).digest()
    return content_key("crop", content, repr(picture.crop)) if picture.crop else content


def forget_digests() -> None:
    """Read every file anew when its digest is asked for, as a new process does."""
    _picture_digest.cache_clear()
