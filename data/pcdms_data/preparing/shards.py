"""Shards: Arrow files of some pictures each, made in parallel, and kept when work is interrupted.

The name of a shard holds a hash of everything that decides its content, so that an interrupted
preparation goes on where it stopped, and a change of settings or files remakes what it concerns.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pcdms_data.images import (
    Pixels,
    load_labels,
    load_picture,
    png_bytes,
    resize,
    to_uint8,
    write_atomically,
)
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.pair_set import PairSet
from pcdms_data.picture_check import UNREADABLE
from pcdms_data.picture_store import encoded_bytes, is_array_row, pictures_digest
from pcdms_data.preparing.columns import image_table
from pcdms_data.preparing.problems import Problem
from pcdms_data.types import Picture, PictureError

SHARD_ROWS = 128
"""Pictures in one file: 8 MB at 256x176, 50 MB at 512x352."""

Encoding = Literal["png", "jpeg"]
_STARTS = {"png": b"\x89PNG", "jpeg": b"\xff\xd8"}
_RECIPE = 1


@dataclass(frozen=True)
class Recipe:
    """How pictures are stored: sizes (H, W), encoding, and the kernel of `images.KERNELS`."""

    resolutions: tuple[tuple[int, int], ...]
    encoding: Encoding
    kernel: str


@dataclass(frozen=True, eq=False)
class Schemas:
    """The Arrow schemas of the two tables of pictures."""

    images: pa.Schema
    masks: pa.Schema


@dataclass(frozen=True, eq=False)
class Shard:
    """Rows `start` to `stop` of the gallery of `pairs`, the `number`-th shard of its split."""

    pairs: PairSet
    number: int
    start: int
    stop: int

    @property
    def pictures(self) -> Sequence[Picture]:
        """The pictures of the shard."""
        return self.pairs.gallery.pictures[self.start : self.stop]

    def path(self, folder: Path, resolution: tuple[int, int], recipe: Recipe, table: str) -> Path:
        """Return the file of the shard at one resolution; `table` is `images` or `masks`."""
        settings = [_RECIPE, resolution, recipe.encoding, recipe.kernel, table]
        digest = hashlib.sha256(json.dumps(settings).encode() + self.content)
        name = f"{self.number:05d}-{digest.hexdigest()[:16]}.arrow"
        return split_folder(folder, resolution, self.pairs.split) / table / name

    @cached_property
    def content(self) -> bytes:
        """A digest of the pictures' places and times, and of all that is stored beside them."""
        gallery = self.pairs.gallery
        masks = self.pairs.mask_handles[self.start : self.stop]
        digest = hashlib.sha256(pictures_digest(self.pictures))
        digest.update(pictures_digest(mask for mask in masks if mask is not None))
        digest.update(json.dumps(gallery.groups[self.start : self.stop]).encode())
        for pose in gallery.keypoints[self.start : self.stop]:
            digest.update(pose.xy.tobytes() + pose.visible.tobytes() + repr(pose.size).encode())
        return digest.digest()


def split_folder(folder: Path, resolution: tuple[int, int], split: str) -> Path:
    """Return where the tables of one split at one resolution lie."""
    return folder / f"{resolution[0]}x{resolution[1]}" / split


def plan_shards(pairs: PairSet) -> list[Shard]:
    """Return the shards of one split, in order."""
    count = len(pairs.gallery.pictures)
    starts = range(0, count, SHARD_ROWS)
    return [
        Shard(pairs, number, start, min(start + SHARD_ROWS, count))
        for number, start in enumerate(starts)
    ]


def tables_of(pairs: PairSet) -> tuple[str, ...]:
    """Return the tables of pictures that a split has: `masks` only where it has any."""
    return ("images", "masks") if any(pairs.mask_handles) else ("images",)


def is_made(path: Path, rows: int) -> bool:
    """Tell whether the file of a shard is there and whole."""
    try:
        with pa.memory_map(str(path)) as source:
            return bool(pa.ipc.open_stream(source).read_all().num_rows == rows)
    except (OSError, pa.ArrowInvalid):
        return False


def make_shard(shard: Shard, folder: Path, recipe: Recipe, schemas: Schemas) -> list[Problem]:
    """Write the files of a shard that are not there yet; return what is wrong with its pictures.

    Nothing is written for a shard that has an unreadable picture.
    """
    wanted: list[tuple[tuple[int, int], str, Path]] = []
    for resolution in recipe.resolutions:
        for table in tables_of(shard.pairs):
            path = shard.path(folder, resolution, recipe, table)
            if not is_made(path, len(shard.pictures)):
                wanted.append((resolution, table, path))
    sizes = tuple(size for size, table, _ in wanted if table == "images")
    pictures, problems = _encoded(shard.pictures, sizes, recipe)
    masks: dict[tuple[int, int], list[bytes | None]] = {}
    try:
        for resolution, table, _ in wanted:
            if table == "masks":
                masks[resolution] = _masks(shard, resolution)
    except PictureError as error:
        problems.append(Problem(UNREADABLE, str(error)))
    if problems:
        return problems
    gallery = shard.pairs.gallery
    names = [picture.name for picture in shard.pictures]
    for resolution, table, path in wanted:
        if table == "masks":
            rows = image_table(schemas.masks, names, masks[resolution])
        else:
            groups = gallery.groups[shard.start : shard.stop]
            poses = [
                pose.resized(resolution) for pose in gallery.keypoints[shard.start : shard.stop]
            ]
            rows = image_table(schemas.images, names, pictures[resolution], groups, poses)
        write_atomically(path, arrow_bytes(rows))
    return []


def arrow_bytes(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream of one batch."""
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def _encoded(
    pictures: Sequence[Picture], sizes: Sequence[tuple[int, int]], recipe: Recipe
) -> tuple[dict[tuple[int, int], list[bytes]], list[Problem]]:
    """Return the pictures at each of `sizes`; each is decoded once."""
    made: dict[tuple[int, int], list[bytes]] = {size: [] for size in sizes}
    problems = []
    for picture in pictures if sizes else ():
        try:
            pixels = load_picture(picture)
        except PictureError as error:
            problems.append(Problem(UNREADABLE, str(error)))
            continue
        for size, encoded in made.items():
            encoded.append(_stored(picture, pixels, size, recipe))
    return made, problems


def _stored(picture: Picture, pixels: Pixels, size: tuple[int, int], recipe: Recipe) -> bytes:
    """Return a picture as it is stored; one that has the size and encoding already stays as is."""
    if pixels.shape[:2] == size and picture.crop is None and not is_array_row(picture):
        content = encoded_bytes(picture)
        if content.startswith(_STARTS[recipe.encoding]):
            return content
    if pixels.shape[:2] != size:
        pixels = to_uint8(resize(pixels, size, recipe.kernel))
    return png_bytes(pixels) if recipe.encoding == "png" else jpeg_bytes(pixels)


def _masks(shard: Shard, size: tuple[int, int]) -> list[bytes | None]:
    handles = shard.pairs.mask_handles[shard.start : shard.stop]
    return [None if mask is None else png_bytes(load_labels(mask, size)) for mask in handles]
