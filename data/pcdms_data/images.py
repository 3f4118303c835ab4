"""Decoding, writing and resizing of pictures: RGB uint8 everywhere, resizing by named kernel."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_data.picture_limits import check_pixels
from pcdms_data.picture_store import array_row, encoded_bytes, is_array_row, where
from pcdms_data.types import Batch, InputError, Pair, Picture, PictureError

Kernel = Literal[
    "cv2-cubic-f32",
    "cv2-linear-f32",
    "cv2-linear-u8",
    "pil-bicubic-u8",
    "torch-bicubic-aa",
    "none",
]
KERNELS: tuple[str, ...] = get_args(Kernel)
Pixels = NDArray[np.uint8]

_set_log_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
"""OpenCV 5 moved the function."""


def resize(pixels: Pixels, size: tuple[int, int], kernel: str) -> NDArray[Any]:
    """Return `pixels` (H, W, 3) uint8 resized to `size` = (H, W) by a kernel of `KERNELS`.

    The two `-f32` kernels return float32 on the scale 0 to 255, the cubic one with its overshoot
    (values below 0 and above 255); all others return uint8. `none` only accepts pixels that have
    the size already. Raises InputError on an unknown kernel.
    """
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"cannot resize to {height}x{width}: both sides must be at least 1")
    if kernel == "cv2-cubic-f32":
        return cv2.resize(pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    if kernel == "cv2-linear-f32":
        return cv2.resize(
            pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
    if kernel == "cv2-linear-u8":
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    if kernel == "pil-bicubic-u8":
        return _resize_pil(pixels, size)
    if kernel == "torch-bicubic-aa":
        return _resize_torch(pixels, size)
    if kernel == "none":
        if pixels.shape[:2] != (height, width):
            raise InputError(
                f"a picture of {pixels.shape[0]}x{pixels.shape[1]} was given where "
                f"{height}x{width} is expected and the protocol does not resize"
            )
        return pixels
    raise InputError(f"unknown resize kernel {kernel!r}, expected one of {', '.join(KERNELS)}")


def _resize_pil(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Antialiased bicubic on uint8, rounded and clipped by PIL itself."""
    if pixels.shape[:2] == size:
        return pixels
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _resize_torch(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Antialiased bicubic on float [0, 1], then x255, clamped and truncated to uint8."""
    import torch

    # The copy gives torch a writable array: rows of a cached set are read-only.
    planes = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(torch.float32) / 255
    resized = torch.nn.functional.interpolate(
        planes, size=size, mode="bicubic", antialias=True, align_corners=False
    )
    levels = (resized * 255).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0)
    return np.ascontiguousarray(levels.numpy())


def to_uint8(values: NDArray[Any]) -> Pixels:
    """Return values on the scale 0 to 255 rounded and clipped to uint8."""
    if values.dtype == np.uint8:
        return values
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def load_picture(
    picture: Picture, size: tuple[int, int] | None = None, kernel: str = "pil-bicubic-u8"
) -> Pixels:
    """Return the pixels of `picture`, RGB uint8 (H, W, 3), resized to `size` = (H, W) if given.

    Other kinds are converted: grey into three equal channels, palettes and CMYK into RGB, alpha is
    left out (the colour below a transparent pixel counts), 16-bit values lose their low byte, and a
    JPEG that says that it lies on its side is turned. Float pictures (TIFF) are refused.
    Raises PictureError, naming the file, where the picture is missing, truncated or no picture.
    A kernel that yields floats is rounded and clipped here; use `resize` to keep them.
    """
    if is_array_row(picture):
        pixels = array_row(picture, 4)
    else:
        pixels = cv2.cvtColor(_decode(picture, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    pixels = _cropped(pixels, picture)
    if size is None or pixels.shape[:2] == tuple(size):
        return pixels
    return to_uint8(resize(pixels, size, kernel))


def load_labels(picture: Picture, size: tuple[int, int] | None = None) -> Pixels:
    """Return a label map, uint8 (H, W); `size` = (H, W) picks the nearest label of each cell.

    Raises PictureError, naming the file, where the map is missing or cannot be decoded.
    """
    if is_array_row(picture):
        labels = array_row(picture, 3)
    else:
        labels = _decode(picture, cv2.IMREAD_GRAYSCALE)
    labels = _cropped(labels, picture)
    if size is None or labels.shape == tuple(size):
        return labels
    rows = (2 * np.arange(size[0]) + 1) * labels.shape[0] // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * labels.shape[1] // (2 * size[1])
    return labels[rows[:, None], columns[None, :]]


def _cropped(pixels: Pixels, picture: Picture) -> Pixels:
    """Return the part of the stored picture that the handle asks for."""
    if picture.crop is None:
        return pixels
    left, top, right, bottom = picture.crop
    height, width = pixels.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise PictureError(
            f"picture {where(picture)} is {height}x{width}, too small for columns {left} to "
            f"{right} and rows {top} to {bottom}"
        )
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def save_picture(path: Path, pixels: Pixels) -> None:
    """Write uint8 RGB (H, W, 3) or labels (H, W) as PNG; the name appears only when it is whole.

    Raises InputError on another shape or type.
    """
    try:
        content = png_bytes(pixels)
    except InputError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    write_atomically(path, content)


def png_bytes(pixels: Pixels) -> bytes:
    """Return uint8 RGB (H, W, 3) or labels (H, W) encoded as PNG; raises InputError on others."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise InputError(
            f"an array of {pixels.dtype} {pixels.shape}, expected uint8 (H, W, 3) or (H, W)"
        )
    ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, encoded = cv2.imencode(".png", ordered)
    if not done:
        raise InputError("the picture could not be encoded as PNG")
    return encoded.tobytes()


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, then rename; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short and independent of the final name, so that a name of the longest allowed length fits.
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load_batch(pairs: Sequence[Pair], resolution: tuple[int, int]) -> Batch:
    """Decode `pairs` at `resolution` = (H, W), key points scaled into that frame.

    Raises PictureError on the first picture that cannot be read, InputError on an empty sequence.
    """
    if not pairs:
        raise InputError("an empty batch was asked for, expected at least one pair")
    source_poses = [pair.source_pose.resized(resolution) for pair in pairs]
    target_poses = [pair.target_pose.resized(resolution) for pair in pairs]
    return Batch(
        pair_ids=tuple(pair.pair_id for pair in pairs),
        source=_planes([pair.source for pair in pairs], resolution),
        target=_planes([pair.target for pair in pairs], resolution),
        source_xy=np.stack([pose.xy for pose in source_poses]),
        target_xy=np.stack([pose.xy for pose in target_poses]),
        source_visible=np.stack([pose.visible for pose in source_poses]),
        target_visible=np.stack([pose.visible for pose in target_poses]),
    )


