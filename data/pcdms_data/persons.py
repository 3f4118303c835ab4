"""Pictures by person and camera: training, query and gallery pictures of re-identification.

Market-1501 has them as folders: all of `bounding_box_train` is for training, `query` asks, and is
looked for in `bounding_box_test`, where `-1` are bad detections, which are ignored, and `0000`
distractors, which nobody asks for: 12,936 pictures of 751 persons, 3,368, and 15,913 of 19,732.
Source: the readme of Market-1501-v15.09.15.

The embedded street people are seen by six cameras too: each has a palette and a colour gain of its
own, the same in all splits, and every view is taken by one of them at random (`people/looks.py`,
`Camera` in the picture's name). With six to eight views of a person there is no set of queries to
set apart, so every test picture asks once and all test pictures are looked through; the rule that
ignores pictures of the same person by the same camera keeps a picture from finding itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pcdms_data.layouts.market import FILES
from pcdms_data.names import MARKET, is_junk
from pcdms_data.pairs import Progress, find_root, load_pairs
from pcdms_data.tables import inside
from pcdms_data.types import AbsentSplitError, InputError, Picture

DATASETS = ("people-street", "market1501")
"""Datasets whose pictures name a person and a camera."""

_BAD_DETECTION = "-1"
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class PersonPicture:
    """A picture, the person it shows (text before the first `_` of its name), and its camera."""

    picture: Picture
    person: str
    camera: int


@dataclass(frozen=True)
class PersonSplit:
    """The three sets, each in the order of names. `gallery` holds distractors, no bad detection."""

    train: tuple[PersonPicture, ...]
    query: tuple[PersonPicture, ...]
    gallery: tuple[PersonPicture, ...]


def load_persons(
    dataset: str,
    root: str | Path | None = None,
    size: str = "mini",
    progress: Progress | None = None,
) -> PersonSplit:
    """Return the pictures of `dataset`, one of `DATASETS`, by person and camera.

    `size` and `progress` act on the street people, `root` on Market-1501, as in `pairs.load_pairs`.
    No picture is opened.

    Raises:
        InputError: a dataset without cameras, no training, query or test pictures, a picture whose
            name tells no person and camera, or a root for people that are rendered.
    """
    if dataset not in DATASETS:
        raise InputError(
            f"dataset {dataset!r} names no cameras, expected one of {', '.join(DATASETS)}"
        )
    if dataset == "market1501":
        return _market(find_root(dataset, root))
    if root is not None:
        raise InputError(f"dataset {dataset} is rendered and takes no --root")
    train, test = (_rendered(dataset, split, size, progress) for split in ("train", "test"))
    return PersonSplit(train, test, test)


def _rendered(
    dataset: str, split: str, size: str, progress: Progress | None
) -> tuple[PersonPicture, ...]:
    pairs = load_pairs(dataset, split=split, size=size, limit=1, progress=progress)
    return tuple(by_person(pairs.gallery.pictures, f"{dataset} {split}"))


def by_person(pictures: Iterable[Picture], where: str) -> list[PersonPicture]:
    """Return the pictures with what their names say, in the order of names.

    Raises InputError on a name that tells no person and camera, or on no picture at all; `where`
    begins the line.
    """
    found = []
    for picture in sorted(pictures, key=lambda one: (one.name, one.row)):
        match = MARKET.fullmatch(picture.name)
        if match is None:
            raise InputError(
                f"{where}: picture {picture.name!r} tells no person and camera, expected a name "
                "such as 0002_c1s1_000451_03.jpg"
            )
        found.append(PersonPicture(picture, match["person"], int(match["camera"])))
    if not found:
        raise AbsentSplitError(f"{where} has no pictures")
    return found


def _market(root: Path) -> PersonSplit:
    train = _folder_pictures(root, "train", _folders(root, "train"))
    gallery = _folder_pictures(root, "test", _folders(root, "test"))
    query = _folder_pictures(root, "query", _query_folders(root))
    return PersonSplit(
        tuple(one for one in train if not is_junk(one.picture.name)),
        tuple(one for one in query if not is_junk(one.picture.name)),
        tuple(one for one in gallery if one.person != _BAD_DETECTION),
    )


def _folders(root: Path, split: str) -> list[Path]:
    """Return where the pictures of a split may lie."""
    return [
        root / above / name.format(split=split)
        for above in FILES.folders
        for name in FILES.pictures
    ]


def _query_folders(root: Path) -> list[Path]:
    """Return where the queries may lie: beside the folders of the splits."""
    return list(dict.fromkeys(folder.parent / "query" for folder in _folders(root, "test")))


def _folder_pictures(root: Path, what: str, folders: list[Path]) -> list[PersonPicture]:
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        names = list(dict.fromkeys(folder.relative_to(root).as_posix() for folder in folders))
        raise AbsentSplitError(
            f"dataset market1501: {root} has no {what} pictures, expected a folder "
            f"{' or '.join(names[:2])}"
        )
    pictures = [
        Picture(path.name, inside(root, path))
        for path in found.iterdir()
        if path.suffix.lower() in _SUFFIXES
    ]
    if not pictures:
        raise AbsentSplitError(f"{found} holds no pictures, expected those of {what}")
    return by_person(pictures, str(found))
