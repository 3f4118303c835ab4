"""Folders of computed files in the user's cache: filled once, verified, safe between processes.

An entry is a folder whose name holds a hash of everything that decides its content. It is filled
under a temporary name and renamed when whole, so an entry that exists is complete; its
`manifest.json` lists the SHA-256 of every file. The files are verified in full the first time a
process opens the entry (reading at memory speed: about a second per gigabyte) and not again by
that process. An entry that fails is thrown away and filled anew, with a warning in the log.
Deleting the cache folder is always safe.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from pcdms_data.images import write_atomically
from pcdms_data.types import InputError

MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)
_verified: set[tuple[Path, int]] = set()


def cache_folder() -> Path:
    """Return the cache folder: `PCDMS_CACHE` where set, else the user's cache of this system."""
    override = os.environ.get("PCDMS_CACHE")
    return Path(override) if override else Path(user_cache_dir("pcdms", appauthor=False))


def cached_entry(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder of entry `key`, filling it by `fill(folder)` where it is not there.

    `fill` gets a folder that an interrupted earlier call may have filled in part, and must leave
    it whole. A second process that wants the same entry waits for the first.
    Raises InputError where the cache folder cannot be written.
    """
    root = cache_folder() / kind
    entry = root / key
    if is_intact(entry):
        return entry
    lock = FileLock(root / f"{key}.lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"cache folder {root} cannot be written ({error.strerror or error}): "
            "set PCDMS_CACHE to a writable folder"
        ) from error
    try:
        if is_intact(entry):
            return entry
        if entry.exists():
            _log.warning("cached folder %s is damaged and is made anew", entry)
            shutil.rmtree(entry)
        partial = root / f"{key}.partial"
        partial.mkdir(exist_ok=True)
        fill(partial)
        write_manifest(partial)
        partial.rename(entry)
    finally:
        lock.release()
    _remember(entry)
    return entry


def write_manifest(folder: Path) -> None:
    """Write the sizes and SHA-256 of all files directly in `folder` to its manifest."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST
    }
    write_atomically(folder / MANIFEST, json.dumps({"files": files}, indent=1).encode())


def is_intact(folder: Path) -> bool:
    """Tell whether all files of the manifest are there with their content; False without one."""
    try:
        if (folder, _stamp(folder)) in _verified:
            return True
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        for name, recorded in files.items():
            path = folder / name
            if path.stat().st_size != recorded["bytes"] or file_sha256(path) != recorded["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    _remember(folder)
    return True


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(folder: Path) -> None:
    _verified.add((folder, _stamp(folder)))


def _stamp(folder: Path) -> int:
    return (folder / MANIFEST).stat().st_mtime_ns