def _planes(pictures: Sequence[Picture], resolution: tuple[int, int]) -> Pixels:
    """Decode pictures into contiguous planes (B, 3, H, W)."""
    planes = np.empty((len(pictures), 3, *resolution), dtype=np.uint8)
    for row, picture in enumerate(pictures):
        pixels = load_picture(picture, resolution)
        # Plane by plane into its place: no stack of pictures, no transposed copy of it.
        for channel in range(3):
            cv2.extractChannel(pixels, channel, dst=planes[row, channel])
    return planes


def _decode(picture: Picture, mode: int) -> Pixels:
    """Decode a picture with OpenCV; huge pictures and its half-decoded cut files are refused."""
    content = encoded_bytes(picture)
    if not content:
        raise PictureError(f"picture {where(picture)} is an empty file, expected an image")
    check_pixels(content, where(picture))
    if _is_cut(content):
        raise PictureError(f"picture {where(picture)} is cut short, expected a whole image file")
    # OpenCV prints its own complaint beside raising; ours is the one line the user gets.
    previous = _set_log_level(0)
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error:
        pixels = None
    finally:
        _set_log_level(previous)
    if pixels is None:
        raise PictureError(f"picture {where(picture)} cannot be decoded, expected an image file")
    return pixels


def _is_cut(content: bytes) -> bool:
    """Tell whether a PNG or JPEG lacks its end mark, which decoders fill with grey in silence."""
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-64:]
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in content[-4096:]
    return False
