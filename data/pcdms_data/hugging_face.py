"""Pairs as a Hugging Face dataset: pictures inside, key points, views and cameras."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcdms_data.cache import cache_folder
from pcdms_data.images import load_picture, png_bytes
from pcdms_data.names import MARKET, parse_fashion
from pcdms_data.picture_store import pictures_digest
from pcdms_data.types import InputError, K, Picture

if TYPE_CHECKING:
    import datasets

    from pcdms_data.pair_set import PairSet

DATASET_LABELS = ("deepfashion", "market1501", "people", "people-street", "folder")
"""Values of the column `dataset`; extended at the end, never reordered."""
SPLIT_LABELS = ("train", "test", "val")
VIEW_LABELS = ("front", "side", "back", "full", "flat", "additional", "none")


def features() -> datasets.Features:
    """Return the columns; key points are (x, y) pixels in the `height` x `width` frame.

    A view is `none`, a camera null, where the picture's name tells none.
    """
    from datasets import Array2D, ClassLabel, Features, Image, List, Value

    columns: dict[str, Any] = {
        name: Value("string") for name in ("pair_id", "group", "source_name", "target_name")
    }
    columns["dataset"] = ClassLabel(names=list(DATASET_LABELS))
    columns["split"] = ClassLabel(names=list(SPLIT_LABELS))
    for end in ("source", "target"):
        columns[f"{end}_image"] = Image()
        columns[f"{end}_keypoints"] = Array2D((K, 2), "float32")
        columns[f"{end}_visible"] = List(Value("bool"), length=K)
        columns[f"{end}_view"] = ClassLabel(names=list(VIEW_LABELS))
        columns[f"{end}_camera"] = Value("int8")
    columns |= {"height": Value("int32"), "width": Value("int32"), "slices": Value("string")}
    return Features(columns)


def to_datasets(pairs: PairSet) -> datasets.Dataset:
    """Return `pairs` with the pictures as PNG bytes inside, and `slices` as JSON text.

    Raises PictureError on a picture that cannot be decoded, InputError on a split that the column
    `split` has no label for.
    """
    from datasets import Dataset

    if pairs.split not in SPLIT_LABELS:
        raise InputError(
            f"split {pairs.split!r} has no label, expected one of {', '.join(SPLIT_LABELS)}"
        )
    # Written batch by batch to Arrow files: the pictures of all pairs need not fit in memory.
    return Dataset.from_generator(
        _rows,
        features=features(),
        cache_dir=str(cache_folder() / "datasets"),
        gen_kwargs={"pairs": pairs},
        fingerprint=_fingerprint(pairs),
    )


def _rows(pairs: PairSet) -> Iterator[dict[str, Any]]:
    height, width = pairs.resolution
    encoded = lru_cache(maxsize=256)(_png)
    for pair in pairs:
        row: dict[str, Any] = {
            "pair_id": pair.pair_id,
            "group": pair.group,
            "source_name": pair.source.name,
            "target_name": pair.target.name,
            "dataset": pairs.dataset,
            "split": pairs.split,
            "height": height,
            "width": width,
            "slices": json.dumps(pair.slices, sort_keys=True),
        }
        for end, picture, pose in (
            ("source", pair.source, pair.source_pose),
            ("target", pair.target, pair.target_pose),
        ):
            row[f"{end}_image"] = {"bytes": encoded(picture, pairs.resolution), "path": None}
            row[f"{end}_keypoints"] = pose.xy
            row[f"{end}_visible"] = pose.visible.tolist()
            row[f"{end}_view"], row[f"{end}_camera"] = _view(picture.name), _camera(picture.name)
        yield row


def _view(name: str) -> str:
    parsed = parse_fashion(name)
    return parsed.view if parsed is not None and parsed.view in VIEW_LABELS else "none"


def _camera(name: str) -> int | None:
    match = MARKET.fullmatch(name)
    return int(match["camera"]) if match else None


def _png(picture: Picture, size: tuple[int, int]) -> bytes:
    return png_bytes(load_picture(picture, size))


def _fingerprint(pairs: PairSet) -> str:
    """Name the content by pair ids, key points and the time stamps of the picture files."""
    digest = hashlib.sha256(json.dumps([pairs.dataset, pairs.split, pairs.resolution]).encode())
    digest.update(pictures_digest(pairs.gallery.pictures))
    for pair in pairs:
        digest.update(json.dumps([pair.pair_id, pair.group, pair.slices]).encode())
    for pose in pairs.gallery.keypoints:
        digest.update(pose.xy.tobytes() + pose.visible.tobytes())
    return digest.hexdigest()[:32]
