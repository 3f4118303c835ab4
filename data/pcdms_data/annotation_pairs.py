"""The pairs of an annotation file alone, for counts and slices where there are no pictures."""

from __future__ import annotations

from pathlib import Path

from pcdms_data.layouts.annotation import read_annotation_rows, read_names
from pcdms_data.layouts.split import FRAMES, SplitRecord, build
from pcdms_data.pair_rule import check_names, published_rows
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.types import Picture


def annotation_pairs(
    path: Path, dataset: str, split: str, train_list: Path | None = None
) -> PairSet:
    """Return the pairs that the published rule makes of an annotation file, plain or `.gz`.

    `dataset` is deepfashion or market1501, `split` train or test. `train_list` (`train.lst`) tells
    seen garments from unseen ones; the training split knows its own. The pictures are named beside
    the file and need not be there. Raises InputError on a malformed file and on other names.
    """
    check_choice("dataset", dataset, tuple(FRAMES))
    check_choice("split", split, ("train", "test"))
    rows = read_annotation_rows(path)
    check_names(rows.names, dataset, str(path))
    train_names = frozenset(rows.names) if split == "train" else None
    if train_list is not None:
        train_names = frozenset(read_names(train_list))
    record = SplitRecord(
        pictures=[Picture(name, path.parent / name) for name in rows.names],
        keypoints=rows.keypoints(FRAMES[dataset]),
        rows=published_rows(rows.names, rows.visible, dataset, split),
        where=path,
        frame=FRAMES[dataset],
        train_names=train_names,
    )
    return build(record, dataset, split, layout="")
