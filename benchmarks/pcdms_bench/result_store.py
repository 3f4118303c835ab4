"""What scoring computed before, by the content it came from: one SQLite file in the cache folder.

A key is a hash of everything a value depends on (pixels, recipe, network digest, versions), so a
changed input never meets an old value; a checksum in every row finds damage. Losing the file costs
time only, and deleting it is always safe.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from pcdms_bench.weights_store import cache_folder

FORMAT = "1"
"""Changed when a stored value would be computed differently; part of every key."""
FILE = "scores.sqlite"
KEY_BYTES = 16
_FLUSH_ROWS = 512
_FLUSH_BYTES = 4_000_000
_AT_ONCE = 500
"""Keys per query, below the limit of old SQLite versions."""
_LIBRARIES = ("numpy", "opencv-python-headless", "opencv-python", "pillow", "torch")


def content_key(*parts: str | bytes) -> bytes:
    """Return 16 bytes that stand for `parts`, their order and their borders."""
    digest = blake2b(digest_size=KEY_BYTES)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.digest()


@cache
def library_versions() -> str:
    """Return the versions that can change a pixel or a value, for keys."""
    found = []
    for name in _LIBRARIES:
        with contextlib.suppress(ModuleNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join([*found, f"format {FORMAT}"])


class ResultStore:
    """Bytes by 16-byte key. Rows wait in memory until there are enough of them to write."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, made if needed; with None nothing outlives this object."""
        self._path = path
        self._waiting: dict[bytes, bytes] = {}
        self._bytes = 0
        self._connection = self._open()

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is stored under `keys`; damaged rows are left out."""
        found = {key: self._waiting[key] for key in keys if key in self._waiting}
        asked = [key for key in dict.fromkeys(keys) if key not in found]
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value, sum FROM result WHERE key IN ({marks})"
            try:
                for key, value, checksum in self._connection.execute(query, part):
                    if checksum == _checksum(key, value):
                        found[key] = value
            except (sqlite3.Error, TypeError):
                self._start_anew()
                break
        return found

    def put(self, key: bytes, value: bytes) -> None:
        """Keep `value` under `key`, replacing what was there."""
        self._bytes += len(value)
        self._waiting[key] = value
        if len(self._waiting) >= _FLUSH_ROWS or self._bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits; a full or locked disk only costs the cache."""
        rows = [(key, value, _checksum(key, value)) for key, value in self._waiting.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO result VALUES (?,?,?)", rows)
        except sqlite3.OperationalError:
            pass
        except sqlite3.Error:
            self._start_anew()
        self._waiting, self._bytes = {}, 0

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self.flush()
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        """Return a connection to the file; to memory where the file cannot be used."""
        if self._path is not None:
            for _ in range(2):
                try:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    return _connect(str(self._path))
                except (sqlite3.OperationalError, OSError):
                    break
                except sqlite3.DatabaseError:  # no database: our own file, damaged
                    self._remove()
        return _connect(":memory:")

    def _start_anew(self) -> None:
        """Give up a damaged file and begin an empty one."""
        self._connection.close()
        self._remove()
        self._connection = self._open()

    def _remove(self) -> None:
        if self._path is not None:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _connect(place: str) -> sqlite3.Connection:
    connection = sqlite3.connect(place, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS result (key BLOB PRIMARY KEY, value BLOB, sum BLOB)"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _checksum(key: bytes, value: bytes) -> bytes:
    return blake2b(key + value, digest_size=8).digest()


@contextlib.contextmanager
def open_store() -> Iterator[ResultStore]:
    """Open the store of the cache folder for the length of a `with` block."""
    store = ResultStore(cache_folder() / FILE)
    try:
        yield store
    finally:
        store.close()
