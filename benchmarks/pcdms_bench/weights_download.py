"""Getting the known weight files: by download, resumed where it was cut, or from a file given.

The only module of the tool that opens a network connection, and only the command
`pcdms-bench weights fetch` imports it: runs, scores and reports never download.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from filelock import FileLock, Timeout

from pcdms_bench.suggestions import check_choice
from pcdms_bench.weights_store import (
    KNOWN,
    KnownFile,
    WeightsFile,
    cache_folder,
    check_digest,
    file_digest,
    record_digest,
)
from pcdms_data.types import InputError

TIMEOUT_S = 60
TRIES = 3
"""Connections in a row that may break before the command gives up; the partial file stays."""
BLOCK = 1 << 20

Follow = Callable[[int, int], object]
"""Called with (bytes there, bytes in all)."""


class _CutError(Exception):
    """The connection broke; what has arrived is kept."""


def fetch(names: Sequence[str], progress: Follow | None = None) -> list[WeightsFile]:
    """Download the named files into the cache and return them; files already there are checked.

    The SHA-256 must begin with the published prefix; the full digest is recorded at the first
    fetch and expected from then on. A download that was cut is continued where it stopped, now or
    by the next call. Raises InputError when a name is unknown, a download fails or a digest
    differs; a wrong download is removed, a partial one is kept.
    """
    for name in names:
        check_choice("weights", name, KNOWN)
    return [_locked(KNOWN[name], lambda known: _download(known, progress)) for name in names]


def fetch_given(name: str, given: Path) -> WeightsFile:
    """Copy the user's own file of weights `name` into the cache; no connection is opened.

    Raises InputError when the name is unknown, the file is missing or its SHA-256 is wrong; the
    user's file is never changed.
    """
    known = KNOWN[check_choice("weights", name, KNOWN)]
    if not given.is_file():
        raise InputError(f"{given}: no such file, expected {known.file}")
    digest = file_digest(given)
    check_digest(known, given, digest)
    return _locked(known, lambda known: _copy(known, given, digest))


def _locked(known: KnownFile, get: Callable[[KnownFile], WeightsFile]) -> WeightsFile:
    """Return the file that lies in the cache, or call `get` while nobody else does."""
    place = cache_folder() / "weights" / known.file
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f".{known.file}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{known.file} is being fetched by another process") from error
    try:
        if not place.is_file():
            return get(known)
        digest = file_digest(place)
        check_digest(known, place, digest)
        record_digest(known, digest)
        return WeightsFile(place, digest)
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _copy(known: KnownFile, given: Path, digest: str) -> WeightsFile:
    place = cache_folder() / "weights" / known.file
    temporary = place.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        shutil.copyfile(given, temporary)
        if file_digest(temporary) != digest:
            raise InputError(f"{given} changed while it was copied")
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    record_digest(known, digest)
    return WeightsFile(place, digest)


def _download(known: KnownFile, progress: Follow | None) -> WeightsFile:
    """Download into a partial file, check it, and give it its name."""
    place = cache_folder() / "weights" / known.file
    partial = place.with_name(f".{known.file}.part")
    resumed = partial.is_file() and partial.stat().st_size > 0
    _receive(known.url, partial, progress)
    digest = file_digest(partial)
    try:
        check_digest(known, Path(known.url), digest)
    except InputError:
        partial.unlink()
        if not resumed:
            raise
        # What an earlier call left may be of another file: once more from the start.
        return _download(known, progress)
    partial.replace(place)
    record_digest(known, digest)
    return WeightsFile(place, digest)


def _receive(url: str, partial: Path, progress: Follow | None) -> None:
    """Make `partial` as long as the file at `url`; raises InputError when that does not work."""
    cut = ""
    for _ in range(TRIES):
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            _receive_rest(url, partial, before, progress)
        except _CutError as error:
            cut = str(error)
            continue
        except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise InputError(f"{url} could not be downloaded: {reason}") from error
        return
    there = partial.stat().st_size if partial.is_file() else 0
    raise InputError(
        f"{url} was cut short ({cut}); {there} bytes are kept, the same command continues there"
    )


def _receive_rest(url: str, partial: Path, there: int, progress: Follow | None) -> None:
    """Append what `partial` lacks; start anew where the server does not send parts of files."""
    request = urllib.request.Request(url)
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if there and error.code == 416:  # nothing follows: the partial file is whole, or too long
            error.close()
            return
        error.close()
        raise
    with answer:
        start = there if answer.status == 206 else 0
        sent = answer.headers.get("Content-Length")
        total = start + int(sent) if sent is not None else 0
        with partial.open("ab" if start else "wb") as file:
            done = start
            try:
                while block := answer.read(BLOCK):
                    file.write(block)
                    done += len(block)
                    if progress and total:
                        progress(done, total)
            except (HTTPException, ConnectionError, TimeoutError) as error:
                raise _CutError(str(error) or type(error).__name__) from error
    if total and done < total:
        raise _CutError(f"{done} of {total} bytes")
