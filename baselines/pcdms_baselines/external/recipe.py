"""Recipes: how each official repository is run and read, one TOML file each in `recipes/`.

A recipe is data: where the repository expects its pictures and weights, the command, and how the
files it leaves are called and cut. Facts and crops are those of the repositories at the commits the
files name.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pcdms_data.pair_names import Way

HERE = Path(__file__).parent
RECIPES, DRIVERS = HERE / "recipes", HERE / "drivers"
SUFFIX = "-official"
"""End of the methods' names: `pidm-official` is the recipe `pidm.toml`."""
DRIVER = "pcdms_driver.py"
"""Name of a recipe's driver script in the work folder."""

Size = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Form:
    """Size (H, W) of a file that comes back, and the part of it that is the picture.

    `crop` is (left, top, right, bottom), None for the whole file.
    """

    size: Size
    crop: Box | None = None


@dataclass(frozen=True)
class Sheet:
    """A sheet with one column a pair: `row` of it holds the results, tiles stand `gap` px apart.

    Sheets are numbered from 0 in their names, and their columns go on through the pair list.
    """

    rows: int
    columns: int
    row: int
    tile: int
    gap: int

    @property
    def size(self) -> Size:
        """Size (H, W) of the file."""
        step = self.tile + self.gap
        return self.gap + self.rows * step, self.gap + self.columns * step

    def box(self, column: int) -> Box:
        """Return the (left, top, right, bottom) of one pair's result."""
        step = self.tile + self.gap
        left, top = self.gap + column * step, self.gap + self.row * step
        return left, top, left + self.tile, top + self.tile


@dataclass(frozen=True)
class PoseMaps:
    """One NumPy file of maps a picture, (H, W, 18), in the folder `place`, as PATN's script leaves.

    `kind` is `pixels` (uint8, one pixel a joint) or `gaussians` (float32).
    """

    place: str
    kind: str
    size: Size


@dataclass(frozen=True)
class LabelMaps:
    """Label maps that a program needs of every picture, and where it looks for them.

    `place` is where the README puts them in a clone, `to` where the program looks for them in the
    work folder, empty for the same place. `kind` names their form (`label_maps.KINDS`), `what` says
    in a word what they are.
    """

    place: str
    kind: str
    what: str
    to: str = ""


@dataclass(frozen=True)
class Case:
    """One frame (H, W) for which a repository makes pictures, and everything that depends on it.

    All places are relative to the repository. `inputs` names what is written to `data`
    (`inputs.WRITERS`), `weights` are files, or one folder, that must be there, `needs` further
    ones. Files below `output` come back in one of `forms`, called as `ways` or `sheet` say.
    `unloaded` are words of the program that mean that it goes on without its weights.
    """

    frame: Size
    inputs: str
    data: str
    command: tuple[str, ...]
    weights: tuple[str, ...]
    output: str
    forms: tuple[Form, ...] = ()
    ways: tuple[Way, ...] = ()
    sheet: Sheet | None = None
    driver: str = ""
    pose_maps: PoseMaps | None = None
    label_maps: LabelMaps | None = None
    weights_also: tuple[str, ...] = ()
    """Further places of the weights in a clone, in the order in which they are looked at."""
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Further folders the program writes to, which are kept out of the clone."""
    list_multiple: int = 1
    """The pair list is filled up to a multiple of this by repeating its last row."""
    unloaded: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Recipe:
    """One official repository. `notes` are what a user has to know before it runs."""

    name: str
    repository: str
    commit: str
    licence: str
    era: str
    weights_from: str
    program: str
    """File that tells a clone of this repository from another folder."""
    packages: tuple[str, ...]
    """Modules that its interpreter must have."""
    notes: tuple[str, ...]
    cases: tuple[Case, ...]
    digest: str
    """SHA-256 of the recipe and of its driver: another crop makes other pictures."""

    def case(self, frame: Size) -> Case | None:
        """Return the case for a frame (H, W), None where the repository makes no such pictures."""
        return next((case for case in self.cases if case.frame == frame), None)


@cache
def recipe_of(name: str) -> Recipe:
    """Return the recipe of a method such as `patn-official`."""
    return read_recipe(RECIPES / f"{name.removesuffix(SUFFIX)}.toml")


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a TOML file; raises TypeError on a key that recipes do not have."""
    content = path.read_bytes()
    values = tomllib.loads(content.decode())
    shared = values.pop("shared", {})
    cases = tuple(_case({**shared, **case}) for case in values.pop("case"))
    digest = hashlib.sha256(content)
    for driver in sorted({case.driver for case in cases} - {""}):
        digest.update((DRIVERS / driver).read_bytes())
    packages, notes = tuple(values.pop("packages")), tuple(values.pop("notes"))
    return Recipe(**values, packages=packages, notes=notes, cases=cases, digest=digest.hexdigest())


def _case(values: dict[str, Any]) -> Case:
    """Return a case of its TOML table: lists become tuples, tables their classes."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in
              values.items()}  # fmt: skip
    values["frame"] = _size(values["frame"])
    values["ways"] = tuple((way[0], way[1]) for way in values.get("ways", ()))
    values["forms"] = tuple(_form(form) for form in values.get("forms", ()))
    if "sheet" in values:
        values["sheet"] = Sheet(**values["sheet"])
    if "pose_maps" in values:
        maps = dict(values["pose_maps"])
        values["pose_maps"] = PoseMaps(maps.pop("place"), maps.pop("kind"), _size(maps.pop("size")))
    if "label_maps" in values:
        values["label_maps"] = LabelMaps(**values["label_maps"])
    return Case(**values)


def _form(values: dict[str, Any]) -> Form:
    crop = values.get("crop")
    return Form(_size(values["size"]), (crop[0], crop[1], crop[2], crop[3]) if crop else None)


def _size(values: list[int]) -> Size:
    return values[0], values[1]
