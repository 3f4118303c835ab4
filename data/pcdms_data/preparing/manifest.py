"""The manifest of a prepared dataset: what it holds, and the size and SHA-256 of every file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pcdms_data.cache import MANIFEST, file_sha256
from pcdms_data.layouts.split import HIGHRES_RESIZE, LOWRES_CROP
from pcdms_data.types import InputError

FORMAT = "pcdms-prepared"
VERSION = 1
FIRST_BYTES = 256

_RESOLUTION = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
_SPLIT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

Document = dict[str, Any]


def holds_manifest(root: Path) -> bool:
    """Tell from the head of `manifest.json` whether `root` is a prepared dataset."""
    try:
        with (root / MANIFEST).open("rb") as file:
            return f'"format": "{FORMAT}"'.encode() in file.read(FIRST_BYTES)
    except OSError:
        return False


def read_manifest(root: Path) -> Document:
    """Return the manifest of a prepared dataset; raises InputError where it is missing or odd."""
    path = root / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} is missing, expected a dataset made by data prepare") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON, expected the manifest of a dataset") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path} is no manifest of a prepared dataset")
    if document.get("version") != VERSION:
        raise InputError(
            f"{path} has version {document.get('version')!r}, expected {VERSION}: prepare the "
            "dataset again"
        )
    for key, is_right in _PARTS.items():
        if not is_right(document.get(key)):
            shown = json.dumps(document.get(key))[:60]
            raise InputError(f"{path} has {key} {shown}: prepare the dataset again")
    return document


def _are_files(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and type(entry.get("bytes")) is int
        and type(entry.get("sha256")) is str
        for entry in value.values()
    )


_PARTS: dict[str, Callable[[Any], bool]] = {
    "dataset": lambda value: type(value) is str,
    "convention": lambda value: value in ("", LOWRES_CROP, HIGHRES_RESIZE),
    "resolutions": lambda value: (
        type(value) is list
        and bool(value)
        and all(_RESOLUTION.fullmatch(str(one)) for one in value)
    ),
    "splits": lambda value: (
        type(value) is dict and bool(value) and all(_SPLIT.fullmatch(name) for name in value)
    ),
    "files": _are_files,
}
"""Key of a manifest -> whether its value can be one; a manifest may have been edited by hand."""


def file_entries(
    root: Path, workers: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every file below `root`, by its path there."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST)
    entries = {}
    with ThreadPoolExecutor(workers) as pool:
        for done, (path, digest) in enumerate(
            zip(paths, pool.map(file_sha256, paths), strict=True), start=1
        ):
            name = path.relative_to(root).as_posix()
            entries[name] = {"bytes": path.stat().st_size, "sha256": digest}
            if progress:
                progress(done, len(paths))
    return entries


def check_sizes(root: Path, document: Document, below: str = "") -> None:
    """Raise InputError on the first file, of those whose path begins with `below`, of another size.

    Costs a system call a file; `damaged_files` reads the content too.
    """
    for name, entry in document["files"].items():
        if not name.startswith(below):
            continue
        path = root / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry["bytes"]:
            found = "is missing" if size is None else f"has {size} bytes"
            raise InputError(
                f"{path} {found}, expected {entry['bytes']} bytes: prepare the dataset again"
            )


def damaged_files(
    root: Path, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Return a line for each file of a prepared dataset that is missing, changed or not of it.

    Reads everything. Raises InputError where there is no manifest.
    """
    document = read_manifest(root)
    found = file_entries(root, workers, progress)
    lines = []
    for name, entry in document["files"].items():
        if name not in found:
            lines.append(f"{root / name} is missing")
        elif found[name] != entry:
            lines.append(f"{root / name} has changed since it was prepared")
    lines += [f"{root / name} is not of this dataset" for name in found.keys() - document["files"]]
    return lines
