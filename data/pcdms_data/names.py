"""Picture names of DeepFashion and Market-1501: their forms, and the keys read from them.

Everywhere inside the suite a picture has its flat name, the form of the PATN lists. Source:
tengteng95/Pose-Transfer, tool/generate_fashion_datasets.py; the Def-GAN form is that of
AliaksandrSiarohin/pose-gan, the tree that of the In-shop archive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pcdms_data.types import InputError

CATEGORIES: dict[str, tuple[str, ...]] = {
    "MEN": (
        "Denim", "Jackets_Vests", "Pants", "Shirts_Polos", "Shorts", "Suiting", "Sweaters",
        "Sweatshirts_Hoodies", "Tees_Tanks",
    ),
    "WOMEN": (
        "Blouses_Shirts", "Cardigans", "Denim", "Dresses", "Graphic_Tees", "Jackets_Coats",
        "Leggings", "Pants", "Rompers_Jumpsuits", "Shorts", "Skirts", "Sweaters",
        "Sweatshirts_Hoodies", "Tees_Tanks",
    ),
}  # fmt: skip
"""The 23 category folders of DeepFashion In-shop by gender."""

VIEWS = ("front", "side", "back", "full", "flat", "additional")
"""Views of DeepFashion names."""

FLAT = re.compile(
    r"fashion(?P<gender>MEN|WOMEN)(?P<category>[A-Za-z_]+?)id(?P<item>\d{8})(?P<look>\d{2})"
    r"_(?P<view_number>\d)(?P<view>[a-z]+)\.(?P<extension>jpg|jpeg|png)"
)
DEFGAN = re.compile(
    r"fas(?:h)?ion(?P<gender>MEN|WOMEN)(?P<category>[A-Za-z]+?)id(?P<item>\d{8})(?P<look>\d{2})"
    r"_(?P<view_number>\d)(?P<view>[a-z]+)\.(?P<extension>jpg|jpeg|png)"
)
TREE = re.compile(
    r"(?:(?:img|img_highres|fashion)/)?(?P<gender>MEN|WOMEN)/(?P<category>[A-Za-z_]+)"
    r"/id_(?P<item>\d{8})/(?P<look>\d{2})_(?P<view_number>\d)_(?P<view>[a-z]+)"
    r"\.(?P<extension>jpg|jpeg|png)"
)
UNDERSCORES = re.compile(
    r"(?P<gender>MEN|WOMEN)_(?P<category>[A-Za-z_]+)_id_(?P<item>\d{8})_(?P<look>\d{2})"
    r"_(?P<view_number>\d)_(?P<view>[a-z]+)\.(?P<extension>jpg|jpeg|png)"
)
MARKET = re.compile(
    r"(?P<person>-1|\d{4})_c(?P<camera>\d)s(?P<sequence>\d)_(?P<frame>\d{6})_(?P<box>\d{2})"
    r"\.(?:jpg|png)(?:\.(?:jpg|png))?"
)
_WITHOUT_UNDERSCORES = {
    (gender, category.replace("_", "")): category
    for gender, categories in CATEGORIES.items()
    for category in categories
}


@dataclass(frozen=True)
class FashionName:
    """The parts of a DeepFashion picture name; `look` is the two-digit number inside the item."""

    gender: str
    category: str
    item: str
    look: str
    view_number: str
    view: str
    extension: str

    @property
    def flat(self) -> str:
        """`fashionWOMENBlouses_Shirtsid0000337203_3back.jpg`."""
        return (
            f"fashion{self.gender}{self.category}id{self.item}{self.look}"
            f"_{self.view_number}{self.view}.{self.extension}"
        )

    @property
    def tree(self) -> str:
        """`WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg`, below the picture folder."""
        return (
            f"{self.gender}/{self.category}/id_{self.item}"
            f"/{self.look}_{self.view_number}_{self.view}.{self.extension}"
        )

    @property
    def defgan(self) -> str:
        """`fasionWOMENBlousesShirtsid0000337203_3back.jpg`: no `h`, no category underscores."""
        return (
            f"fasion{self.gender}{self.category.replace('_', '')}id{self.item}{self.look}"
            f"_{self.view_number}{self.view}.{self.extension}"
        )

    @property
    def underscores(self) -> str:
        """`WOMEN_Blouses_Shirts_id_00003372_03_3_back.jpg`, as PCDMs logs show it."""
        return self.tree.replace("/", "_")

    @property
    def group(self) -> str:
        """Text of the flat name before its last underscore: one person in one outfit."""
        return f"fashion{self.gender}{self.category}id{self.item}{self.look}"

    @property
    def item_key(self) -> tuple[str, str, str]:
        """(gender, category, item): the bare number is used by several categories."""
        return (self.gender, self.category, self.item)


def parse_fashion(name: str) -> FashionName | None:
    """Return the parts of a name in any of its forms: flat, tree, Def-GAN, underscores; or None.

    A name without category underscores is told from a flat one by the table of categories.
    """
    for pattern in (FLAT, TREE, UNDERSCORES):
        match = pattern.fullmatch(name)
        if match:
            return _restored(FashionName(**match.groupdict()))
    match = DEFGAN.fullmatch(name)
    return _restored(FashionName(**match.groupdict())) if match else None


def is_defgan(name: str) -> bool:
    """Tell whether a name is in the form of Def-GAN, which alone drops the `h` of `fashion`."""
    return name.startswith("fasion") and DEFGAN.fullmatch(name) is not None


def parsed_name(name: str) -> FashionName:
    """Return the parts of a DeepFashion name; raises InputError when it has no known form."""
    parsed = parse_fashion(name)
    if parsed is None:
        raise InputError(
            f"picture name {name!r} has no known DeepFashion form, expected for example "
            "fashionWOMENBlouses_Shirtsid0000337203_3back.jpg or "
            "img/WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg"
        )
    return parsed


def flat_name(name: str) -> str:
    """Return the flat form of a DeepFashion name; raises InputError when it has no known form."""
    return parsed_name(name).flat


def group_of(dataset: str, name: str) -> str:
    """Return the person (and garment) a flat name belongs to."""
    if dataset in ("people-street", "market1501"):
        return name.partition("_")[0]
    return name.rpartition("_")[0]


def is_junk(name: str) -> bool:
    """Tell whether a Market-1501 name is a bad detection (`-1`) or a distractor (`0000`)."""
    return name.startswith(("-1", "0000"))


def _restored(name: FashionName) -> FashionName:
    category = _WITHOUT_UNDERSCORES.get((name.gender, name.category.replace("_", "")))
    if category is None or category == name.category:
        return name
    return FashionName(
        name.gender, category, name.item, name.look, name.view_number, name.view, name.extension
    )
