"""Pose text files of a data set: in a folder, or in the zip archive they are handed out in."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pcdms_data.archives import read_archive
from pcdms_data.layouts.pose_text import EXPECTED, PoseCoding, parse_pose, read_pose
from pcdms_data.tables import inside
from pcdms_data.types import InputError, Keypoints

_LARGEST = 1 << 12
"""Bytes of one pose text, four times what it has: a larger member is something else."""


class PoseStore:
    """The pose text below `root`: the folder `name`, or else `name`.zip with or without it inside.

    Raises InputError where neither is there, and on an archive that cannot be read.
    """

    def __init__(self, root: Path, name: str, coding: PoseCoding) -> None:
        self._root = root
        self._folder = root / name
        self._coding = coding
        self._texts: dict[str, tuple[str, bytes]] | None = None
        archive = root / f"{name}.zip"
        if self._folder.is_dir():
            return
        if not archive.is_file():
            raise InputError(f"{self._folder} is missing (or {archive.name}), expected pose text")
        self._texts = _texts_of(inside(root, archive))

    def read(self, stem: str, listed_in: Path) -> Keypoints:
        """Return the key points of a picture that `listed_in` names.

        Raises InputError on a missing or malformed file.
        """
        name = f"{stem}.txt"
        if self._texts is None:
            path = inside(self._root, self._folder / name)
            if not path.is_file():
                raise InputError(f"{listed_in} names {stem}, which has no pose text {path}")
            return read_pose(path, self._coding)
        if name not in self._texts:
            raise InputError(f"{listed_in} names {stem}, which has no pose text in the archive")
        where, content = self._texts[name]
        try:
            lines = content.decode().splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{where} is no text, expected {EXPECTED}") from error
        return parse_pose(lines, where, self._coding)


def _texts_of(path: Path) -> dict[str, tuple[str, bytes]]:
    """Return (place for messages, content) of all small text members by file name."""
    archive = read_archive(path)
    if archive.problems:
        raise InputError(archive.problems[0])
    try:
        with zipfile.ZipFile(path) as opened:
            return {
                PurePosixPath(name).name: (f"{path}[{name}]", opened.read(name))
                for name in archive.members
                if name.endswith(".txt") and opened.getinfo(name).file_size <= _LARGEST
            }
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged or cut short, expected {EXPECTED} in it") from error
