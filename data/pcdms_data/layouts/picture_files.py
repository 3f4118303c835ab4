"""Writing of picture files for layouts: each picture of some splits once, in the wanted format.

A stored picture that has the wanted format and size already is copied byte for byte; any other is
decoded, resized (antialiased bicubic) and encoded: PNG without loss, JPEG at quality 95.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from pcdms_data.images import Pixels, load_picture, png_bytes, write_atomically
from pcdms_data.pair_set import PairSet
from pcdms_data.picture_limits import check_pixels, header_size
from pcdms_data.picture_store import encoded_bytes, is_array_row, where
from pcdms_data.types import InputError, Picture, flat_stem

JPEG_QUALITY = 95
_STARTS = {".jpg": b"\xff\xd8\xff", ".png": b"\x89PNG"}

Progress = Callable[[int, int], None]


def jpeg_name(name: str) -> str:
    """Return the name with the extension `.jpg`; one that has it stays (`x.jpg.jpg` too)."""
    return name if name.endswith(".jpg") else f"{flat_stem(name)}.jpg"


def png_name(name: str) -> str:
    """Return the name with its last extension replaced by `.png` (`x.jpg.jpg` -> `x.jpg.png`)."""
    return name if name.endswith(".png") else f"{flat_stem(name)}.png"


def picture_bytes(picture: Picture, size: tuple[int, int] | None, suffix: str) -> bytes:
    """Return a picture as the content of a file of `suffix` (`.jpg`, `.png`).

    `size` = (H, W); None keeps the picture's own. Raises PictureError where it cannot be read.
    """
    if stored_as(picture, size) == suffix:
        load_picture(picture)  # a damaged file must not be passed on as whole
        return encoded_bytes(picture)
    pixels = load_picture(picture, size)
    return png_bytes(pixels) if suffix == ".png" else jpeg_bytes(pixels)


def stored_as(picture: Picture, size: tuple[int, int] | None) -> str | None:
    """Return the suffix of the file that the stored bytes of a picture make, `.jpg` or `.png`.

    None where they do not give the wanted picture: another format, another size than (H, W), a
    crop, or pixels without encoding.
    """
    if is_array_row(picture) or picture.crop is not None:
        return None
    content = encoded_bytes(picture)
    if size is not None and header_size(content) != size:
        return None
    return next((suffix for suffix, head in _STARTS.items() if content.startswith(head)), None)


def jpeg_bytes(pixels: Pixels) -> bytes:
    """Return uint8 RGB (H, W, 3) encoded as JPEG; raises InputError where that fails."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    if not done:
        raise InputError("the picture could not be encoded as JPEG")
    return encoded.tobytes()


def write_pictures(
    sets: Sequence[PairSet],
    place: Callable[[PairSet, Picture], Path],
    native: bool,
    progress: Progress | None = None,
) -> int:
    """Write every picture of some splits to the file `place` says; return their number.

    `native` keeps each picture's own size; otherwise they get the resolution of their set.
    The suffix of the file decides the format. Raises PictureError on a picture that is unreadable
    and InputError where two pictures would have one file.
    """
    total = sum(len(pairs.gallery.pictures) for pairs in sets)
    written: set[Path] = set()
    for pairs in sets:
        size = None if native else pairs.resolution
        for picture in pairs.gallery.pictures:
            path = place(pairs, picture)
            if path in written:
                raise InputError(f"two pictures have the file name {path.name}, expected one each")
            written.add(path)
            write_atomically(path, picture_bytes(picture, size, path.suffix))
            if progress and (len(written) % 20 == 0 or len(written) == total):
                progress(len(written), total)
    return total


def stored_size(picture: Picture) -> tuple[int, int]:
    """Return (H, W) of an encoded picture from its head; raises PictureError where it has none."""
    return check_pixels(encoded_bytes(picture), where(picture))
