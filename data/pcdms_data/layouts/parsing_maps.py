"""The parsing maps of ADGAN (`semantic_merge3`), and the embedded people's labels in their classes.

Its eight classes are merged from the twenty of Look into Person [menyifang/ADGAN#10]. The people's
exact part and garment labels say more in places and less in others:

- right and left are merged; neck and chest in the opening of a top count as face, the nearest skin;
- a picture with a skirt has no pants: cloth of the hips and between the legs is the skirt's;
- a dress cannot be told from a top with a skirt of the same cloth: its lower half is `skirt`, where
  Look into Person would make all of it `upper clothes`;
- hats, gloves, sunglasses, scarves, socks and jumpsuits do not exist; a coat is a top;
- bags are no class: their straps on the body count as upper clothes, the rest as background.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.images import load_labels
from pcdms_data.people.rendering import GARMENTS as GARMENT_FILE
from pcdms_data.people.surface import BAG_SLOT, BOTTOM, GARMENTS, PARTS, SHOE, SKIN, TOP
from pcdms_data.types import InputError, Picture

CLASSES = ("background", "pants", "hair", "skirt", "face", "upper clothes", "arm", "leg")
"""Names of the classes 0 to 7."""

Labels = NDArray[np.uint8]
_PANTS, _HAIR, _SKIRT, _FACE, _UPPER, _ARM, _LEG = range(1, 8)
_SKIN_OF_PART = {
    "head": _FACE,
    "torso": _FACE,
    "right_arm": _ARM,
    "left_arm": _ARM,
    "right_hand": _ARM,
    "left_hand": _ARM,
    "right_leg": _LEG,
    "left_leg": _LEG,
    "right_foot": _LEG,
    "left_foot": _LEG,
    "skirt": _SKIRT,
}


def _table() -> Labels:
    """Return the class (parts, garments) of a pixel in a picture without a skirt."""
    table = np.zeros((len(PARTS), len(GARMENTS)), dtype=np.uint8)
    for part, label in _SKIN_OF_PART.items():
        table[PARTS.index(part), SKIN] = label
        table[PARTS.index(part), [TOP, BAG_SLOT]] = _UPPER
        table[PARTS.index(part), BOTTOM] = _PANTS
        table[PARTS.index(part), SHOE] = _LEG
    table[PARTS.index("hair")] = _HAIR
    return table


def classes_of(parts: Labels, garments: Labels) -> Labels:
    """Return the merge3 classes (H, W) of the embedded people's part and garment labels (H, W)."""
    classes = _table()[parts, garments]
    if (parts == PARTS.index("skirt")).any():
        classes[classes == _PANTS] = _SKIRT
    return classes


def people_classes(parts: Picture, size: tuple[int, int]) -> Labels:
    """Return the classes of a picture of the embedded people at `size` = (H, W).

    `parts` is the handle of its part labels; the garment labels lie beside them.
    Raises InputError where they do not.
    """
    beside = parts.path.with_name(GARMENT_FILE)
    if not beside.is_file():
        raise InputError(f"{parts.path} has no garment labels beside it, expected {beside}")
    garments = Picture(parts.name, beside, parts.row)
    return classes_of(load_labels(parts, size), load_labels(garments, size))


def map_path(folder: Path, tree_stem: str) -> Path:
    """Return the file of a map: `<folder>/WOMEN/Dresses/id_00000002/02_1_front.npy`."""
    return folder / f"{tree_stem}.npy"
