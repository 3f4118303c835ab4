"""Reading of the splits that are to be prepared, from a download or any layout, with all problems.

Downloads (In-shop, Market-1501) are read here, so that every missing or malformed thing is found;
other layouts and the embedded people are read by `load_pairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcdms_data.layouts.annotation import Annotation, read_annotation_rows, read_names
from pcdms_data.layouts.download_lists import (
    SPLITS,
    Lists,
    find_lists,
    missing_lists,
    paired_names,
    train_names,
)
from pcdms_data.layouts.download_split import choose_store, split_record
from pcdms_data.layouts.downloads import street_stores
from pcdms_data.layouts.inshop_lists import read_boxes, read_items, read_partition
from pcdms_data.layouts.split import build
from pcdms_data.layouts.table import find_layout
from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.preparing.manifest import holds_manifest
from pcdms_data.preparing.problems import Problem
from pcdms_data.types import InputError

DOWNLOADS = ("deepfashion", "market1501")

_INSHOP_LISTS: dict[str, Callable[[Path], object]] = {
    "list_eval_partition.txt": read_partition,
    "list_bbox_inshop.txt": read_boxes,
    "list_item_inshop.txt": read_items,
}


@dataclass
class Reading:
    """The splits that could be read, every problem, remarks that stop nothing, the lists used."""

    sets: list[PairSet] = field(default_factory=list[PairSet])
    problems: list[Problem] = field(default_factory=list[Problem])
    remarks: list[str] = field(default_factory=list[str])
    lists: list[Path] = field(default_factory=list[Path])


def is_download(dataset: str, root: Path, annotations: Path | None, layout: str | None) -> bool:
    """Tell whether `root` is to be read as an original download.

    It is where it is an archive, where annotations are given apart or the layout `inshop` is named,
    and where no other layout recognises it.
    """
    if dataset not in DOWNLOADS:
        return False
    if root.is_file() or annotations is not None or layout == "inshop":
        return True
    if layout is not None:
        return False
    try:
        return _is_market_download(dataset, root) or find_layout(dataset, root).name == "inshop"
    except InputError:
        return True


def read_download(
    dataset: str,
    root: Path,
    splits: Sequence[str] | None,
    annotations: Path | None,
    convention: str | None,
) -> Reading:
    """Return the splits of an original download, a folder or a zip archive.

    `splits` None takes those that have an annotation file. `annotations` is an annotation file or a
    folder of them, None looks beside the pictures. `convention` None takes the low resolution of
    In-shop where both are there.
    """
    for split in splits or ():
        check_choice("split", split, SPLITS)
    reading = Reading()
    place = annotations or (root.parent if root.is_file() else root)
    found = {split: find_lists(dataset, split, place) for split in splits or SPLITS}
    for split, lists in found.items():
        if lists is None and (splits or not any(found.values())):
            text = missing_lists(dataset, split, place)
            reading.problems.append(Problem("missing annotation file", text))
        elif lists is None:
            reading.remarks.append(f"split {split} is left out: {place} has no annotation of it")
    if dataset == "deepfashion" and root.is_dir():
        reading.problems += _list_problems(root)
    seen_archives: set[Path] = set()
    for lists in found.values():
        if lists is not None:
            _read_split(dataset, root, lists, convention, place, reading, seen_archives)
    return reading


def _read_split(
    dataset: str,
    root: Path,
    lists: Lists,
    convention: str | None,
    place: Path,
    reading: Reading,
    seen_archives: set[Path],
) -> None:
    used = (lists.annotation, lists.pairs, lists.names)
    reading.lists += [path for path in used if path is not None]
    try:
        rows = read_annotation_rows(lists.annotation)
        store, made = choose_store(root, dataset, lists.split, convention)
    except InputError as error:
        reading.problems.append(Problem("unusable file", str(error)))
        return
    unknown = _unannotated(rows, lists)
    reading.problems += unknown
    if store.path not in seen_archives:
        seen_archives.add(store.path)
        reading.problems += [Problem("archive", text) for text in store.problems]
    if unknown or store.problems:
        return
    try:
        trained = train_names(dataset, place)
        record = split_record(dataset, lists, rows, store, made, trained)
        name = "market" if dataset == "market1501" else "inshop"
        reading.sets.append(build(record, dataset, lists.split, name))
        if lists.names is not None:
            more = set(read_names(lists.names)) - set(rows.names)
            if more:
                reading.remarks.append(
                    f"{len(more)} names of {lists.names} have no key points and are left out"
                )
    except InputError as error:
        reading.problems.append(Problem("unusable file", str(error)))


def _unannotated(rows: Annotation, lists: Lists) -> list[Problem]:
    """Return a problem for each name of the pair list that the annotation file lacks, once."""
    if lists.pairs is None:
        return []
    known = {*rows.names, *rows.written}
    missing: dict[str, Problem] = {}
    for line, name in paired_names(lists.pairs):
        if name not in known and name not in missing:
            parsed = parse_fashion(name)
            if parsed is None or parsed.flat not in known:
                text = f"{lists.pairs} line {line}: {name} is not in {lists.annotation}"
                missing[name] = Problem("missing annotation", text)
    return list(missing.values())


def _list_problems(root: Path) -> list[Problem]:
    """Return what is wrong with the text lists of In-shop, where they are there."""
    problems = []
    for folder in ("Eval", "Anno", "."):
        for name, read in _INSHOP_LISTS.items():
            path = root / folder / name
            if path.is_file():
                try:
                    read(path)
                except InputError as error:
                    problems.append(Problem("unusable file", str(error)))
    return problems


def _is_market_download(dataset: str, root: Path) -> bool:
    if dataset != "market1501" or holds_manifest(root):
        return False
    stores = [store.path for split in SPLITS for store in street_stores(root, split)]
    return any(path.is_file() or path.name.startswith("bounding_box") for path in stores)
