"""What is right and wrong with a dataset on disk, whatever its layout: every finding, in words.

Findings are problems, which make a dataset unusable until they are mended, or notes, which a user
should know of. A picture that no pair uses, a joint outside the frame and a garment of both splits
are notes: the published sets have them too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pcdms_data.layouts.split import SplitRecord, build
from pcdms_data.layouts.table import LAYOUTS, Layout, find_layout
from pcdms_data.names import group_of, parse_fashion
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.picture_check import look_at, usual_size
from pcdms_data.preparing.checking import expected_size
from pcdms_data.preparing.manifest import damaged_files, holds_manifest, read_manifest
from pcdms_data.preparing.problems import Problem
from pcdms_data.published_counts import compared_with_published, known_list
from pcdms_data.split_findings import keypoint_notes, picture_findings, unlisted_pictures
from pcdms_data.splits_on_disk import Follow, splits_on_disk
from pcdms_data.types import AbsentSplitError, InputError, Picture

ON_DISK = ("deepfashion", "market1501", "folder")
"""Datasets that a folder is tried for, in this order, where none is named."""


@dataclass(frozen=True)
class SplitCounts:
    """One split in numbers. `items` is None where names tell no garment; `published` in words."""

    split: str
    pictures: int
    groups: int
    items: int | None
    pairs: int
    without_joints: int
    resolution: str
    stored: str
    published: str
    list_known_as: str


@dataclass(frozen=True)
class Overlap:
    """What training and another split have in common; `items` None where names tell none."""

    split: str
    pictures: int
    groups: int
    items: int | None


@dataclass(frozen=True)
class CheckReport:
    """Everything found in a dataset. `others` are layouts that recognise the folder as well."""

    root: str
    dataset: str
    layout: str
    found: str
    others: tuple[str, ...]
    convention: str
    splits: tuple[SplitCounts, ...]
    overlaps: tuple[Overlap, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    decoded: bool
    usable: bool
    verdict: str
    next_command: str


@dataclass
class _Findings:
    problems: list[Problem] = field(default_factory=list[Problem])
    notes: list[Problem] = field(default_factory=list[Problem])


def check_dataset(
    root: Path,
    dataset: str | None = None,
    layout: str | None = None,
    fast: bool = False,
    workers: int = 2,
    follow: Follow | None = None,
) -> CheckReport:
    """Return what is found in the folder `root`; only a folder of no known layout is an error.

    `dataset` and `layout` None are found by looking. Every picture is decoded in `workers` threads,
    with `fast` only its head is read, and the files of a prepared dataset are not compared with
    their SHA-256. `follow` shows the progress of each part.
    Raises InputError where `root` is no folder or no layout recognises it.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder, expected the root of a dataset")
    dataset, chosen, others = _choose(root, dataset, layout)
    findings = _Findings()
    sets, records = _read(root, dataset, chosen, findings)
    if chosen.name == "prepared" and not fast:
        lines = damaged_files(root, workers, follow("reading files") if follow else None)
        findings.problems += [Problem("damaged file", line) for line in lines]
    counts = [
        _check_split(pairs, record, fast, workers, follow, findings)
        for pairs, record in zip(sets, records, strict=True)
    ]
    if chosen.name != "prepared":
        findings.notes += unlisted_pictures(sets)
    overlaps = _overlaps(sets, records, findings)
    usable = bool(sets) and not findings.problems
    return CheckReport(
        root=str(root),
        dataset=dataset,
        layout=chosen.name,
        found=str(chosen.load().recognise(root, dataset) or "nothing of it"),
        others=others,
        convention=sets[0].convention if sets else "",
        splits=tuple(counts),
        overlaps=overlaps,
        problems=tuple(findings.problems),
        notes=tuple(findings.notes),
        decoded=not fast,
        usable=usable,
        verdict=_verdict(counts, findings.problems, fast),
        next_command=_next_command(root, dataset, chosen.name, sets, records, usable),
    )


def _choose(
    root: Path, dataset: str | None, layout: str | None
) -> tuple[str, Layout, tuple[str, ...]]:
    """Return dataset and layout of a folder, and what else recognises it."""
    if dataset is not None:
        names: tuple[str, ...] = (dataset,)
    elif holds_manifest(root):
        names = (str(read_manifest(root)["dataset"]),)
    else:
        names = ON_DISK
    for name in names:
        check_choice(
            "dataset", name, tuple({n: None for one in LAYOUTS.values() for n in one.datasets})
        )
    if layout is not None:
        check_choice("layout", layout, tuple(LAYOUTS))
        names = tuple(name for name in names if name in LAYOUTS[layout].datasets) or names[:1]
    matches = [
        (name, one)
        for name in names
        for one in LAYOUTS.values()
        if name in one.datasets and one.load().recognise(root, name) is not None
    ]
    if layout is None and not matches:
        if dataset is not None:
            return dataset, find_layout(dataset, root), ()
        raise InputError(
            f"{root} holds no layout that is known, expected one of {', '.join(LAYOUTS)} "
            "(`pcdms-bench list layouts` describes them)"
        )
    name = next((name for name, one in matches if layout in (None, one.name)), names[0])
    chosen = find_layout(name, root, layout)
    others = (f"{one.name} ({other})" for other, one in matches if one is not chosen)
    return name, chosen, tuple(dict.fromkeys(others))


