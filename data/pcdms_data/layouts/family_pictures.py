"""Where the pictures of an annotation file lie: which folder, and which form of the names.

Copies of the datasets keep pictures under flat names, as lossless `.png` beside `.jpg` names, or
under the names that the annotation file writes (tree and Def-GAN names).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pcdms_data.layouts.annotation import Annotation
from pcdms_data.layouts.picture_files import png_name, stored_size
from pcdms_data.tables import inside
from pcdms_data.types import AbsentSplitError, Picture, PictureError

CROP = (40, 0, 216, 256)
"""What the low-resolution convention keeps of a picture of 256x256: left, top, right, bottom."""

_PROBED = 32

_FORMS: tuple[Callable[[str, str], str], ...] = (
    lambda flat, written: flat,
    lambda flat, written: written,
    lambda flat, written: png_name(flat),
    lambda flat, written: png_name(written),
)


def find_pictures(
    root: Path,
    folders: Sequence[str],
    pictures: Sequence[str],
    crops: bool,
    split: str,
    rows: Annotation,
) -> list[Picture]:
    """Return the handles of all rows, with flat names, in file order.

    Folder and form of the names are those of the first pictures that are there; single pictures may
    be missing. With `crops` a first picture of 256x256 means that all are, and are to be cut to
    `CROP`. Raises AbsentSplitError where no folder is there, InputError where a picture lies
    outside `root`.
    """
    named = [root / folder / name.format(split=split) for folder in folders for name in pictures]
    present = [path for path in named if path.is_dir()]
    if not present:
        raise AbsentSplitError(
            f"{rows.path} has no pictures: {named[0]} is missing"
            + (f" (or {', '.join(path.name for path in named[1:])})" if named[1:] else "")
        )
    head = list(zip(rows.names, rows.written, strict=True))[:_PROBED]
    folder, form, first = present[0], _FORMS[0], None
    # Tree names begin at the root, or one folder above the lists.
    probed = ((path, one) for path in (*present, root, rows.path.parent) for one in _FORMS)
    for path, one in probed:
        first = next((path / one(*names) for names in head if (path / one(*names)).is_file()), None)
        if first is not None:
            folder, form = path, one
            break
    crop = CROP if crops and first is not None and _is_padded(root, first) else None
    names = zip(rows.names, rows.written, strict=True)
    return [
        Picture(flat, inside(root, folder / form(flat, written)), crop=crop)
        for flat, written in names
    ]


def find_masks(root: Path, folder: Path, names: Sequence[str]) -> list[Picture | None] | None:
    """Return the label map of each picture, `<name>.png` in `folder`; None where it has none.

    Where the first map is 256x256, all are cut to `CROP`. None for all where `folder` is not there.
    Raises InputError on a map outside `root`.
    """
    if not folder.is_dir():
        return None
    here = {path.name: inside(root, path) for path in folder.iterdir()}
    maps = [(png_name(name), here.get(png_name(name))) for name in names]
    first = next((path for _, path in maps if path is not None), None)
    crop = CROP if first is not None and _is_padded(root, first) else None
    return [Picture(name, path, crop=crop) if path is not None else None for name, path in maps]


def _is_padded(root: Path, path: Path) -> bool:
    """Tell whether a file is a picture of 256x256; one that cannot be read is found out later."""
    try:
        return stored_size(Picture(path.name, inside(root, path))) == (256, 256)
    except PictureError:
        return False
