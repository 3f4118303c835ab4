"""ADGAN: the lists of PATN in the spelling `fashion-resize`, and a parsing map for each picture.

```
fashion_resize/{train,test}/                            256x176 JPEG, flat names
semantic_merge3/WOMEN/Dresses/id_.../02_1_front.npy     labels (256, 176), 0 to 7 (`CLASSES`)
fashion-resize-{pairs,annotation}-{train,test}.csv , train.lst , test.lst
```

The maps are read as the masks of the pairs: a person is what is above 0. Files of pickled objects
are refused. The heat maps `trainK/` and `testK/` are made by the recipe's own script, as for PATN;
its loader takes pictures and maps of 256x176 only. Source: menyifang/ADGAN README.md,
data/keypoint.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcdms_data.images import load_labels, write_atomically
from pcdms_data.layouts import patn
from pcdms_data.layouts.pair_lines import tree_stem
from pcdms_data.layouts.parsing_maps import map_path, people_classes
from pcdms_data.layouts.patn_family import (
    find_annotation,
    found_annotation,
    read_family,
    write_family,
)
from pcdms_data.layouts.split import SplitRecord
from pcdms_data.names import parsed_name
from pcdms_data.pair_set import PairSet
from pcdms_data.tables import inside
from pcdms_data.types import InputError, Picture

MAPS = "semantic_merge3"
STEMS = ("fashion-resize", "fasion-resize")

FILES = replace(
    patn.FILES,
    folders=("", "deepfashion"),
    annotation=tuple(f"{stem}-annotation-{{split}}.csv" for stem in STEMS),
    pairs=tuple(f"{stem}-pairs-{{split}}.csv" for stem in STEMS),
    pictures=("fashion_resize/{split}", "{split}"),
)


def recognise(root: Path, dataset: str) -> str | None:
    """Return what was found of this layout in `root`, or None."""
    del dataset
    found = found_annotation(root, FILES)
    if found is None or not (found.parent / MAPS).is_dir():
        return None
    return f"{found.name}, {MAPS}/"


def read(root: Path, dataset: str, split: str) -> SplitRecord:
    """Return the pairs of a split in file order; pictures without a map have no mask.

    Raises InputError as `read_family` does, and where the folder of the maps is missing.
    """
    record = read_family(root, FILES, dataset, split)
    annotation = find_annotation(root, FILES, split)
    folder = (annotation.parent if annotation else root) / MAPS
    if not folder.is_dir():
        raise InputError(f"{folder} is missing, expected the parsing maps")
    return replace(record, masks=[_mask(root, folder, picture) for picture in record.pictures])


def write(
    sets: Sequence[PairSet], out: Path, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write splits at their resolution, with parsing maps; return the number of pictures.

    Raises InputError where the pictures have no parsing: only the embedded people and this layout
    carry it.
    """
    for pairs in sets:
        if _parsing(pairs) is None:
            raise InputError(
                f"layout 'adgan' needs a parsing map of every picture, which {pairs.dataset}"
                f"{f' in layout {pairs.layout}' if pairs.layout else ''} does not carry: expected "
                "people, or deepfashion in layout adgan"
            )
    count = write_family(sets, out, FILES, native=False, progress=progress)
    for pairs in sets:
        classes = _parsing(pairs)
        for picture, mask in zip(pairs.gallery.pictures, pairs.mask_handles, strict=True):
            if mask is None or classes is None:
                continue
            content = io.BytesIO()
            np.save(content, classes(mask, pairs.resolution), allow_pickle=False)
            path = map_path(out / MAPS, tree_stem(parsed_name(picture.name)))
            write_atomically(path, content.getvalue())
    return count


def _parsing(pairs: PairSet) -> Callable[[Picture, tuple[int, int]], np.ndarray] | None:
    """Return what makes classes of the masks of these pairs, None where they are something else."""
    if pairs.layout == "adgan":
        return load_labels
    embedded = pairs.dataset in ("people", "people-street") and not pairs.layout
    return people_classes if embedded else None


def _mask(root: Path, folder: Path, picture: Picture) -> Picture | None:
    path = inside(root, map_path(folder, tree_stem(parsed_name(picture.name))))
    return Picture(picture.name, path) if path.is_file() else None
