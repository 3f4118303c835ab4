"""Pictures of the original downloads, in folders or zip archives as they come.

DeepFashion In-shop: `Img/img` or `Img/img.zip` (256x256) and `Img/img_highres` or
`Img/img_highres.zip` (1101x750), also without `Img/`, or the tree alone. Market-1501:
`bounding_box_train/` and `bounding_box_test/`. Source: open-mmlab/mmfashion,
docs/dataset/IN_SHOP_DATASET.md; yumingj/DeepFashion-MultiModal, README.md (the size 1101x750).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from pcdms_data.archives import read_archive
from pcdms_data.layouts.split import HIGHRES_RESIZE, LOWRES_CROP
from pcdms_data.names import parse_fashion
from pcdms_data.picture_limits import header_size
from pcdms_data.picture_store import encoded_bytes
from pcdms_data.types import Picture, PictureError

LOWRES = (256, 256)
"""Size (H, W) of the low-resolution pictures of In-shop."""
HIGHRES = (1101, 750)
"""Size (H, W) of its high-resolution pictures."""
CROP = (40, 0, 216, 256)
"""Columns 40 to 216 of a 256x256 picture: the frame of the published key points."""

_TREES = ("img", "img_highres")
_FASHION = r"(?:^|.*/)((?:MEN|WOMEN)/[^/]+/id_\d{8}/[^/]+\.(?:jpg|jpeg|png))"
_STREET = r"(?:^|.*/)(?:bounding_box_)?{split}/([^/]+\.(?:jpg|png))"
_MARKET_FOLDERS = (".", "Market-1501-v15.09.15", "Market-1501", "market_data")


@dataclass(frozen=True, eq=False)
class Store:
    """Pictures in one folder (`members` None) or zip archive.

    `members` maps the place of a picture in the folder it was packed from
    (`WOMEN/Dresses/id_00000002/02_1_front.jpg`, for Market-1501 the file name) to the member's
    name. `problems` are lines on members that are refused.
    """

    path: Path
    members: Mapping[str, str] | None = None
    problems: tuple[str, ...] = ()

    def picture(self, name: str) -> Picture:
        """Return the handle of a picture by its flat name, whether it is there or not."""
        place = _place(name)
        if self.members is not None:
            return Picture(name, self.path, key=self.members.get(place, place))
        return Picture(name, self.path / place)

    def has(self, name: str) -> bool:
        """Tell whether the picture of a flat name is there."""
        place = _place(name)
        return place in self.members if self.members is not None else (self.path / place).is_file()

    def some(self) -> Iterator[Picture]:
        """Yield up to three pictures, whichever come first."""
        if self.members is not None:
            for member in islice(self.members.values(), 3):
                yield Picture(Path(member).name, self.path, key=member)
            return
        genders = (self.path / gender for gender in ("WOMEN", "MEN"))
        for path in islice(chain.from_iterable(one.glob("*/id_*/*") for one in genders), 3):
            yield Picture(path.name, path)


def fashion_stores(root: Path) -> list[Store]:
    """Return the trees of In-shop pictures in `root`, a folder or a zip archive."""
    if root.is_file():
        return [_archive(root, _FASHION)]
    found = []
    for place in _fashion_places(root):
        if _has_genders(place):
            found.append(Store(place))
        elif place != root and _zipped(place).is_file():
            found.append(_archive(_zipped(place), _FASHION))
    return found


def has_fashion_store(root: Path) -> bool:
    """Tell whether `fashion_stores` would find something, without opening an archive."""
    return any(
        _has_genders(place) or (place != root and _zipped(place).is_file())
        for place in _fashion_places(root)
    )


def street_stores(root: Path, split: str) -> list[Store]:
    """Return where the pictures of a split of Market-1501 are in `root`, a folder or an archive."""
    pattern = _STREET.format(split=split)
    if root.is_file():
        return [_archive(root, pattern)]
    for place in _MARKET_FOLDERS:
        for name in (f"bounding_box_{split}", split):
            if (root / place / name).is_dir():
                return [Store(root / place / name)]
    return [_archive(path, pattern) for path in sorted(root.glob("[Mm]arket*.zip"))]


def convention_of(store: Store) -> str:
    """Return how pictures are made from an In-shop tree, by the size of its first picture.

    256x256 is the low resolution. A tree whose first pictures cannot be read goes by its name.
    """
    for picture in store.some():
        try:
            size = header_size(encoded_bytes(picture))
        except PictureError:
            continue
        if size is not None:
            return LOWRES_CROP if size == LOWRES else HIGHRES_RESIZE
    return HIGHRES_RESIZE if "highres" in store.path.name else LOWRES_CROP


def _place(name: str) -> str:
    parsed = parse_fashion(name)
    return name if parsed is None else parsed.tree


def _fashion_places(root: Path) -> list[Path]:
    return [*(folder / name for folder in (root / "Img", root) for name in _TREES), root]


def _zipped(place: Path) -> Path:
    return place.with_name(f"{place.name}.zip")


def _has_genders(folder: Path) -> bool:
    return (folder / "WOMEN").is_dir() or (folder / "MEN").is_dir()


def _archive(path: Path, pattern: str) -> Store:
    archive = read_archive(path)
    picture = re.compile(pattern)
    members: dict[str, str] = {}
    problems = list(archive.problems)
    for member in archive.members:
        match = picture.fullmatch(member)
        if match is None or member.startswith("__MACOSX/"):
            continue
        if match[1] in members:
            problems.append(f"{path}[{member}]: is there twice, as {members[match[1]]} too")
        members.setdefault(match[1], member)
    return Store(path, members, tuple(problems))
