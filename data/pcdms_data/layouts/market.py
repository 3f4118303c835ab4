"""Market-1501: the folders of the download, or their renamed copies, with the lists of PATN.

```
train/ , test/ (or bounding_box_train/ , bounding_box_test/)    128x64 JPEG
market-pairs-{train,test}.csv                         from,to
market-annotation-{train,test}.csv                    key points in the 128x64 frame
```

The gallery of a split holds all annotated pictures, junk (`-1`) and distractors (`0000`) too, which
enter no pair. Names that end in `.jpg.jpg` are kept. Source: tengteng95/Pose-Transfer,
data/keypoint.py; file names of myeongjun2/pose-guided-human-image-generation, data/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pcdms_data.layouts.patn_family import (
    SPLITS,
    FamilyFiles,
    find_annotation,
    found_annotation,
    read_family,
    write_family,
)
from pcdms_data.layouts.split import SplitRecord
from pcdms_data.pair_set import PairSet
from pcdms_data.people.presets import check_choice
from pcdms_data.types import InputError

FILES = FamilyFiles(
    folders=("", "market_data", "market"),
    annotation=("market-annotation-{split}.csv",),
    pairs=("market-pairs-{split}.csv",),
    pictures=(
        "{split}",
        "bounding_box_{split}",
        "market-dataset/{split}",
        "Market-1501-v15.09.15/bounding_box_{split}",
    ),
)


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    found = found_annotation(root, FILES)
    if found is not None:
        return found.name
    boxes = [f"bounding_box_{split}" for split in SPLITS]
    return next((f"{name}/ without lists" for name in boxes if (root / name).is_dir()), None)


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order.

    Raises InputError as `read_family` does; the line says how to make key points where the download
    has none.
    """
    check_choice("split", split, SPLITS)
    if find_annotation(root, FILES, split) is None:
        boxes = root / f"bounding_box_{split}"
        pictures = boxes if boxes.is_dir() else root / split
        list_file = root / FILES.annotation[0].format(split=split)
        if pictures.is_dir():
            raise InputError(
                f"dataset {dataset}: {list_file} is missing, {pictures} has no key points: bring "
                f"the published file, or make it with `pcdms-bench data pose {pictures} --out "
                f"{list_file} --format patn`; its pairs come by the published rule (`pcdms-bench "
                "data pairs` writes the list)"
            )
    return read_family(root, FILES, dataset, split)


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the splits train and test at their resolution; return the number of pictures."""
    return write_family(sets, out, FILES, native=False, progress=progress)
