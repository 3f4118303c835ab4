"""Open lmdb folders: each once in a process, whatever path leads to it.

An lmdb folder must not be opened twice in one process, nor used across a fork. Folders are known by
the number of their data file here: one that was renamed stays open, one that replaced another under
the same path is opened anew, and a forked process drops what it inherited first.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_OPEN = 16
DATA_FILE = "data.mdb"

FileNumber = tuple[int, int]


@dataclass(frozen=True)
class _Opened:
    process: int
    environment: Any


_opened: dict[FileNumber, _Opened] = {}
_opening = threading.Lock()


def open_lmdb(path: Path) -> Any:
    """Return the environment of an lmdb folder, for reading; threads may share it.

    Raises OSError or lmdb.Error where there is none, OSError where its file is cut short.
    """
    status = (path / DATA_FILE).stat()
    key, process = (status.st_dev, status.st_ino), os.getpid()
    found = _opened.get(key)
    if found is not None and found.process == process:
        return found.environment
    with _opening:
        found = _opened.get(key)
        if found is None or found.process != process:
            _make_room(process)
            found = _opened[key] = _Opened(process, _open(path))
    return found.environment


def _open(path: Path) -> Any:
    import lmdb

    # Without a lock file, as loaders open it: the folder may lie on a read-only disk.
    opened = lmdb.open(str(path), readonly=True, lock=False, readahead=False, max_readers=126)
    # The file is mapped: touching a page that a cut file lacks would end the process.
    pages = opened.info()["last_pgno"] + 1
    size, whole = (path / DATA_FILE).stat().st_size, pages * opened.stat()["psize"]
    if size < whole:
        opened.close()
        raise OSError(f"{path / DATA_FILE} has {size} of {whole} bytes: it is cut short")
    return opened


def _make_room(process: int) -> None:
    """Close what another process opened before it forked; forget the oldest of too many.

    A forgotten environment closes itself when its last transaction ends.
    """
    for key in [key for key, one in _opened.items() if one.process != process]:
        _opened.pop(key).environment.close()
    while len(_opened) >= MOST_OPEN:
        _opened.pop(next(iter(_opened)))
