"""Pictures that a program leaves, turned into pictures of the run: found, checked, cut, resized."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pcdms_baselines.external.recipe import Box, Case
from pcdms_baselines.external.workplace import returned_files, stays_inside
from pcdms_data.images import Pixels, load_picture, resize, save_picture, to_uint8
from pcdms_data.pair_names import Known, pair_of_name
from pcdms_data.picture_check import picture_size
from pcdms_data.types import InputError, Picture, PictureError, flat_stem

SUFFIXES = (".png", ".jpg", ".jpeg")
SETTLED = 1.0
"""Seconds since its last change after which a file counts as written, while the program runs."""
_NUMBER = re.compile(r"(\d+)$")


@dataclass
class Returned:
    """What has come back so far of the pictures that `wanted` = {pair id: file to write} asks for.

    `ids` are the pair ids in the order of the list that the program read.
    """

    case: Case
    work: Path
    known: Known
    ids: tuple[str, ...]
    wanted: Mapping[str, Path]
    frame: tuple[int, int]
    kernel: str
    done: set[str] = field(default_factory=set[str])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    """Pair id -> why its picture cannot be used."""
    strangers: list[str] = field(default_factory=list[str])
    """Files whose name fits no pair that was asked for."""
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])

    def collect(self, final: bool) -> int:
        """Take over what is new; return how many pictures have come back.

        Before the program's end (`final`) a file that cannot be used may still be in the making:
        it is looked at again when it has changed, and at the end.
        """
        if final:
            self._seen = {}
            self.problems, self.strangers = {}, []
        for path in returned_files(self.work, self.case.output, SUFFIXES):
            if self._is_new(path, final):
                self._take(path)
        return len(self.done)

    def _is_new(self, path: Path, final: bool) -> bool:
        try:
            state = path.lstat()
        except OSError:
            return False  # gone again: a temporary name
        stamp = (state.st_size, state.st_mtime_ns)
        if self._seen.get(path) == stamp:
            return False
        if not final and time.time() - state.st_mtime < SETTLED:
            return False
        self._seen[path] = stamp
        return True

    def _take(self, path: Path) -> None:
        """Write the pictures of one file, or note why they cannot be used."""
        parts = self._parts(path.name)
        if not parts:
            self.strangers.append(path.name)
            return
        todo = {pair_id: box for pair_id, box in parts.items() if pair_id not in self.done}
        if not todo:
            return
        try:
            if not stays_inside(path, self.work):
                raise PictureError(f"{path.name} is a link out of the work folder")
            crops = self._crops(path, todo)
            pixels = load_picture(Picture(path.name, path))
        except InputError as error:
            reason = str(error).replace(f"{self.work}/", "")
            self.problems |= dict.fromkeys(todo, reason)
            return
        for pair_id, crop in crops.items():
            self._write(pair_id, _cut(pixels, crop))

    def _parts(self, name: str) -> dict[str, Box | None]:
        """Return {pair id: place in the sheet, None without sheets} of a file of this name."""
        stem = flat_stem(name)
        if self.case.sheet is None:
            pair = pair_of_name(stem, self.case.ways, self.known)
            if pair is None or self.known.pairs is None:
                return {}
            found = self.known.pairs[pair]
            return {found: None} if found in self.wanted else {}
        match = _NUMBER.search(stem)
        if match is None:
            return {}
        first = int(match[1]) * self.case.sheet.columns
        ids = self.ids[first : first + self.case.sheet.columns]
        return {i: self.case.sheet.box(column) for column, i in enumerate(ids) if i in self.wanted}

    def _crops(self, path: Path, parts: Mapping[str, Box | None]) -> dict[str, Box | None]:
        """Return {pair id: part of the file}; raises PictureError on a file of a wrong size."""
        size = picture_size(Picture(path.name, path))
        sheet = self.case.sheet
        sizes = [sheet.size] if sheet else [form.size for form in self.case.forms]
        if size not in sizes:
            expected = " or ".join(f"{height}x{width}" for height, width in sizes)
            raise PictureError(f"{path.name} is {size[0]}x{size[1]}, expected {expected}")
        if sheet is not None:
            return dict(parts)
        form = next(form for form in self.case.forms if form.size == size)
        return dict.fromkeys(parts, form.crop)

    def _write(self, pair_id: str, pixels: Pixels) -> None:
        if pixels.shape[:2] != self.frame:
            pixels = to_uint8(resize(pixels, self.frame, self.kernel))
        save_picture(self.wanted[pair_id], pixels)
        self.problems.pop(pair_id, None)
        self.done.add(pair_id)


def _cut(pixels: Pixels, box: Box | None) -> Pixels:
    if box is None:
        return pixels
    left, top, right, bottom = box
    return np.ascontiguousarray(pixels[top:bottom, left:right])
