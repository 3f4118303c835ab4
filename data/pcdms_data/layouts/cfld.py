"""CFLD: the lists of PATN with copies of the high-resolution originals.

```
train_highres/ , test_highres/                        1101x750 JPEG, flat names
train.lst , test.lst , fasion-resize-pairs-{train,test}.csv
fasion-resize-annotation-{train,test}.csv             key points in the 256x176 frame
```

Its README writes `fashion-resize`, its loader opens `fasion-resize`; both are read, the second is
written. Pictures keep their own size. Source: YanzuoLu/CFLD, datasets/deepfashion.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pcdms_data.layouts import patn
from pcdms_data.layouts.patn_family import SPLITS, found_annotation, read_family, write_family
from pcdms_data.layouts.split import HIGHRES_RESIZE, SplitRecord
from pcdms_data.pair_set import PairSet

KEEPS_SIZE = True
"""Pictures are written at their own size."""

FILES = replace(
    patn.FILES,
    folders=("", "fashion"),
    pictures=("{split}_highres",),
    crops=False,
    convention=HIGHRES_RESIZE,
)


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    found = found_annotation(root, FILES)
    folders = [f"{split}_highres" for split in SPLITS]
    present = [name for name in folders if found and (found.parent / name).is_dir()]
    return f"{found.name}, {present[0]}/" if found and present else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order; raises InputError as `read_family` does."""
    return read_family(root, FILES, dataset, split)


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the splits train and test, pictures at their own size; return their number."""
    return write_family(sets, out, FILES, native=True, progress=progress)
