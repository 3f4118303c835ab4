"""One split of an original download: its pictures, the lists beside it, and the record of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pcdms_data.layouts.annotation import Annotation
from pcdms_data.layouts.download_lists import Lists, left_column
from pcdms_data.layouts.downloads import (
    CROP,
    Store,
    convention_of,
    fashion_stores,
    street_stores,
)
from pcdms_data.layouts.pair_list import read_pair_list
from pcdms_data.layouts.split import FRAMES, LOWRES_CROP, SplitRecord
from pcdms_data.pair_rule import published_rows
from pcdms_data.types import AbsentSplitError, InputError


def choose_store(root: Path, dataset: str, split: str, convention: str | None) -> tuple[Store, str]:
    """Return the pictures of a split and how they are made: low resolution first if not said.

    Raises InputError where there are none, or none of the wanted convention.
    """
    if dataset == "market1501":
        stores = street_stores(root, split)
        if not stores:
            raise AbsentSplitError(f"{root} holds no pictures: bounding_box_{split}/ is missing")
        return stores[0], ""
    found = [(store, convention_of(store)) for store in fashion_stores(root)]
    if not found:
        raise InputError(
            f"{root} holds no pictures, expected Img/img, Img/img_highres, img.zip or "
            "img_highres.zip"
        )
    found.sort(key=lambda one: one[1] != LOWRES_CROP)
    fitting = [one for one in found if convention in (None, one[1])]
    if not fitting:
        raise InputError(
            f"{root} holds pictures for {found[0][1]} alone ({found[0][0].path}), expected some "
            f"for {convention}"
        )
    return fitting[0]


def split_record(
    dataset: str,
    lists: Lists,
    rows: Annotation,
    store: Store,
    convention: str,
    train_names: frozenset[str] | None,
) -> SplitRecord:
    """Return the record of one split of a download; raises InputError on a bad pair list."""
    crop = CROP if convention == LOWRES_CROP else None
    pictures = [store.picture(name) for name in rows.names]
    if crop:
        pictures = [replace(picture, crop=crop) for picture in pictures]
    if lists.pairs is not None:
        position = {name: place for place, name in enumerate(rows.names)}
        position |= {name: place for place, name in enumerate(rows.written)}
        pairs = read_pair_list(lists.pairs, position, lists.annotation)
    else:
        pairs = published_rows(rows.names, rows.visible, dataset, lists.split)
    return SplitRecord(
        pictures=pictures,
        keypoints=rows.keypoints(FRAMES[dataset], left_column(rows)),
        rows=pairs,
        where=lists.pairs or lists.annotation,
        frame=FRAMES[dataset],
        convention=convention,
        train_names=train_names,
    )
