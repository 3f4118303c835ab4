"""GFLA, and PISE on the same files: PATN's lists without `resize`, high-resolution originals.

```
train/ , test/                                        1101x750 JPEG, flat names
train.lst , test.lst , fasion-pairs-{train,test}.csv
fasion-annotation-{train,test}.csv                    key points in the 256x176 frame
trainSPL8/ , testSPL8/                                PISE: <name>.png, 256x256, labels 0 to 7
```

PISE works on padded squares: its maps, and its pictures where they are 256x256, are cut to columns
40 to 216. The maps are read as masks (person = label above 0); they are not written, because which
clothes its two classes of the lower body hold was never said. GFLA's README writes `fashion-`, its
loader opens `fasion-`; both are read, the second is written. Pictures keep their own size. Source:
RenYurui/Global-Flow-Local-Attention, data/fashion_dataset.py; Zhangjinso/PISE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pcdms_data.layouts import patn
from pcdms_data.layouts.annotation import names_as_written
from pcdms_data.layouts.patn_family import (
    FamilyFiles,
    find_annotation,
    found_annotation,
    read_family,
    write_family,
)
from pcdms_data.layouts.split import HIGHRES_RESIZE, LOWRES_CROP, SplitRecord
from pcdms_data.names import is_defgan
from pcdms_data.pair_set import PairSet

KEEPS_SIZE = True
"""Pictures are written at their own size."""

FILES = FamilyFiles(
    folders=("", "fashion", "fashion_data"),
    annotation=("fasion-annotation-{split}.csv", "fashion-annotation-{split}.csv"),
    pairs=("fasion-pairs-{split}.csv", "fashion-pairs-{split}.csv"),
    pictures=("{split}", "{split}_highres"),
    lists="{split}.lst",
    convention=HIGHRES_RESIZE,
)
PISE_FILES = replace(FILES, masks="{split}SPL8", crops=True)


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None.

    Def-GAN has files of the same names, told by its picture names; PATN has `resize` in them.
    """
    del dataset
    found = found_annotation(root, FILES)
    if found is None or found_annotation(found.parent, patn.RESIZED) is not None:
        return None
    return None if any(map(is_defgan, names_as_written(found, 1))) else found.name


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order; raises InputError as `read_family` does."""
    annotation = find_annotation(root, FILES, split)
    maps = annotation and annotation.parent / PISE_FILES.masks.format(split=split)
    if not maps or not maps.is_dir():
        return read_family(root, FILES, dataset, split)
    record = read_family(root, PISE_FILES, dataset, split)
    padded = any(picture.crop for picture in record.pictures)
    return replace(record, convention=LOWRES_CROP if padded else HIGHRES_RESIZE)


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the splits train and test, pictures at their own size; return their number."""
    return write_family(sets, out, FILES, native=True, progress=progress)
