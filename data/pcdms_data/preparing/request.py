"""Preparing as one call: read everything, check everything, then write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.images import KERNELS
from pcdms_data.layouts.table import find_layout
from pcdms_data.pair_set import PairSet
from pcdms_data.pairs import DATASETS, find_root, load_pairs
from pcdms_data.people.presets import SPLITS as PEOPLE_SPLITS
from pcdms_data.people.presets import check_choice
from pcdms_data.preparing.checking import check_pictures, expected_size
from pcdms_data.preparing.manifest import Document
from pcdms_data.preparing.prepare import prepare, refuse_filled
from pcdms_data.preparing.problems import Problem, UnfitError
from pcdms_data.preparing.raw import Reading, is_download, read_download
from pcdms_data.preparing.shards import Encoding, Recipe
from pcdms_data.splits_on_disk import Follow, read_splits, splits_on_disk
from pcdms_data.types import InputError

PEOPLE = ("people", "people-street")


@dataclass(frozen=True)
class Request:
    """What is to be prepared, and how.

    `splits` None takes all there are; `resolutions` (H, W) empty takes the dataset's own;
    `annotations` and `convention` are for downloads (`raw.read_download`), `size` for the embedded
    people; `kernel` is one of `images.KERNELS`; `any_size` accepts pictures of sizes that a
    download should not have; `workers` None takes a thread for each CPU.
    """

    dataset: str
    root: Path | None
    splits: tuple[str, ...] | None = None
    annotations: Path | None = None
    convention: str | None = None
    layout: str | None = None
    size: str = "mini"
    resolutions: tuple[tuple[int, int], ...] = ()
    encoding: Encoding = "png"
    kernel: str = "pil-bicubic-u8"
    any_size: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Prepared:
    """What was made: the manifest's content, and remarks that stop nothing."""

    manifest: Document
    remarks: tuple[str, ...]


def prepare_dataset(request: Request, out: Path, follow: Follow) -> Prepared:
    """Prepare a dataset as the new folder `out`.

    Raises UnfitError with every problem before anything is written, InputError on wrong settings
    and on files that cannot be read at all.
    """
    refuse_filled(out)
    check_choice("dataset", request.dataset, tuple(DATASETS))
    check_choice("kernel", request.kernel, tuple(name for name in KERNELS if name != "none"))
    root = _root(request)
    reading = _read(request, root, follow)
    workers = request.workers or os.cpu_count() or 1
    problems = (
        reading.problems
        + _without_pairs(reading.sets)
        + check_pictures(reading.sets, _fence(root), request.any_size, workers, follow("checking"))
    )
    if problems:
        raise UnfitError(str(root or request.dataset), problems)
    sizes = tuple(dict.fromkeys(request.resolutions)) or (reading.sets[0].resolution,)
    recipe = Recipe(sizes, request.encoding, request.kernel)
    remarks = (*reading.remarks, *_enlarged(reading.sets, sizes))
    return Prepared(prepare(reading.sets, out, recipe, workers, follow, reading.lists), remarks)


def _without_pairs(sets: Sequence[PairSet]) -> list[Problem]:
    return [
        Problem("no pairs", f"split {pairs.split} holds no pair")
        for pairs in sets
        if not len(pairs)
    ]


def _root(request: Request) -> Path | None:
    if request.dataset in PEOPLE:
        return None
    if request.root is not None and request.root.is_file():
        if request.root.suffix.lower() != ".zip":
            raise InputError(
                f"{request.root} is no zip archive, expected one or a folder: unpack it first"
            )
        return request.root
    return find_root(request.dataset, request.root)


def _read(request: Request, root: Path | None, follow: Follow) -> Reading:
    if root is not None and is_download(request.dataset, root, request.annotations, request.layout):
        return read_download(
            request.dataset, root, request.splits, request.annotations, request.convention
        )
    if request.annotations is not None or (root is not None and root.is_file()):
        raise InputError(
            f"dataset {request.dataset}: annotations and archives are for the downloads of "
            "deepfashion and market1501"
        )
    if root is None and len(request.resolutions) > 1:
        raise InputError(
            f"the embedded {request.dataset} are rendered at one resolution, expected one, not "
            f"{len(request.resolutions)}"
        )
    resolution = request.resolutions[0] if root is None and request.resolutions else None
    if root is None:
        have = request.splits or PEOPLE_SPLITS
    else:
        layout = find_layout(request.dataset, root, request.layout)
        have = request.splits or splits_on_disk(root, layout)

    def load(split: str) -> PairSet:
        return load_pairs(
            request.dataset, root, split, resolution, request.size,
            progress=follow(f"reading {split}"), layout=request.layout,
        )  # fmt: skip

    sets, absent = read_splits(load, have, may_lack=request.splits is None)
    reading = Reading(sets, remarks=list(absent))
    for pairs in reading.sets:
        if request.convention not in (None, pairs.convention):
            text = (
                f"{root}: layout {pairs.layout} has convention {pairs.convention or 'unknown'}, "
                f"expected {request.convention}"
            )
            reading.problems.append(Problem("convention", text))
    return reading


def _fence(root: Path | None) -> Path | None:
    """Return the folder that no picture may lie outside of; the people's are in the cache."""
    return root.parent if root is not None and root.is_file() else root


def _enlarged(sets: Sequence[PairSet], sizes: Sequence[tuple[int, int]]) -> list[str]:
    remarks = []
    stored = expected_size(sets[0])
    for size in sizes:
        if stored is not None and size[0] > stored[0]:
            remarks.append(
                f"{size[0]}x{size[1]} is larger than the pictures ({stored[0]}x{stored[1]}): they "
                "are enlarged"
            )
    return remarks
