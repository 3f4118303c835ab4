"""Zip archives of pictures, read member by member: nothing is ever extracted to disk."""

from __future__ import annotations

import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LARGEST_MEMBER = 1 << 27
"""Bytes that one picture may have, unpacked; a larger one is a bomb or no picture."""

_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Archive:
    """The members of a zip archive that may be read, and what is wrong with the others.

    `members` are names as the archive has them, in its order. `problems` has one line for each
    member that is refused, or a single one for an archive that cannot be read at all.
    """

    path: Path
    members: tuple[str, ...]
    problems: tuple[str, ...]


def read_archive(path: Path) -> Archive:
    """Return the members of a zip archive; what is wrong with it is listed, not raised.

    Refused are members with a password, names that are absolute or lead upwards (`..`), links,
    members named twice and members larger than `LARGEST_MEMBER`. The content of the members is
    checked when they are read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) else ""
        return Archive(path, (), (f"{path}: {reason or 'is cut short or no zip archive'}",))
    members: dict[str, None] = {}
    problems = []
    for entry in entries:
        if entry.is_dir():
            continue
        problem = "is there twice" if entry.filename in members else _refusal(entry)
        if problem:
            problems.append(f"{path}[{entry.filename}]: {problem}")
        else:
            members[entry.filename] = None
    return Archive(path, tuple(members), tuple(problems))


def _refusal(entry: zipfile.ZipInfo) -> str:
    """Return why a member may not be read, empty where it may."""
    if entry.flag_bits & _ENCRYPTED:
        return "is protected with a password: unpack the archive with it and give the folder"
    name = entry.filename
    if "\0" in entry.orig_filename:  # Python has cut the name there
        return "has a zero byte in its name"
    upwards = ".." in PurePosixPath(name.replace("\\", "/")).parts
    if upwards or name.startswith(("/", "\\")) or name[1:2] == ":":
        return "leads out of its folder, expected a name below it"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link, expected a file"
    if entry.file_size > LARGEST_MEMBER:
        return f"unpacks to {entry.file_size} bytes, expected {LARGEST_MEMBER} at most"
    return ""
