"""Look at every picture of a dataset: is it there, is it whole, and how large is it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pcdms_data.images import load_picture
from pcdms_data.picture_limits import check_pixels, header_size
from pcdms_data.picture_store import array_row, encoded_bytes, is_array_row, where
from pcdms_data.types import Picture, PictureError

HEAD_BYTES = 1 << 16
"""Bytes of a file that are read for its size at first: most heads are shorter."""

_CHUNK = 32


@dataclass(frozen=True)
class PictureState:
    """What was found of one picture: its stored `size` (H, W), or None and the `reason`."""

    size: tuple[int, int] | None
    reason: str = ""


def look_at(
    pictures: Sequence[Picture],
    fast: bool,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[PictureState]:
    """Return the state of each picture, in their order.

    Every picture is decoded, in `workers` threads; with `fast` only its head is read.
    """
    chunks = [pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK)]
    states: list[PictureState] = []
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(lambda chunk: [_state(one, fast) for one in chunk], chunks):
            states += found
            if progress:
                progress(len(states), len(pictures))
    return states


def usual_size(states: Sequence[PictureState]) -> tuple[int, int] | None:
    """Return the size that most pictures have, None where none could be read."""
    counts = Counter(state.size for state in states if state.size is not None)
    return counts.most_common(1)[0][0] if counts else None


def picture_size(picture: Picture) -> tuple[int, int]:
    """Return the size (H, W) a stored picture has by its head; its `crop` is not applied.

    Raises PictureError, naming the file, where it is missing or its head is not understood.
    """
    if is_array_row(picture):
        height, width = array_row(picture, 4).shape[:2]
        return height, width
    return check_pixels(_head(picture), where(picture))


def _state(picture: Picture, fast: bool) -> PictureState:
    try:
        if fast or is_array_row(picture):
            return PictureState(picture_size(picture))
        size = check_pixels(encoded_bytes(picture), where(picture))
        load_picture(picture)
    except PictureError as error:
        return PictureState(None, str(error))
    return PictureState(size)


def _head(picture: Picture) -> bytes:
    if picture.key or picture.row >= 0:
        return encoded_bytes(picture)
    try:
        with picture.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            # A colour profile or a preview may come before the size.
            return head if header_size(head) else head + file.read()
    except OSError as error:
        raise PictureError(
            f"picture {picture.path} cannot be read: {error.strerror or error}, "
            "expected an image file"
        ) from error