def _read(
    root: Path, dataset: str, layout: Layout, findings: _Findings
) -> tuple[list[PairSet], list[SplitRecord]]:
    """Return every split that can be read; one that is not there is a note if another one is."""
    sets, records = [], []
    absent: list[Problem] = []
    try:
        splits = splits_on_disk(root, layout)
    except InputError:
        splits = ("test",)  # reading it says what is wrong
    for split in splits:
        try:
            record = layout.load().read(root, dataset, split)
            frame = record.frame or record.keypoints[0].size
            sets.append(build(record, dataset, split, layout.name, frame))
            records.append(record)
        except AbsentSplitError as error:
            absent.append(Problem(f"split {split}", str(error)))
        except InputError as error:
            findings.problems.append(Problem(f"split {split}", str(error)))
    (findings.notes if sets else findings.problems).extend(absent)
    return sets, records


def _check_split(
    pairs: PairSet,
    record: SplitRecord,
    fast: bool,
    workers: int,
    follow: Follow | None,
    findings: _Findings,
) -> SplitCounts:
    """Look at one split; adds to the findings and returns its numbers."""
    gallery = pairs.gallery
    used = np.zeros(len(gallery.pictures), dtype=np.bool_)
    used[pairs.rows.ravel()] = True
    stored: list[str] = []
    for pictures in _stores(record):
        progress = follow(f"pictures of {pairs.split}") if follow else None
        states = look_at(pictures, "head" if fast else "pixels", workers, progress)
        expected = expected_size(pairs)
        problems, notes = picture_findings(pairs.split, pictures, states, used, expected)
        findings.problems += problems
        findings.notes += notes
        size = usual_size(states)
        stored += [f"{size[0]}x{size[1]}"] if size else []
    masks = [mask for mask in pairs.mask_handles if mask is not None]
    states = look_at(masks, "head" if fast else "pixels", workers, labels=True)
    findings.problems += [Problem("label map", one.reason) for one in states if one.fault]
    findings.notes += keypoint_notes(pairs, record.keypoints, used)
    if not len(pairs):
        findings.problems.append(Problem("no pairs", f"split {pairs.split} holds no pair"))
    names = [picture.name for picture in gallery.pictures]
    height, width = pairs.resolution
    return SplitCounts(
        split=pairs.split,
        pictures=len(names),
        groups=len(set(gallery.groups)),
        items=_count(_items(names)),
        pairs=len(pairs),
        without_joints=sum(not pose.visible.any() for pose in gallery.keypoints),
        resolution=f"{height}x{width}",
        stored=", ".join(dict.fromkeys(stored)),
        published=compared_with_published(pairs.dataset, pairs.split, len(names), len(pairs)),
        list_known_as=known_list(names, pairs.rows),
    )


def _stores(record: SplitRecord) -> list[Sequence[Picture]]:
    """Return the pictures of every size that a layout stores."""
    return list(record.pictures_at.values()) or [record.pictures]


def _overlaps(
    sets: Sequence[PairSet], records: Sequence[SplitRecord], findings: _Findings
) -> tuple[Overlap, ...]:
    """Compare every other split with training; a shared picture is a problem, the rest notes.

    Where the training split itself is not there, its list of names may be.
    """
    train = next((pairs for pairs in sets if pairs.split == "train"), None)
    if train is not None:
        known = {picture.name for picture in train.gallery.pictures}
        groups = set(train.gallery.groups)
    else:
        lists = (record.train_names for record in records if record.train_names)
        known = set(next(lists, frozenset()))
        groups = {group_of(sets[0].dataset, name) for name in known}
    if not known:
        return ()
    items = _items(known)
    overlaps = []
    for pairs in sets:
        if pairs is train:
            continue
        names = [picture.name for picture in pairs.gallery.pictures]
        shared = [name for name in names if name in known]
        findings.problems += [
            Problem("picture of two splits", f"{name} is in train and in {pairs.split}")
            for name in shared
        ]
        common = groups.intersection(pairs.gallery.groups) - {"-1", "0000"}
        findings.notes += [
            Problem("group of two splits", f"{group} is in train and in {pairs.split}")
            for group in sorted(common)
        ]
        theirs = _items(names)
        both = len(items & theirs) if items is not None and theirs is not None else None
        overlaps.append(Overlap(pairs.split, len(shared), len(common), both))
    return tuple(overlaps)


def _items(names: Iterable[str]) -> set[tuple[str, str, str]] | None:
    """Return the garments that names tell, None where they tell none."""
    return {one.item_key for one in map(parse_fashion, names) if one is not None} or None


def _count(items: set[tuple[str, str, str]] | None) -> int | None:
    return len(items) if items is not None else None


def _verdict(counts: Sequence[SplitCounts], problems: Sequence[Problem], fast: bool) -> str:
    if problems:
        kinds: dict[str, int] = {}
        for problem in problems:
            kinds[problem.kind] = kinds.get(problem.kind, 0) + 1
        found = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        return f"not usable: {found}"
    if not counts:
        return "not usable: no split can be read"
    pairs = ", ".join(f"{one.pairs:,} {one.split} pairs" for one in counts)
    return f"usable: {pairs}" + ("; pictures were not decoded" if fast else "")


def _next_command(
    root: Path,
    dataset: str,
    layout: str,
    sets: Sequence[PairSet],
    records: Sequence[SplitRecord],
    usable: bool,
) -> str:
    """Return what to type next: use the data, or check again once it is mended."""
    place = shlex.quote(str(root))
    if usable:
        split = "test" if any(pairs.split == "test" for pairs in sets) else sets[0].split
        words = f"pcdms-bench run --dataset {dataset} --root {place}"
        if find_layout(dataset, root).name != layout:  # `run` takes the first that fits
            words += f" --layout {layout}"
        words += "" if split == "test" else f" --split {split}"
        return words + ("" if all(one.frame for one in records) else " --resolution 256x176")
    if layout == "prepared":
        return f"pcdms-bench data prepare --dataset {dataset} --root DOWNLOAD --out {place}"
    return f"pcdms-bench data check --dataset {dataset} --root {place}"
