"""A folder of pictures made elsewhere: which pair each file belongs to, and which part of it.

Published folders hold single pictures, sheets of tiles, and squares that are either stretched or
padded. Here every file becomes a picture handle with the part to use; nothing is decoded beyond a
sample of borders, and nothing is resized. Source: the released folders and
their scripts (`naming.py` names them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pcdms_bench.naming import AUTO, NamedFiles, Naming, read_names
from pcdms_data.images import load_picture
from pcdms_data.pair_names import Known
from pcdms_data.picture_check import picture_size
from pcdms_data.types import InputError, Picture, PictureError

SUFFIXES = (".png", ".jpg", ".jpeg")
FRAMES = ((256, 176), (512, 352), (128, 64), (256, 256), (512, 512))
"""Sizes (H, W) of the tiles that are looked for in sheets."""
SHEETS = (5, 7)
"""Numbers of tiles a sheet may have where no naming says it."""
Square = Literal["auto", "squashed", "padded"]
SQUARES = ("auto", "squashed", "padded")
PADDED_COLUMNS = (40, 216, 256)
"""First and last column of the picture, and width, of a padded square."""
BORDER_LEVELS = 8
BORDER_SHARE = 0.95
BORDER_SAMPLE = 200
"""A folder is padded where, on this share of at most so many of its pictures spread over the
folder, the border columns of both sides differ by at most so many grey levels."""
SHOWN = 10
"""Names that a refusal lists of each kind."""


@dataclass
class ResultFolder:
    """What a folder holds: pictures by pair id, and everything about it that does not fit."""

    folder: Path
    naming: Naming
    pictures: dict[str, Picture] = field(default_factory=dict[str, Picture])
    targets: dict[str, Picture] = field(default_factory=dict[str, Picture])
    """The targets' tiles of sheets; empty for single pictures."""
    target_names: dict[str, str] = field(default_factory=dict[str, str])
    """Pair id -> stem of the target."""
    missing: list[str] = field(default_factory=list[str])
    """Pairs, or targets that no picture belongs to."""
    unmatched: list[str] = field(default_factory=list[str])
    duplicates: list[str] = field(default_factory=list[str])
    broken: dict[str, str] = field(default_factory=dict[str, str])
    """Pair id -> why its file cannot be used."""
    notes: list[str] = field(default_factory=list[str])
    """What was cropped, in words."""

    def refusal(self) -> str:
        """Return the one line that lists what is missing, left over, double or broken; or ''."""
        parts = [
            f"{len(names)} {word}: {', '.join(names[:SHOWN])}"
            + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            for word, names in (
                ("missing", self.missing),
                ("without a pair", self.unmatched),
                ("of the same pair", self.duplicates),
                ("unusable", list(self.broken.values())),
            )
            if names
        ]
        if not parts:
            return ""
        return (
            f"{self.folder} (naming {self.naming.name}) does not pair up: {'; '.join(parts)}; "
            "--allow-missing leaves them out"
        )


def picture_files(folder: Path | str, what: str = "") -> list[Path]:
    """Return the picture files of a folder by name; raises InputError where there is none.

    `what` says in the error what the folder is for. Files of other kinds are passed over.
    """
    title = f"{what} {folder}" if what else str(folder)
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{title}: no such folder, expected a folder of pictures")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{title} holds no pictures, expected {', '.join(SUFFIXES)}")
    return files


def read_results(
    folder: Path,
    naming: str,
    known: Known,
    frame: tuple[int, int] | None = None,
    square: Square = "auto",
    tile: int | None = None,
) -> ResultFolder:
    """Return the pictures of `folder` by pair id under a naming of `naming.NAMINGS` or `auto`.

    `frame` (H, W) is the targets' size where that is known: square pictures of targets that are not
    square are `squashed` (used whole; the protocol's resize undoes the stretch) or `padded`
    (columns 40..216 of 256 are used). `tile` counts from 1 and takes the place of the naming's own.
    Raises InputError on an unknown naming, a folder without pictures, and a tile that is not there.
    """
    files = picture_files(folder)
    names = read_names(files, naming, known)
    result = ResultFolder(
        folder, names.naming, unmatched=names.unmatched, duplicates=names.duplicates
    )
    if tile is not None and not 1 <= tile <= names.naming.tiles:
        raise InputError(
            f"tile {tile}: naming {names.naming.name} has {names.naming.tiles} "
            f"{'tiles' if names.naming.tiles > 1 else 'tile'}"
        )
    _cut_tiles(result, names, naming == AUTO, frame, tile)
    if frame is None or frame[0] != frame[1]:
        _unpad(result, square)
    result.missing = _missing(result, known)
    return result


def _missing(result: ResultFolder, known: Known) -> list[str]:
    """Return the listed pairs without a picture; without a list, the targets without one."""
    there = result.pictures.keys() | result.broken.keys()
    if known.pairs is not None:
        return [pair_id for pair_id in known.pairs.values() if pair_id not in there]
    used = set(result.target_names.values())
    return [stem for stem in known.targets.stems() if stem not in used] if known.targets else []


