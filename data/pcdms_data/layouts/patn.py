"""PATN (and DPTN, XingGAN, BiGraphGAN, MUST-GAN): the common denominator of DeepFashion.

```
train/ , test/                                        256x176 JPEG, flat names
train.lst , test.lst                                  one flat name a line
fasion-resize-pairs-{train,test}.csv                  from,to
fasion-resize-annotation-{train,test}.csv             name:[18 y]:[18 x] in the 256x176 frame
```

The spelling `fashion-`, names without `resize-`, flat, tree and underscore names, `.png` copies of
the pictures and pictures of the 256x256 release are read too. The heat maps `trainK/` and `testK/`
are neither read nor written: the field's script makes them from the annotation file, and its
uint8 arrays keep one pixel a joint. Source: tengteng95/Pose-Transfer, data/keypoint.py and tool/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pcdms_data.layouts.patn_family import (
    FamilyFiles,
    found_annotation,
    read_family,
    write_family,
)
from pcdms_data.layouts.split import LOWRES_CROP, SplitRecord
from pcdms_data.pair_set import PairSet

STEMS = ("fasion-resize", "fashion-resize", "fasion", "fashion")
"""First parts of the file names, in the order of their frequency."""

FILES = FamilyFiles(
    folders=("", "fashion_data"),
    annotation=tuple(f"{stem}-annotation-{{split}}.csv" for stem in STEMS),
    pairs=tuple(f"{stem}-pairs-{{split}}.csv" for stem in STEMS),
    pictures=("{split}",),
    lists="{split}.lst",
    crops=True,
    convention=LOWRES_CROP,
)

RESIZED = replace(FILES, annotation=FILES.annotation[:2])


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    found = found_annotation(root, FILES)
    return found.name if found else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order; raises InputError as `read_family` does."""
    return read_family(root, FILES, dataset, split)


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the splits train and test at their resolution; return the number of pictures."""
    return write_family(sets, out, FILES, native=False, progress=progress)
