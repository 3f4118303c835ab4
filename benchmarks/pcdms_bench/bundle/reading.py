"""Reading a bundle that may come from anywhere: everything is checked before a file is written."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.bundle.manifest import NAME, BundledFile, Manifest, parse_manifest, split_path
from pcdms_bench.run_folder import run_path
from pcdms_bench.spec import RunSpec
from pcdms_data.archives import read_archive
from pcdms_data.types import InputError

MOST_FILES = 1_000_000
LARGEST_BUNDLE = 1 << 36
"""Bytes that all files together may have, unpacked: 64 GiB."""
LARGEST_RATIO = 200
"""How much larger than the archive they may be. Pictures do not shrink, tables 5 to 30 times."""
_SPARE = 1 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True)
class CheckedBundle:
    """A bundle whose files are all there, alone, and as its manifest says."""

    path: Path
    manifest: Manifest
    sha256: str
    """That of the manifest, and so of all the bundle holds."""
    size: int
    """Bytes of all its files."""


def check_bundle(path: Path) -> CheckedBundle:
    """Return what a bundle holds, every size and SHA-256 verified; nothing is written.

    Raises InputError (one line: the bundle, the file in it, what is wrong) for what is no bundle,
    a member that is a link, is locked, or leads out; a file that is missing, surplus or changed;
    more than `MOST_FILES` files or `LARGEST_BUNDLE` bytes; and one that unpacks to more than
    `LARGEST_RATIO` times its own size.
    """
    found = read_archive(path)
    if found.problems:
        more = len(found.problems) - 1
        raise InputError(found.problems[0] + (f" (and {more} more)" if more else ""))
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(path, archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a bundle: {error}") from error


def _checked(path: Path, archive: zipfile.ZipFile) -> CheckedBundle:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    _check_sizes(path, entries)
    there = {entry.filename: entry.file_size for entry in entries}
    if NAME not in there:
        raise InputError(f"{path} holds no {NAME}: not a bundle of `report --bundle`")
    content = b"".join(_blocks(path, archive, NAME, there[NAME]))
    manifest = parse_manifest(content, str(path))
    listed = {file.path: file for file in manifest.files}
    for name in listed:
        if name not in there:
            raise InputError(f"{path}[{name}]: is missing, its manifest names it")
    for name in there:
        if name not in listed and name != NAME:
            raise InputError(f"{path}[{name}]: is not in the manifest, expected nothing else")
    for file in manifest.files:
        digest = hashlib.sha256()
        for block in _blocks(path, archive, file.path, file.size):
            digest.update(block)
        if digest.hexdigest() != file.sha256:
            raise InputError(
                f"{path}[{file.path}]: was changed (SHA-256 {digest.hexdigest()[:8]}…, expected "
                f"{file.sha256[:8]}…)"
            )
    _check_specs(path, archive, listed, manifest)
    whole = sum(file.size for file in manifest.files)
    return CheckedBundle(path, manifest, hashlib.sha256(content).hexdigest(), whole)


def _check_sizes(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that would fill the disk, by what its own list announces."""
    if len(entries) > MOST_FILES:
        raise InputError(f"{path}: {len(entries)} files, expected {MOST_FILES} at most")
    whole = sum(entry.file_size for entry in entries)
    if whole > LARGEST_BUNDLE:
        raise InputError(f"{path}: unpacks to {whole} bytes, expected {LARGEST_BUNDLE} at most")
    packed = path.stat().st_size
    if whole > LARGEST_RATIO * packed + _SPARE:
        raise InputError(
            f"{path}: {packed} bytes unpack to {whole}, expected {LARGEST_RATIO} times as many at "
            "most"
        )


def _blocks(path: Path, archive: zipfile.ZipFile, name: str, size: int) -> Iterator[bytes]:
    """Yield the content of a member, never more than the `size` it may have."""
    done = 0
    try:
        with archive.open(name) as member:
            while block := member.read(_BLOCK):
                done += len(block)
                if done > size:
                    break
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(f"{path}[{name}]: is damaged: {error}") from error
    if done != size:
        raise InputError(f"{path}[{name}]: has another size than the {size} bytes it should have")


def _check_specs(
    path: Path, archive: zipfile.ZipFile, listed: dict[str, BundledFile], manifest: Manifest
) -> None:
    """Refuse a run whose specification is not the one that its folder is named after."""
    for run in manifest.runs:
        name = f"{run}/spec.json"
        content = b"".join(_blocks(path, archive, name, listed[name].size))
        try:
            spec = RunSpec.from_json(content.decode("utf-8"), f"{path}[{name}]")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}[{name}] is no text in UTF-8: {error}") from error
        if run_path(Path(), spec).as_posix() != run:
            raise InputError(
                f"{path}[{name}]: is the specification of {run_path(Path(), spec).as_posix()}, "
                f"expected that of {run}"
            )


@contextmanager
def unpacked(bundle: CheckedBundle) -> Iterator[Path]:
    """Give a temporary folder that holds the bundle's files; it is gone after the block.

    Raises InputError when the archive has changed since it was checked.
    """
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="pcdms-bundle-") as name:
        home = Path(name)
        with zipfile.ZipFile(bundle.path) as archive:
            for file in bundle.manifest.files:
                run, rest = split_path(file.path)
                place = home / run / rest
                place.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with place.open("xb") as target:
                    for block in _blocks(bundle.path, archive, file.path, file.size):
                        digest.update(block)
                        target.write(block)
                if digest.hexdigest() != file.sha256:
                    raise InputError(f"{bundle.path}[{file.path}]: changed while it was read")
        yield home
