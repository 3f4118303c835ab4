"""Pictures in lmdb folders named H-W, as NTED and PIDM keep them.

Keys: `img/<tree name>.png` with the PNG of the picture at that size, and `length` with the number
of pictures in five digits. Source: scripts/prepare_data.py of
RenYurui/Neural-Texture-Extraction-Distribution, data/prepare_data.py of ankanbhunia/PIDM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pcdms_data.lmdb_store import DATA_FILE, open_lmdb
from pcdms_data.types import InputError

LENGTH_KEY = "length"
_FOLDER = re.compile(r"([1-9]\d{0,4})-([1-9]\d{0,4})")
_FIRST_MAP = 1 << 24
_PER_TRANSACTION = 64


def lmdb_folders(root: Path) -> dict[tuple[int, int], Path]:
    """Return the lmdb folders of `root` by picture size (H, W), smallest first."""
    found = {}
    for path in root.iterdir():
        match = _FOLDER.fullmatch(path.name)
        if match and (path / DATA_FILE).is_file():
            found[int(match[1]), int(match[2])] = path
    return dict(sorted(found.items(), key=lambda item: item[0][0] * item[0][1]))


def folder_name(size: tuple[int, int]) -> str:
    """Return the name of the folder with pictures of `size` = (H, W)."""
    return f"{size[0]}-{size[1]}"


def lmdb_keys(folder: Path) -> frozenset[str]:
    """Return all keys but the count; raises InputError where the folder cannot be read as lmdb."""
    import lmdb

    try:
        with open_lmdb(folder).begin() as transaction:
            keys = [key.decode() for key in transaction.cursor().iternext(values=False)]
    except (lmdb.Error, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder} cannot be read as an lmdb folder: {error}") from error
    return frozenset(keys) - {LENGTH_KEY}


def write_lmdb(folder: Path, pictures: Iterable[tuple[str, bytes]]) -> int:
    """Write (key, encoded picture) and the count into a new lmdb folder; return the count.

    The map starts at 16 MiB and doubles when it is full, so that a file system without sparse files
    never has to hold the terabyte that the field's scripts reserve. Keys may come in any order.
    Raises InputError where the folder cannot be written, as on a full disk.
    """
    import lmdb

    folder.mkdir(parents=True)
    count = 0
    try:
        with lmdb.open(str(folder), map_size=_FIRST_MAP, readahead=False) as environment:
            batch: list[tuple[bytes, bytes]] = []
            for key, content in pictures:
                batch.append((key.encode(), content))
                count += 1
                if len(batch) == _PER_TRANSACTION:
                    _put(environment, batch)
                    batch = []
            _put(environment, [*batch, (LENGTH_KEY.encode(), str(count).zfill(5).encode())])
    except lmdb.Error as error:
        raise InputError(f"{folder} cannot be written as an lmdb folder: {error}") from error
    return count


def _put(environment: Any, batch: list[tuple[bytes, bytes]]) -> None:
    """Store a batch in one transaction, in a larger map where it does not fit."""
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, content in batch:
                    transaction.put(key, content)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
