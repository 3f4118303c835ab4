"""Def-GAN: names without category underscores, pictures and key points of 256x256.

```
fasion-dataset/{train,test}/                          256x256 JPEG, or {train,test}/
fasion-pairs-{train,test}.csv
fasion-annotation-{train,test}.csv                    key points in the 256x256 frame
```

Names become flat, pictures and key points are cut to columns 40 to 216. A joint left of the cut
stays a joint, with a negative x. Source: AliaksandrSiarohin/pose-gan, README.md.
"""

from __future__ import annotations

from pathlib import Path

from pcdms_data.layouts import gfla, patn
from pcdms_data.layouts.annotation import names_as_written
from pcdms_data.layouts.family_pictures import CROP
from pcdms_data.layouts.patn_family import FamilyFiles, found_annotation, read_family
from pcdms_data.layouts.split import LOWRES_CROP, SplitRecord
from pcdms_data.names import is_defgan

FILES = FamilyFiles(
    folders=("", "data"),
    annotation=gfla.FILES.annotation,
    pairs=gfla.FILES.pairs,
    pictures=("fasion-dataset/{split}", "fashion-dataset/{split}", "{split}"),
    left=CROP[0],
    crops=True,
    convention=LOWRES_CROP,
)


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    found = found_annotation(root, FILES)
    if found is None or found_annotation(found.parent, patn.RESIZED) is not None:
        return None
    named = any(map(is_defgan, names_as_written(found, 1)))
    return f"{found.name} with Def-GAN names" if named else None


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order; raises InputError as `read_family` does."""
    return read_family(root, FILES, dataset, split)
