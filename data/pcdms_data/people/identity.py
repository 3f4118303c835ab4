"""Who a person is and what the person wears: everything that stays equal between views."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from pcdms_data.people.draws import Draws
from pcdms_data.types import InputError

Colour = tuple[float, float, float]

LOOKS = ("fashion", "street")
PATTERNS = (
    "plain", "horizontal_stripes", "vertical_stripes", "checks", "dots", "gradient", "noise",
    "floral", "plaid",
)  # fmt: skip
BOTTOMS = ("trousers", "shorts", "skirt", "dress")
LOGOS = ("none", "bitmap", "disc", "text")
BAGS = ("none", "backpack", "handbag")

_PATTERN_WEIGHTS = (0.30, 0.14, 0.07, 0.07, 0.09, 0.05, 0.10, 0.10, 0.08)
_SKINS: tuple[Colour, ...] = (
    (0.95, 0.80, 0.70), (0.90, 0.73, 0.61), (0.82, 0.64, 0.50),
    (0.70, 0.51, 0.38), (0.53, 0.37, 0.27), (0.38, 0.26, 0.19),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (0.08, 0.07, 0.07), (0.18, 0.11, 0.08), (0.32, 0.20, 0.12), (0.48, 0.31, 0.17),
    (0.80, 0.65, 0.40), (0.52, 0.21, 0.10), (0.62, 0.61, 0.60),
)  # fmt: skip
_BACKDROPS = (0.86, 0.91, 0.96)
_LEAST_CONTRAST = 0.15


@dataclass(frozen=True)
class Fabric:
    """A cloth: one of PATTERNS in two colours; `frequency` per metre, `phase` in periods."""

    pattern: str
    first: Colour
    second: Colour
    frequency: float
    phase: float
    key: int


@dataclass(frozen=True)
class Logo:
    """A mark on the front or back: one of LOGOS, half its side in metres, colour, 52-bit key."""

    kind: str
    half_size: float
    colour: Colour
    key: int


@dataclass(frozen=True)
class Identity:
    """One person. Lengths in metres, colours RGB 0 to 1.

    `build` is the width factor (1 = average). `hair_length` 0 cap, 1 shoulder, 2 long.
    `leg_length` in leg units (1 = knee, 2 = ankle), `hem` the drop of a skirt below the hip (0
    without one), `sleeve` in arm units (1 = elbow, 2 = wrist). `backdrop` is the grey of the
    fashion background.
    """

    dataset_seed: int
    index: int
    look: str
    female: bool
    height: float
    build: float
    skin: Colour
    hair: Colour
    hair_length: int
    beard: bool
    eyes: Colour
    bottom_kind: str
    leg_length: float
    hem: float
    sleeve: float
    neckline: float
    looseness: float
    top: Fabric
    bottom: Fabric
    denim: bool
    front: Logo
    back: Logo
    zip: bool
    zip_colour: Colour
    belt: bool
    belt_colour: Colour
    shoes: Colour
    bag: str
    bag_colour: Colour
    backdrop: float


def sample_identity(dataset_seed: int, index: int, look: str) -> Identity:
    """Return the identity of the key (dataset_seed, 1, index), index >= 0.

    Both looks dress the same person alike; only the contrast rule with the background differs.
    Raises InputError on an unknown look.
    """
    if look not in LOOKS:
        raise InputError(f"look {look!r} is unknown, expected one of {', '.join(LOOKS)}")
    draw = Draws.keyed(dataset_seed, 1, index)
    female = draw.chance(0.6)
    height = draw.normal(1.66, 0.05) if female else draw.normal(1.77, 0.05)
    build = min(max(draw.normal(1.0, 0.1), 0.82), 1.3)
    skin, hair = _skin_and_hair(draw)
    hair_length = draw.pick((0, 1, 2), (0.15, 0.35, 0.50) if female else (0.80, 0.17, 0.03))
    kind = draw.pick(BOTTOMS, (0.45, 0.13, 0.20, 0.22) if female else (0.75, 0.25, 0.0, 0.0))
    sleeve = draw.pick(
        (0.0, 0.55, 1.0, 2.0), (0.25, 0.30, 0.10, 0.35) if female else (0.08, 0.47, 0.05, 0.40)
    )
    hem = draw.uniform(0.35, 1.0) * 0.55 * height if kind in ("skirt", "dress") else 0.0
    backdrop = draw.pick(_BACKDROPS)
    top = _fabric(draw, PATTERNS, _PATTERN_WEIGHTS)
    while _distance(top.first, (backdrop,) * 3) < _LEAST_CONTRAST:
        top = _fabric(draw, PATTERNS, _PATTERN_WEIGHTS)
    denim = draw.chance(0.5) and kind == "trousers"
    return Identity(
        dataset_seed=dataset_seed,
        index=index,
        look=look,
        female=female,
        height=height,
        build=build,
        skin=skin,
        hair=hair,
        hair_length=hair_length,
        beard=draw.chance(0.3) and not female,
        eyes=draw.pick(((0.25, 0.15, 0.08), (0.25, 0.38, 0.5), (0.25, 0.36, 0.2))),
        bottom_kind=kind,
        leg_length={"trousers": 2.0, "shorts": draw.uniform(0.5, 1.0)}.get(kind, 0.0),
        hem=hem,
        sleeve=sleeve,
        neckline=draw.uniform(0.02, 0.08),
        looseness=draw.uniform(0.004, 0.03),
        top=top,
        bottom=top if kind == "dress" else _bottom(draw, denim),
        denim=denim,
        front=_front(draw, top),
        back=Logo(
            "bitmap" if draw.chance(0.3) else "none",
            draw.uniform(0.08, 0.13),
            _contrasting(draw, top.first),
            draw.bits(52),
        ),
        zip=draw.chance(0.25),
        zip_colour=_contrasting(draw, top.first),
        belt=draw.chance(0.30),
        belt_colour=draw.pick(((0.1, 0.08, 0.07), (0.35, 0.2, 0.1), (0.8, 0.78, 0.72))),
        shoes=_colour(draw),
        bag=draw.pick(BAGS, (0.70, 0.15, 0.15)),
        bag_colour=_contrasting(draw, top.first),
        backdrop=backdrop,
    )


def _skin_and_hair(draw: Draws) -> tuple[Colour, Colour]:
    tone = draw.uniform(0.92, 1.05)
    r, g, b = draw.pick(_SKINS)
    skin = (min(r * tone, 1.0), min(g * tone, 1.0), min(b * tone, 1.0))
    hair = draw.pick(_HAIRS)
    while _distance(skin, hair) < _LEAST_CONTRAST:
        hair = draw.pick(_HAIRS)
    return skin, hair


def _bottom(draw: Draws, denim: bool) -> Fabric:
    if not denim:
        names = ("plain", "noise", "vertical_stripes", "checks")
        return _fabric(draw, names, (0.4, 0.2, 0.2, 0.2))
    saturation, value = draw.uniform(0.4, 0.7), draw.uniform(0.25, 0.6)
    light = colorsys.hsv_to_rgb(0.6, saturation * 0.8, min(value * 1.35, 1.0))
    dark = colorsys.hsv_to_rgb(0.6, saturation, value)
    return Fabric("noise", dark, light, draw.uniform(10, 32), draw.unit(), draw.bits(30))


def _front(draw: Draws, top: Fabric) -> Logo:
    kind = draw.pick(LOGOS, (0.4, 0.3, 0.2, 0.1))
    return Logo(kind, draw.uniform(0.07, 0.12), _contrasting(draw, top.first), draw.bits(52))


def _fabric(draw: Draws, names: tuple[str, ...], weights: tuple[float, ...]) -> Fabric:
    name = draw.pick(names, weights)
    first = _colour(draw)
    second = _contrasting(draw, first)
    return Fabric(name, first, second, draw.uniform(10, 32), draw.unit(), draw.bits(30))


def _colour(draw: Draws) -> Colour:
    """The colour law: dark 18 %, light 12 %, grey 8 %, otherwise a saturated hue."""
    kind = draw.pick(("dark", "light", "grey", "hue"), (0.18, 0.12, 0.08, 0.62))
    if kind == "hue":
        return colorsys.hsv_to_rgb(draw.unit(), draw.uniform(0.35, 0.95), draw.uniform(0.3, 0.95))
    low, high = {"dark": (0.08, 0.25), "light": (0.8, 0.95), "grey": (0.3, 0.7)}[kind]
    grey = draw.uniform(low, high)
    tint = 0.02 * draw.uniform(-1.0, 1.0)
    return (grey + tint, grey, grey - tint)


def _contrasting(draw: Draws, other: Colour) -> Colour:
    """A colour that can be told from `other`, so that a pattern or mark can be seen."""
    colour = _colour(draw)
    while _distance(colour, other) < 2 * _LEAST_CONTRAST:
        colour = _colour(draw)
    return colour


def _distance(a: Colour, b: tuple[float, ...]) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
