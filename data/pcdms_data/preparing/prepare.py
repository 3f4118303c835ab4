"""A dataset that was read and found sound becomes Arrow tables and a manifest, whole or not at all.

    OUT/manifest.json
    OUT/256x176/test/images/    one row a picture: name, image, group, height, width, keypoints,
                                visible
    OUT/256x176/test/pairs/     one row a pair: source, target (rows of images), slice_<name>
    OUT/256x176/test/masks/     only where there are label maps: the rows of images

Each of the tables opens by `datasets.load_from_disk`. Everything is made in `OUT.partial`, which is
renamed at the end; after an interruption the same call goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from pcdms_data.cache import MANIFEST, file_sha256
from pcdms_data.images import write_atomically
from pcdms_data.pair_set import PairSet
from pcdms_data.preparing.columns import image_features, pair_features, pair_table
from pcdms_data.preparing.manifest import FORMAT, VERSION, Document, file_entries
from pcdms_data.preparing.problems import Problem, UnfitError
from pcdms_data.preparing.shards import (
    Recipe,
    Schemas,
    Shard,
    arrow_bytes,
    make_shard,
    plan_shards,
    split_folder,
    tables_of,
)
from pcdms_data.splits_on_disk import Follow
from pcdms_data.types import InputError

if TYPE_CHECKING:
    import datasets

_LOCK = "prepare.lock"


def refuse_filled(out: Path) -> None:
    """Raise InputError where `out` is there and is no empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty, expected a new or an empty folder")


def prepare(
    sets: Sequence[PairSet],
    out: Path,
    recipe: Recipe,
    workers: int,
    follow: Follow,
    lists: Sequence[Path] = (),
) -> Document:
    """Write the splits of one dataset as a prepared dataset `out`; return its manifest.

    `lists` are the text files that the splits were read from; the manifest names their SHA-256.
    Raises UnfitError with the whole list where pictures cannot be decoded, InputError where `out`
    is not empty or another call is at work on it.
    """
    refuse_filled(out)
    partial = out.with_name(f"{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{partial} is being written by another process, expected one") from error
    try:
        plans = [plan_shards(pairs) for pairs in sets]
        shards = [shard for plan in plans for shard in plan]
        _make_all(shards, partial, recipe, workers, follow("preparing"))
        wanted = [
            path
            for resolution in recipe.resolutions
            for pairs, plan in zip(sets, plans, strict=True)
            for path in _finish_split(pairs, plan, partial, resolution, recipe)
        ]
        _remove_strangers(partial, wanted)
        document = _manifest(sets, partial, recipe, workers, follow("hashing"))
        document["lists"] = {path.name: file_sha256(path) for path in lists}
        write_atomically(partial / MANIFEST, json.dumps(document, indent=1).encode())
        (partial / _LOCK).unlink()
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        lock.release()
    return document


def _make_all(
    shards: Sequence[Shard],
    folder: Path,
    recipe: Recipe,
    workers: int,
    progress: Callable[[int, int], None],
) -> None:
    """Make the shards in threads: decoding, resizing and encoding leave the interpreter free."""
    schemas = Schemas(image_features(False).arrow_schema, image_features(True).arrow_schema)
    total = sum(len(shard.pictures) for shard in shards)
    problems: list[Problem] = []
    done = 0
    progress(0, total)
    pool = ThreadPoolExecutor(workers)
    try:
        for shard, found in zip(
            shards,
            pool.map(lambda shard: make_shard(shard, folder, recipe, schemas), shards),
            strict=True,
        ):
            problems += found
            done += len(shard.pictures)
            progress(done, total)
    finally:
        # After an interruption what is begun is finished, what waits is not begun.
        pool.shutdown(cancel_futures=True)
    if problems:
        raise UnfitError(f"what {folder} is made of", problems)


def _finish_split(
    pairs: PairSet,
    shards: Sequence[Shard],
    folder: Path,
    resolution: tuple[int, int],
    recipe: Recipe,
) -> list[Path]:
    """Write the table of pairs and the description of all tables; return the files of the split."""
    place = split_folder(folder, resolution, pairs.split)
    wanted = []
    for table in tables_of(pairs):
        files = [shard.path(folder, resolution, recipe, table) for shard in shards]
        wanted += [*files, *_describe(place / table, image_features(table == "masks"), files)]
    features = pair_features(pairs.slices)
    rows = arrow_bytes(pair_table(features.arrow_schema, pairs.rows, pairs.slices))
    path = place / "pairs" / f"pairs-{sha256(rows).hexdigest()[:16]}.arrow"
    write_atomically(path, rows)
    return [*wanted, path, *_describe(place / "pairs", features, [path])]


def _describe(folder: Path, features: datasets.Features, files: Sequence[Path]) -> list[Path]:
    """Write the two JSON files by which `datasets.load_from_disk` finds the Arrow files."""
    from datasets import DatasetInfo

    names = [path.name for path in files]
    state: dict[str, object] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": sha256(json.dumps(names).encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_atomically(folder / "state.json", json.dumps(state, indent=1).encode())
    DatasetInfo(features=features).write_to_directory(str(folder))
    return [folder / "state.json", folder / "dataset_info.json"]


def _remove_strangers(folder: Path, wanted: Sequence[Path]) -> None:
    """Remove what earlier attempts with other settings or other files have left."""
    keep = {*wanted, folder / _LOCK}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in keep:
            path.unlink()


def _manifest(
    sets: Sequence[PairSet],
    folder: Path,
    recipe: Recipe,
    workers: int,
    progress: Callable[[int, int], None],
) -> Document:
    first = sets[0]
    files = file_entries(folder, workers, progress)
    files.pop(_LOCK, None)
    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": first.dataset,
        "layout": first.layout,
        "convention": first.convention,
        "kernel": recipe.kernel,
        "encoding": recipe.encoding,
        "resolutions": [f"{height}x{width}" for height, width in recipe.resolutions],
        "splits": {pairs.split: _counts(pairs) for pairs in sets},
        "files": files,
    }


def _counts(pairs: PairSet) -> dict[str, object]:
    visible = [pose.visible for pose in pairs.gallery.keypoints]
    return {
        "pictures": len(pairs.gallery.pictures),
        "pictures_without_joints": sum(not seen.any() for seen in visible),
        "groups": len(set(pairs.gallery.groups)),
        "pairs": len(pairs),
        "slices": {
            name: {
                label: int(np.count_nonzero(column.codes == code))
                for code, label in enumerate(column.labels)
            }
            for name, column in pairs.slices.items()
        },
    }
