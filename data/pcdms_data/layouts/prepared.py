"""A prepared dataset: Arrow tables that are mapped, not read (`pcdms_data.preparing.prepare`).

Key points come from the columns as arrays, slices as columns of codes; pictures stay where they are
until one is loaded. The sizes of the files are compared with the manifest, their SHA-256 are not
(`preparing.manifest.damaged_files` does that).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdms_data.layouts.split import FRAMES, SplitRecord
from pcdms_data.pair_set import SliceColumn
from pcdms_data.people.presets import check_choice
from pcdms_data.preparing.columns import SLICE, flags, numbers, points
from pcdms_data.preparing.manifest import Document, check_sizes, holds_manifest, read_manifest
from pcdms_data.tables import inside, safe_name
from pcdms_data.types import InputError, Keypoints, Picture

Frame = tuple[int, int]


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    return "manifest.json" if holds_manifest(root) else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return one split at all its resolutions; key points are of the dataset's own one, if there.

    Raises InputError on a manifest or table that is missing or malformed, on another dataset, and
    on an unknown split.
    """
    document = read_manifest(root)
    check_choice("split", split, tuple(document["splits"]))
    if dataset not in (document["dataset"], "folder"):
        raise InputError(f"{root} holds dataset {document['dataset']}, not {dataset}")
    frames = [_frame(text) for text in document["resolutions"]]
    own = FRAMES.get(document["dataset"])
    base = own if own in frames else frames[0]
    places = {frame: root / f"{frame[0]}x{frame[1]}" / split for frame in frames}
    for place in places.values():
        check_sizes(root, document, place.relative_to(root).as_posix() + "/")
    try:
        return _record(root, document, places, base, base == own or len(frames) == 1)
    except InputError:
        raise  # it says what is wrong itself
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"{places[base]} is no split of a prepared dataset ({error}): prepare it again"
        ) from error


def _record(
    root: Path, document: Document, places: dict[Frame, Path], base: Frame, plain: bool
) -> SplitRecord:
    handles = {frame: _pictures(root, place / "images") for frame, place in places.items()}
    names = [picture.name for picture in handles[base]]
    for frame, pictures in handles.items():
        if [picture.name for picture in pictures] != names:
            raise InputError(f"{places[frame]} holds other pictures than {places[base]}")
    tables = [_open(path) for path in _files(root, places[base] / "images")]
    xy = np.concatenate([points(table["keypoints"]) for table in tables])
    visible = np.concatenate([flags(table["visible"]) for table in tables])
    pairs = pa.concat_tables([_open(path) for path in _files(root, places[base] / "pairs")])
    ends = [_codes(pairs[name], np.dtype(np.int32)) for name in ("source", "target")]
    rows = np.stack(ends, axis=1)
    if rows.size and not 0 <= rows.min() <= rows.max() < len(xy):
        raise InputError(f"{places[base] / 'pairs'} has rows outside of the table of pictures")
    return SplitRecord(
        pictures=handles[base],
        keypoints=[Keypoints(at, seen, base) for at, seen in zip(xy, visible, strict=True)],
        rows=rows,
        where=places[base],
        frame=base if plain else None,
        convention=str(document["convention"]),
        groups=[group for table in tables for group in table["group"].to_pylist()],
        masks=_masks(root, places[base]),
        pictures_at=handles,
        columns=_slices(pairs),
    )


def _pictures(root: Path, folder: Path) -> list[Picture]:
    return [
        Picture(safe_name(name, path), path, row)
        for path in _files(root, folder)
        for row, name in enumerate(_open(path)["name"].to_pylist())
    ]


def _masks(root: Path, place: Path) -> list[Picture | None] | None:
    folder = place / "masks"
    if not folder.is_dir():
        return None
    masks: list[Picture | None] = []
    for path in _files(root, folder):
        table = _open(path)
        there = table["image"].is_valid().to_pylist()
        names = table["name"].to_pylist()
        masks += [
            Picture(name, path, row) if there[row] else None for row, name in enumerate(names)
        ]
    return masks


def _slices(pairs: pa.Table) -> dict[str, SliceColumn]:
    """Return the label columns; the labels are those that `datasets` keeps in the schema."""
    features = json.loads(pairs.schema.metadata[b"huggingface"])["info"]["features"]
    return {
        name.removeprefix(SLICE): SliceColumn(
            tuple(features[name]["names"]), _codes(pairs[name], np.dtype(np.int64)).astype(np.int16)
        )
        for name in pairs.schema.names
        if name.startswith(SLICE)
    }


def _codes(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    chunks = [numbers(chunk, dtype) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=dtype)


def _files(root: Path, folder: Path) -> list[Path]:
    """Return the Arrow files of a table in their order."""
    state = json.loads((folder / "state.json").read_bytes())
    paths = [folder / entry["filename"] for entry in state["_data_files"]]
    return [inside(root, path) for path in paths]


def _open(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_stream(source).read_all()


def _frame(text: str) -> Frame:
    height, width = text.split("x")
    return int(height), int(width)
