"""Where the bytes of a picture come from: image files, zip, lmdb, Arrow and array files.

Opened stores are kept for each process, so that a handle stays a few words that can be pickled.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.lmdb_store import DATA_FILE, open_lmdb
from pcdms_data.picture_limits import LARGEST_PIXELS
from pcdms_data.types import MissingPictureError, Picture, PictureError

IMAGE_COLUMN = "image"
"""Column of an Arrow file that holds structs of encoded `bytes` and `path`."""


def where(picture: Picture) -> str:
    """Return the place of a picture for a message: the file, with the row or key inside it."""
    if picture.key:
        return f"{picture.path}[{picture.key}]"
    return f"{picture.path}[{picture.row}]" if picture.row >= 0 else str(picture.path)


def is_array_row(picture: Picture) -> bool:
    """Tell whether the picture is stored as pixels in a NumPy file, not as an encoded picture."""
    return picture.path.suffix == ".npy" and not picture.key


def encoded_bytes(picture: Picture) -> bytes:
    """Return the encoded picture (PNG, JPEG, ...) from its file, zip, lmdb folder or Arrow file.

    Raises PictureError, naming the place, where there is none.
    """
    if picture.key:
        return _from_zip(picture) if picture.path.suffix.lower() == ".zip" else _from_lmdb(picture)
    if picture.row >= 0:
        return _from_arrow(picture)
    try:
        return picture.path.read_bytes()
    except OSError as error:
        raise unreadable(picture, error) from error


def unreadable(picture: Picture, error: OSError) -> PictureError:
    """Return the error to raise for a picture file that cannot be opened or read."""
    kind = MissingPictureError if isinstance(error, FileNotFoundError) else PictureError
    return kind(
        f"picture {picture.path} cannot be read: {error.strerror or error}, expected an image file"
    )


def array_row(picture: Picture, dimensions: int) -> NDArray[np.uint8]:
    """Return a copy of one row of a uint8 array file; the file itself stays memory-mapped.

    Without a row the file holds one picture or map only, of any type whose values are whole numbers
    from 0 to 255. Files of pickled objects are refused: they could run code.
    """
    if picture.row < 0:
        return _whole_array(picture, dimensions - 1)
    try:
        stamp = picture.path.stat().st_mtime_ns
        array = _open_array(picture.path, stamp)
    except (OSError, ValueError) as error:
        raise PictureError(
            f"picture array {picture.path} cannot be read, expected a uint8 .npy file"
        ) from error
    if array.dtype != np.uint8 or array.ndim != dimensions or picture.row >= len(array):
        raise PictureError(
            f"picture array {picture.path} is {array.dtype} {array.shape}, expected uint8 with "
            f"{dimensions} dimensions and a row {picture.row}"
        )
    return np.array(array[picture.row])


def _whole_array(picture: Picture, dimensions: int) -> NDArray[np.uint8]:
    try:
        # Mapped, a head that promises more than the file holds is refused before memory is taken.
        array = np.load(picture.path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingPictureError(f"picture array {picture.path} is missing") from error
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(
            f"picture array {picture.path} cannot be read, expected a .npy file of numbers"
        ) from error
    plain = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    if plain and array.size > LARGEST_PIXELS:
        raise PictureError(
            f"picture array {picture.path} is {array.shape}, expected {LARGEST_PIXELS} values at "
            "most"
        )
    if not plain or array.ndim != dimensions or not ((array >= 0) & (array <= 255)).all():
        found = f"{array.dtype} {array.shape}" if plain else "no array of numbers"
        raise PictureError(
            f"picture array {picture.path} is {found}, expected {dimensions} dimensions and whole "
            "numbers from 0 to 255"
        )
    values = np.asarray(array).astype(np.uint8)
    if not np.array_equal(values, array):
        raise PictureError(f"picture array {picture.path} holds fractions, expected whole numbers")
    return values


def pictures_digest(pictures: Iterable[Picture]) -> bytes:
    """Return 32 bytes that change when a picture's place, crop or the time of its file changes."""
    digest = sha256()
    stamps: dict[Path, tuple[str, int]] = {}
    for picture in pictures:
        if picture.path not in stamps:
            stamps[picture.path] = (str(picture.path.resolve()), _stamp(picture.path))
        place = [*stamps[picture.path], picture.name, picture.row, picture.key, picture.crop]
        digest.update(json.dumps(place).encode())
    return digest.digest()


def _stamp(path: Path) -> int:
    """Return the time of a store, for an lmdb folder that of its data; 0 where there is none."""
    inside = path / DATA_FILE
    file = inside if inside.exists() else path
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=16)
def _open_array(path: Path, stamp: int) -> NDArray[Any]:
    """Map an array file once per process and time stamp."""
    del stamp  # only part of the cache key: a rewritten file is mapped anew
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _from_zip(picture: Picture) -> bytes:
    try:
        archive = _open_zip(picture.path, os.getpid(), picture.path.stat().st_mtime_ns)
        # Reading whole checks the member's checksum.
        return archive.read(picture.key)
    except KeyError as error:
        raise MissingPictureError(
            f"picture {where(picture)} is missing from the archive"
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PictureError(
            f"picture {where(picture)} cannot be read: the archive is damaged, cut short or "
            "protected with a password"
        ) from error


@lru_cache(maxsize=8)
def _open_zip(path: Path, process: int, stamp: int) -> zipfile.ZipFile:
    """Open an archive once per process and time stamp; threads may read it at once."""
    del process, stamp
    return zipfile.ZipFile(path)


def _from_lmdb(picture: Picture) -> bytes:
    import lmdb

    try:
        with open_lmdb(picture.path).begin() as transaction:
            content = transaction.get(picture.key.encode())
    except (lmdb.Error, OSError) as error:
        raise PictureError(
            f"picture {where(picture)} cannot be read: {picture.path} is no lmdb folder ({error})"
        ) from error
    if content is None:
        raise MissingPictureError(
            f"picture {where(picture)} is missing: the lmdb folder has no such key"
        )
    return bytes(content)


def _from_arrow(picture: Picture) -> bytes:
    try:
        column = _open_arrow(picture.path, picture.path.stat().st_mtime_ns)
        value = column[picture.row]["bytes"].as_buffer()
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise PictureError(
            f"picture {where(picture)} cannot be read, expected an Arrow file with encoded "
            f"pictures in its column {IMAGE_COLUMN!r}"
        ) from error
    return value.to_pybytes()


# A prepared split is some hundred files; a mapped one costs its table of contents only.
@lru_cache(maxsize=1024)
def _open_arrow(path: Path, stamp: int) -> Any:
    """Map the picture column of an Arrow stream file once per process and time stamp."""
    del stamp
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        return pyarrow.ipc.open_stream(source).read_all()[IMAGE_COLUMN]
