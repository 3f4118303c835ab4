"""The original In-shop download, in folders or zip archives, with an annotation file beside it.

`Img/img` (256x256, cut to the columns 40 to 216) or `Img/img_highres` (1101x750, resized); the
first is taken where both are there. Pairs come from the pair list beside the annotation file, else
from the published rule. Source: open-mmlab/mmfashion, docs/dataset/IN_SHOP_DATASET.md; the
crop is that of tengteng95/Pose-Transfer, tool/generate_fashion_datasets.py.
"""

from __future__ import annotations

from pathlib import Path

from pcdms_data.layouts.annotation import read_annotation_rows
from pcdms_data.layouts.download_lists import SPLITS, require_lists, train_names
from pcdms_data.layouts.download_split import choose_store, split_record
from pcdms_data.layouts.downloads import has_fashion_store
from pcdms_data.layouts.split import SplitRecord
from pcdms_data.people.presets import check_choice
from pcdms_data.tables import inside
from pcdms_data.types import InputError

_OTHERS = ("train", "test", "train_highres", "test_highres", "pose", "train_pairs.txt",
           "test_pairs.txt", "fashion_resize")  # fmt: skip


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of the download in `root`, or None.

    Other layouts keep the tree beside their own folders; such a root is theirs.
    """
    del dataset
    if any((root / name).exists() for name in _OTHERS) or not has_fashion_store(root):
        return None
    return "the In-shop tree"


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return one split of the download.

    Raises InputError where there are no pictures or no annotation file, on malformed lists, on a
    locked or damaged archive, and on files that lie outside of `root`.
    """
    check_choice("split", split, SPLITS)
    lists = require_lists(dataset, split, root)
    for path in (lists.annotation, lists.pairs, lists.names):
        if path is not None:
            inside(root, path)
    store, convention = choose_store(root, dataset, split, None)
    if store.problems:
        more = f" (and {len(store.problems) - 1} more)" if len(store.problems) > 1 else ""
        raise InputError(f"{store.problems[0]}{more}")
    rows = read_annotation_rows(lists.annotation)
    trained = train_names(dataset, root)
    record = split_record(dataset, lists, rows, store, convention, trained)
    for picture in record.pictures:
        inside(root, picture.path)
    return record
