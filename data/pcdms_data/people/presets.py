"""Sizes, splits and names of the embedded people."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pcdms_data.people.identity import Identity
from pcdms_data.types import InputError, Keypoints

LOOK_OF: dict[str, str] = {"people": "fashion", "people-street": "street"}
"""Dataset name to the look of its pictures."""

SPLITS = ("train", "val", "test")
FIRST_INDEX: dict[str, int] = {"train": 0, "val": 500_000, "test": 1_000_000}
"""Index of the first identity of each split; the gaps keep the identities of splits apart."""

_NOSE, _NECK, _KNEES, _ANKLES = 0, 1, [9, 12], [10, 13]


@dataclass(frozen=True)
class Preset:
    """One `--size`: identities per split, views of each, and (H, W) of the pictures by dataset."""

    identities: dict[str, int]
    views: int
    resolution: dict[str, tuple[int, int]]


PRESETS: dict[str, Preset] = {
    "smoke": Preset(
        {"train": 16, "val": 4, "test": 4}, 4, {"people": (64, 32), "people-street": (64, 32)}
    ),
    "mini": Preset(
        {"train": 400, "val": 40, "test": 60}, 6, {"people": (96, 64), "people-street": (128, 64)}
    ),
    "full": Preset(
        {"train": 2000, "val": 100, "test": 200},
        8,
        {"people": (256, 176), "people-street": (128, 64)},
    ),
}


@dataclass(frozen=True)
class SplitPlan:
    """What one rendered split consists of: `resolution` = (H, W), identities from `first` on."""

    dataset: str
    look: str
    size: str
    split: str
    resolution: tuple[int, int]
    seed: int
    first: int
    identities: int
    views: int

    @property
    def count(self) -> int:
        """Number of pictures."""
        return self.identities * self.views


def plan_split(
    dataset: str,
    size: str = "mini",
    split: str = "test",
    resolution: tuple[int, int] | None = None,
    seed: int = 0,
) -> SplitPlan:
    """Return the plan of one split; `resolution` = (H, W), None gives the preset's own.

    Raises InputError on an unknown name, a resolution below 32x16 or a negative seed.
    """
    check_choice("dataset", dataset, tuple(LOOK_OF))
    check_choice("size", size, tuple(PRESETS))
    check_choice("split", split, SPLITS)
    if seed < 0:
        raise InputError(f"seed {seed} of dataset {dataset} is negative, expected 0 or more")
    preset = PRESETS[size]
    height, width = resolution or preset.resolution[dataset]
    if height < 32 or width < 16 or max(height, width) > 2048:
        raise InputError(
            f"resolution {height}x{width} of dataset {dataset}, expected 32x16 to 2048x2048"
        )
    return SplitPlan(
        dataset=dataset,
        look=LOOK_OF[dataset],
        size=size,
        split=split,
        resolution=(height, width),
        seed=seed,
        first=FIRST_INDEX[split],
        identities=preset.identities[split],
        views=preset.views,
    )


def check_choice(kind: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`; names them and the nearest one."""
    if value in choices:
        return
    nearest = get_close_matches(value, choices, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    raise InputError(f"unknown {kind} {value!r}{hint}, expected one of {', '.join(choices)}")


def picture_name(
    plan: SplitPlan, identity: Identity, view: int, side: str, framing: str, camera: int
) -> str:
    """Return the flat name of a picture, in the form of the real dataset with the same look.

    Fashion: `fashionWOMENDressesid0000001201_3back.png`, the running number 1 to 9 being the view.
    Street: `0025_c3s1_000124_01.png`; identities are odd in train, even in test, from 9002 on
    even in val. The text before the last (fashion) or first (street) underscore is the group.
    """
    if plan.look == "street":
        person = _street_person(plan.split, identity.index - plan.first)
        frame = identity.index % 1000 * 10 + view
        return f"{person:04d}_c{camera + 1}s1_{frame:06d}_01.png"
    gender = "WOMEN" if identity.female else "MEN"
    return (
        f"fashion{gender}{garment_category(identity)}id{identity.index:08d}01"
        f"_{view + 1}{view_name(side, framing)}.png"
    )


def _street_person(split: str, number: int) -> int:
    if split == "train":
        return 2 * number + 1
    return 2 * number + (2 if split == "test" else 9002)


def garment_category(identity: Identity) -> str:
    """Return the category folder of the real set that fits the clothes."""
    if identity.bottom_kind == "dress":
        return "Dresses"
    if identity.zip:
        return "Jackets_Coats" if identity.female else "Jackets_Vests"
    if identity.sleeve >= 2.0:
        return "Sweaters" if identity.female else "Sweatshirts_Hoodies"
    if identity.bottom_kind == "skirt":
        return "Skirts"
    return "Tees_Tanks"


def view_name(side: str, framing: str) -> str:
    """Return the view word of the real names for a side of the renderer: `full` shows it all."""
    if side == "front":
        return "full" if framing == "full" else "front"
    return "additional" if side == "three-quarter" else side


def framing_of(pose: Keypoints) -> str:
    """Return how much of the person is in the frame: full, knee, thigh, headless or legs.

    Told by the places of the joints, whether or not something hides them.
    """
    rows, height = pose.xy[:, 1], pose.size[0]
    if rows[_NECK] < 0:
        return "legs"
    if rows[_NOSE] < 0:
        return "headless"
    if rows[_ANKLES].min() < height:
        return "full"
    return "knee" if rows[_KNEES].min() < height else "thigh"
