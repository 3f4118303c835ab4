"""Label maps that some programs need of every picture: from the user's clone or from the dataset.

ADGAN and CASD need human parsing, PISE its own, PoCoLD the parts of DensePose. Nobody but their
authors has the published files, so they are taken where the repository's README puts them; some
datasets carry maps that can stand in. Sources: menyifang/ADGAN:data/keypoint.py,
xyzhouo/CASD:data/keypoint.py, Zhangjinso/PISE:data/base_dataset.py,
BrandonHanx/PoCoLD:inference.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_baselines.external.chosen import Chosen
from pcdms_baselines.external.recipe import LabelMaps
from pcdms_data.images import load_labels, png_bytes, write_atomically
from pcdms_data.layouts.pair_lines import tree_stem
from pcdms_data.layouts.parsing_maps import people_classes
from pcdms_data.layouts.split import FRAMES
from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairSet
from pcdms_data.types import InputError, Picture, flat_stem

Labels = NDArray[np.uint8]
LIP_OF_MERGE3 = np.array([0, 9, 2, 12, 13, 5, 14, 16], dtype=np.uint8)
"""Label of Look into Person that stands for each class of ADGAN: background, pants, hair, skirt,
face, upper clothes, left arm, left leg. CASD merges the twenty labels into eight of its own."""
_FRAME, _SQUARE = FRAMES["deepfashion"], (256, 256)


@dataclass(frozen=True)
class Kind:
    """One form of maps: how files are named, and what of a dataset can be made into it."""

    suffix: str
    tree: bool
    """Whether a program looks for `WOMEN/Dresses/id_.../02_1_front`, not for the flat name."""
    carried: Callable[[PairSet], bool]
    convert: Callable[[PairSet, Picture], Labels]


def carries(kind: str, dataset: PairSet | None) -> bool:
    """Tell whether a dataset carries maps that can be made into those of `kind`."""
    return dataset is not None and KINDS[kind].carried(dataset)


def provide(
    maps: LabelMaps, chosen: Chosen, clone: Path, dataset: PairSet | None, work: Path
) -> dict[str, str]:
    """Put the map of every chosen picture into the work folder; return {own name: lack} of others.

    A map of the clone is linked; one of the dataset is converted and written.
    """
    kind = KINDS[maps.kind]
    own = _own_maps(dataset) if carries(maps.kind, dataset) else {}
    lacking = {}
    for name, picture in zip(chosen.names, chosen.pairs.gallery.pictures, strict=True):
        target = work / (maps.to or maps.place) / _file_name(picture.name, kind.suffix, kind.tree)
        found = _in_clone(clone / maps.place, name, kind.suffix)
        mask = own.get(name)
        if found is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(found)
        elif mask is not None and dataset is not None:
            try:
                write_atomically(target, _encoded(kind.convert(dataset, mask), kind.suffix))
            except InputError as error:
                lacking[name] = str(error)
        else:
            lacking[name] = f"{name} has no {maps.what} in {clone / maps.place}"
    return lacking


def _in_clone(folder: Path, name: str, suffix: str) -> Path | None:
    """Return the user's map of a picture, under its flat or its tree name."""
    names = [_file_name(name, suffix, tree) for tree in (False, True)]
    return next((folder / one for one in names if (folder / one).is_file()), None)


def _file_name(name: str, suffix: str, tree: bool) -> str:
    parsed = parse_fashion(name) if tree else None
    return f"{tree_stem(parsed) if parsed is not None else flat_stem(name)}{suffix}"


def _own_maps(dataset: PairSet | None) -> dict[str, Picture]:
    """Return {own name: handle} of the label maps that a dataset carries."""
    if dataset is None:
        return {}
    pictures = zip(dataset.gallery.pictures, dataset.mask_handles, strict=True)
    return {picture.name: mask for picture, mask in pictures if mask is not None}


def _encoded(labels: Labels, suffix: str) -> bytes:
    if suffix == ".png":
        return png_bytes(labels)
    content = io.BytesIO()
    np.save(content, labels, allow_pickle=False)
    return content.getvalue()


def _has_merge3(dataset: PairSet) -> bool:
    embedded = dataset.dataset == "people" and not dataset.layout
    return (embedded or dataset.layout == "adgan") and any(dataset.mask_handles)


def _merge3(dataset: PairSet, mask: Picture) -> Labels:
    """Return the eight classes of ADGAN, (256, 176)."""
    if dataset.layout == "adgan":
        return load_labels(mask, _FRAME)
    return people_classes(mask, _FRAME)


def _lip20(dataset: PairSet, mask: Picture) -> Labels:
    """Return labels of Look into Person, squashed to 256x256 by the nearest label."""
    classes = LIP_OF_MERGE3[np.minimum(_merge3(dataset, mask), len(LIP_OF_MERGE3) - 1)]
    columns = (2 * np.arange(_SQUARE[1]) + 1) * classes.shape[1] // (2 * _SQUARE[1])
    return np.ascontiguousarray(classes[:, columns])


def _has_spl8(dataset: PairSet) -> bool:
    return dataset.layout == "gfla" and any(dataset.mask_handles)


def _spl8(dataset: PairSet, mask: Picture) -> Labels:
    """Return PISE's own map as it is stored: padded, 256x256."""
    return load_labels(replace(mask, crop=None))


def _nothing(dataset: PairSet) -> bool:
    return False


def _never(dataset: PairSet, mask: Picture) -> Labels:
    raise InputError(f"no map of this kind can be made of {dataset.dataset}")


KINDS: dict[str, Kind] = {
    "merge3": Kind(".npy", True, _has_merge3, _merge3),
    "lip20": Kind(".png", False, _has_merge3, _lip20),
    "spl8": Kind(".png", False, _has_spl8, _spl8),
    "densepose": Kind(".png", False, _nothing, _never),
}
"""Forms of maps by the name that recipes give them."""