def _cut_tiles(
    result: ResultFolder,
    names: NamedFiles,
    guess: bool,
    frame: tuple[int, int] | None,
    tile: int | None,
) -> None:
    """Fill in the handles; the size of every file is read from its head."""
    frames = {*FRAMES, *([frame] if frame else [])}
    counts: dict[int, int] = {}
    for pair_id, one in names.found.items():
        result.target_names[pair_id] = one.target
        whole = Picture(one.file.name, one.file)
        try:
            height, width = picture_size(whole)
        except PictureError as error:
            result.broken[pair_id] = str(error)
            continue
        naming = names.naming
        if guess:
            naming = _guessed(naming, height, width, frames)
        if width % naming.tiles:
            result.broken[pair_id] = (
                f"{one.file.name} is {height}x{width}, expected {naming.tiles} tiles side by side"
            )
            continue
        counts[naming.tiles] = counts.get(naming.tiles, 0) + 1
        place = tile - 1 if tile is not None else naming.picture_tile
        result.pictures[pair_id] = _tile(whole, height, width, naming.tiles, place)
        if naming.target_tile is not None:
            target = replace(whole, name=f"{one.target}.png")
            result.targets[pair_id] = _tile(target, height, width, naming.tiles, naming.target_tile)
    if result.targets and len(result.targets) < len(result.pictures):
        raise InputError(
            f"{result.folder} mixes sheets of tiles and single pictures: give --naming"
        )
    last = tile or names.naming.picture_tile + 1
    result.notes += [
        f"tile {tiles if guess else last} of sheets of {tiles}" for tiles in counts if tiles > 1
    ]


def _guessed(naming: Naming, height: int, width: int, frames: set[tuple[int, int]]) -> Naming:
    """Return the naming with the tiles that the size of a file tells."""
    for tiles in SHEETS:
        if width % tiles == 0 and (height, width // tiles) in frames:
            return replace(
                naming, tiles=tiles, picture_tile=tiles - 1, target_tile=2 if tiles == 5 else None
            )
    return replace(naming, tiles=1, picture_tile=0, target_tile=None)


def _tile(picture: Picture, height: int, width: int, tiles: int, place: int) -> Picture:
    if tiles == 1:
        return picture
    wide = width // tiles
    return replace(picture, crop=(place * wide, 0, (place + 1) * wide, height))


def _unpad(result: ResultFolder, square: Square) -> None:
    """Crop square pictures that stand between plain columns; sizes are those after tiling."""
    squares = {}
    for pair_id, picture in result.pictures.items():
        left, top, right, bottom = picture.crop or (0, 0, *picture_size(picture)[::-1])
        if right - left == bottom - top:
            squares[pair_id] = (left, top, right - left)
    if not squares or square == "squashed":
        return
    if square == "auto" and not _looks_padded([result.pictures[i] for i in squares]):
        return
    first, last, whole = PADDED_COLUMNS
    for pair_id, (left, top, side) in squares.items():
        columns = (round(side * first / whole), round(side * last / whole))
        crop = (left + columns[0], top, left + columns[1], top + side)
        result.pictures[pair_id] = replace(result.pictures[pair_id], crop=crop)
        target = result.targets.get(pair_id)
        if target is not None and target.crop is not None:
            start = target.crop[0]
            crop = (start + columns[0], top, start + columns[1], top + side)
            result.targets[pair_id] = replace(target, crop=crop)
    result.notes.append(
        f"{len(squares)} square pictures padded with plain columns, cropped to columns "
        f"{first}..{last} of {whole}"
    )


def _looks_padded(pictures: Sequence[Picture]) -> bool:
    """Tell whether the columns that padding would fill are plain on nearly all pictures."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, BORDER_SAMPLE).round().astype(int))
    plain = []
    for row in chosen:
        try:
            pixels = load_picture(pictures[row])
        except PictureError:
            continue  # scoring names it
        side = round(pixels.shape[1] * PADDED_COLUMNS[0] / PADDED_COLUMNS[2])
        borders = (pixels[:, :side], pixels[:, -side:])
        spread = [int(np.ptp(border.reshape(-1, 3), axis=0).max()) for border in borders]
        plain.append(max(spread) <= BORDER_LEVELS)
    return bool(plain) and float(np.mean(plain)) >= BORDER_SHARE


def one_size(pictures: Mapping[str, Picture], what: str) -> tuple[int, int]:
    """Return the size (H, W) that all pictures share, cropped as their handles say.

    Raises InputError that names one picture of each size where there are several: which of them
    to resize is not for a metric to decide.
    """
    sizes: dict[tuple[int, int], str] = {}
    for picture in pictures.values():
        if picture.crop is not None:
            left, top, right, bottom = picture.crop
            size = (bottom - top, right - left)
        else:
            size = picture_size(picture)
        sizes.setdefault(size, picture.name)
    if len(sizes) != 1:
        kinds = ", ".join(f"{name} {h}x{w}" for (h, w), name in list(sizes.items())[:SHOWN])
        raise InputError(f"{what} of {len(sizes)} sizes ({kinds}), expected one size")
    return next(iter(sizes))
