"""The table of layouts: names, what they are, which datasets they hold, and the module of each.

A layout module has three functions at most:

- `recognise(root, dataset) -> str | None`: one line on what was found, None where `root` does not
  hold this layout. It looks at names and heads of files only.
- `read(root, dataset, split) -> SplitRecord`: raises InputError, one line, on anything malformed.
- `write(sets, out, progress) -> int`: writes splits into the empty folder `out`, returns the number
  of pictures; only where `writable`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdms_data.people.presets import check_choice
from pcdms_data.types import InputError

FASHION = ("deepfashion",)
STREET = ("market1501",)
ANY = ("deepfashion", "market1501", "people", "people-street", "folder")


@dataclass(frozen=True)
class Layout:
    """One layout; `module` below `pcdms_data.layouts`. `datasets` are those it can hold."""

    name: str
    module: str
    datasets: tuple[str, ...]
    summary: str
    writable: bool

    def load(self) -> Any:
        """Import and return the layout's module."""
        return importlib.import_module(f"pcdms_data.layouts.{self.module}")


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("prepared", "prepared", ANY, "Arrow tables made by `data prepare`", False),
        Layout("inshop", "inshop", FASHION, "In-shop as downloaded, folders or zip", False),
        Layout("adgan", "adgan", FASHION, "PATN lists with parsing maps", True),
        Layout("cfld", "cfld", FASHION, "PATN lists, high-resolution copies", True),
        Layout("defgan", "defgan", FASHION, "Def-GAN names, pictures of 256x256", False),
        Layout("gfla", "gfla", FASHION, "GFLA and PISE, high-resolution copies", True),
        Layout("patn", "patn", FASHION, "PATN lists, flat names, 256x176 JPEG", True),
        Layout("market", "market", STREET, "Market-1501 with PATN lists", True),
        Layout("nted", "nted", FASHION, "lmdb folders H-W, pose text, target first", True),
        Layout("pidm", "pidm", FASHION, "as nted, pictures squashed to a square", True),
        Layout("pcdms", "pcdms", FASHION, "JSON pairs, renamed PNG, normalised pose text", True),
        Layout("folder", "folder", ("folder",), "pictures/, keypoints.csv, pairs.csv", True),
    )
}
"""Layouts by name. Detection takes the first that recognises a folder, in this order."""


def find_layout(dataset: str, root: Path, name: str | None = None) -> Layout:
    """Return the layout of `root`: the named one, or the first that recognises the folder.

    Raises InputError on an unknown name, a layout that cannot hold the dataset, and a folder that
    no layout recognises.
    """
    fitting = [layout for layout in LAYOUTS.values() if dataset in layout.datasets]
    if name is not None:
        check_choice("layout", name, tuple(LAYOUTS))
        if LAYOUTS[name] not in fitting:
            raise InputError(
                f"layout {name!r} does not hold dataset {dataset}, expected one of "
                f"{', '.join(layout.name for layout in fitting)}"
            )
        return LAYOUTS[name]
    for layout in fitting:
        if layout.load().recognise(root, dataset) is not None:
            return layout
    raw = [layout for layout in fitting if layout.name != "prepared"]
    if len(raw) == 1:
        return raw[0]  # its reader says what is missing
    raise InputError(
        f"{root} holds no layout of {dataset} that is known, expected one of "
        f"{', '.join(layout.name for layout in fitting)}"
    )
