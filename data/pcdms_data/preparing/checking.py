"""The check of every picture before anything is written: there, whole, and of the right size."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pcdms_data.images import load_picture
from pcdms_data.layouts.downloads import HIGHRES, LOWRES
from pcdms_data.layouts.split import HIGHRES_RESIZE, LOWRES_CROP
from pcdms_data.pair_set import PairSet
from pcdms_data.picture_limits import check_pixels
from pcdms_data.picture_store import encoded_bytes, is_array_row, where
from pcdms_data.preparing.problems import Problem
from pcdms_data.tables import inside
from pcdms_data.types import InputError, Picture, PictureError

_SIZES: dict[tuple[str, str], tuple[int, int]] = {
    ("inshop", LOWRES_CROP): LOWRES,
    ("inshop", HIGHRES_RESIZE): HIGHRES,
    ("market", ""): (128, 64),
}
"""Size (H, W) that all pictures of a layout and convention have."""

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = 64


def expected_size(pairs: PairSet) -> tuple[int, int] | None:
    """Return the size (H, W) that every picture of a split must have, None where it may differ."""
    return _SIZES.get((pairs.layout, pairs.convention))


def check_pictures(
    sets: Sequence[PairSet],
    root: Path | None,
    any_size: bool,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Problem]:
    """Return what is wrong with the pictures of some splits, in their order.

    Read are the bytes, the announced size, and the marks and checksums that show a whole file; the
    pixels are decoded later. `any_size` accepts sizes other than the layout's own.
    """
    jobs = [
        (pairs.gallery.pictures[start : start + _CHUNK], None if any_size else expected_size(pairs))
        for pairs in sets
        for start in range(0, len(pairs.gallery.pictures), _CHUNK)
    ]
    total = sum(len(pictures) for pictures, _ in jobs)
    problems: list[Problem] = []
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        for (pictures, _), found in zip(
            jobs, pool.map(lambda job: _check(job[0], job[1], root), jobs), strict=True
        ):
            problems += found
            done += len(pictures)
            if progress:
                progress(done, total)
    return problems


def _check(
    pictures: Iterable[Picture], size: tuple[int, int] | None, root: Path | None
) -> list[Problem]:
    problems = []
    for picture in pictures:
        try:
            _check_one(picture, size, root)
        except _WrongSizeError as error:
            problems.append(Problem("picture of a wrong size", str(error)))
        except PictureError as error:
            missing = isinstance(error.__cause__, FileNotFoundError | KeyError)
            kind = "missing picture" if missing else "unreadable picture"
            problems.append(Problem(kind, str(error)))
        except InputError as error:
            problems.append(Problem("unsafe path", str(error)))
    return problems


class _WrongSizeError(PictureError):
    """A picture of another size than all pictures of its layout have."""


def _check_one(picture: Picture, size: tuple[int, int] | None, root: Path | None) -> None:
    if root is not None:
        inside(root, picture.path)
    if is_array_row(picture):
        found = load_picture(picture).shape[:2]
    else:
        content = encoded_bytes(picture)
        found = check_pixels(content, where(picture))
        if not _is_whole(content):
            raise PictureError(
                f"picture {where(picture)} is cut short or damaged, expected a whole image file"
            )
    if size is not None and found != size:
        raise _WrongSizeError(
            f"picture {where(picture)} is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}"
        )


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
