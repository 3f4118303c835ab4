"""Look at every picture of a dataset: is it there, is it whole, and how large is it."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pcdms_data.images import load_labels, load_picture
from pcdms_data.picture_limits import check_pixels, header_size
from pcdms_data.picture_store import array_row, encoded_bytes, is_array_row, unreadable, where
from pcdms_data.tables import inside
from pcdms_data.types import InputError, MissingPictureError, Picture, PictureError

HEAD_BYTES = 1 << 16
"""Bytes of a file that are read for its size at first: most heads are shorter."""

MISSING = "annotation without picture"
UNREADABLE = "unreadable picture"
UNSAFE = "unsafe path"

Depth = Literal["head", "bytes", "pixels"]
"""How far a picture is read: its size alone; all bytes, with the marks and checksums that show a
whole file; or all of that and decoded."""

_CHUNK = 32
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class PictureState:
    """What was found of one picture: its stored `size` (H, W), or None, the `fault` and `reason`.

    `fault` is `MISSING`, `UNREADABLE` or `UNSAFE`, empty where there is none.
    """

    size: tuple[int, int] | None
    fault: str = ""
    reason: str = ""


def look_at(
    pictures: Sequence[Picture],
    depth: Depth,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    fence: Path | None = None,
    labels: bool = False,
) -> list[PictureState]:
    """Return the state of each picture, in their order, read in `workers` threads.

    A file outside of the folder `fence` is not read. `labels` says that they are label maps.
    """
    chunks = [pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK)]
    states: list[PictureState] = []
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(
            lambda chunk: [_state(one, depth, fence, labels) for one in chunk], chunks
        ):
            states += found
            if progress:
                progress(len(states), len(pictures))
    return states


def usual_size(states: Sequence[PictureState]) -> tuple[int, int] | None:
    """Return the size that most pictures have, None where none could be read."""
    counts = Counter(state.size for state in states if state.size is not None)
    return counts.most_common(1)[0][0] if counts else None


def picture_size(picture: Picture) -> tuple[int, int]:
    """Return the size (H, W) that the head of a stored picture tells; its `crop` is not applied.

    Raises PictureError, naming the file, where it is missing or its head is not understood.
    """
    return _size(picture, "head", labels=False)


def _state(picture: Picture, depth: Depth, fence: Path | None, labels: bool) -> PictureState:
    try:
        if fence is not None:
            inside(fence, picture.path)
        return PictureState(_size(picture, depth, labels))
    except MissingPictureError as error:
        return PictureState(None, MISSING, str(error))
    except PictureError as error:
        return PictureState(None, UNREADABLE, str(error))
    except InputError as error:
        return PictureState(None, UNSAFE, str(error))


def _size(picture: Picture, depth: Depth, labels: bool) -> tuple[int, int]:
    if is_array_row(picture):
        height, width = array_row(picture, 3 if labels else 4).shape[:2]
        return height, width
    content = _head(picture) if depth == "head" else encoded_bytes(picture)
    size = check_pixels(content, where(picture))
    if depth != "head" and not _is_whole(content):
        raise PictureError(
            f"picture {where(picture)} is cut short or damaged, expected a whole one"
        )
    if depth == "pixels":
        (load_labels if labels else load_picture)(picture)
    return size


def _head(picture: Picture) -> bytes:
    if picture.key or picture.row >= 0:
        return encoded_bytes(picture)
    try:
        with picture.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            # A colour profile or a preview may come before the size.
            return head if header_size(head) else head + file.read()
    except OSError as error:
        raise unreadable(picture, error) from error


def _is_whole(content: bytes) -> bool:
    """Tell whether a JPEG has its end mark, and the parts of a PNG their checksums."""
    if content.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in content[-4096:]
    if not content.startswith(_PNG):
        return True
    at = len(_PNG)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        checksum = zlib.crc32(memoryview(content)[at + 4 : end])
        if content[end : end + 4] != checksum.to_bytes(4, "big"):
            return False
        if content[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False
