"""The folder in which a program runs: its repository by links, with our files in their places.

The clone itself is never written to. Every entry of it appears by a link, except where the inputs,
the weights and the results of the recipe lie: those folders are real ones in the work folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from pcdms_baselines.external.recipe import DRIVER, DRIVERS, Case
from pcdms_data.types import InputError

_PREFIX = "external-"
_LEFT_OUT = frozenset((".git",))


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """Yield a new folder in `beside`, deleted afterwards; what a killed run left there goes too."""
    beside.mkdir(parents=True, exist_ok=True)
    for stale in beside.glob(f"{_PREFIX}*.work"):
        shutil.rmtree(stale, ignore_errors=True)
    work = Path(mkdtemp(prefix=_PREFIX, suffix=".work", dir=beside)).resolve()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def link_repository(clone: Path, work: Path, case: Case, weights: Mapping[str, Path]) -> None:
    """Fill an empty work folder with links to the clone, real folders for `case`, and the weights.

    `weights` is {place: file or folder}.
    """
    folders = [case.data, case.output, *case.writes]
    if case.pose_maps is not None:
        folders.append(case.pose_maps.place)
    places = {PurePosixPath(place) for place in (*folders, *weights)}
    _link_below(clone, work, PurePosixPath(), places)
    for place in folders:
        (work / place).mkdir(parents=True, exist_ok=True)
    for place, path in weights.items():
        (work / place).parent.mkdir(parents=True, exist_ok=True)
        (work / place).symlink_to(path.absolute())
    if case.driver:
        shutil.copyfile(DRIVERS / case.driver, work / DRIVER)


def _link_below(clone: Path, work: Path, here: PurePosixPath, places: set[PurePosixPath]) -> None:
    """Link the entries of one folder of the clone; folders on the way to a place become real."""
    above = {parent for place in places for parent in place.parents}
    (work / here).mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(clone / here):
        place = here / entry.name
        if place in above:
            if entry.is_dir():
                _link_below(clone, work, place, places)
        elif place not in places and entry.name not in _LEFT_OUT:
            (work / place).symlink_to(Path(entry.path).absolute())


def returned_files(work: Path, output: str, suffixes: Sequence[str]) -> Iterator[Path]:
    """Yield the picture files below the output folder, by path; links to folders are not followed.

    Raises InputError where the output folder leads out of the work folder.
    """
    folder = work / output
    if not folder.resolve().is_relative_to(work):
        raise InputError(f"the output folder {output} leads out of the work folder")
    for place, below, files in os.walk(folder):
        below.sort()
        for name in sorted(files):
            if name.lower().endswith(tuple(suffixes)):
                yield Path(place, name)


def stays_inside(path: Path, work: Path) -> bool:
    """Tell whether a file lies in the work folder after every link is followed."""
    try:
        return path.resolve().is_relative_to(work)
    except (OSError, RuntimeError):  # a circle of links
        return False
