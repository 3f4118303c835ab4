"""The pairs that a program is asked for, as a small split of their own that layouts can write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pcdms_data.images import load_picture
from pcdms_data.layouts.picture_files import jpeg_name
from pcdms_data.layouts.split import FRAMES
from pcdms_data.names import FashionName, parse_fashion
from pcdms_data.pair_names import Known
from pcdms_data.pair_set import PairSet
from pcdms_data.types import Gallery, InputError, Keypoints, Pair, Picture

SPLIT = "test"
"""Split under which everything is written, whichever it comes from: programs test on no other."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Pairs as a program sees them: `pairs` in its names, `ids` the pair ids in the same order.

    `names` gives the dataset's own name of each picture of the gallery, in its order.
    """

    pairs: PairSet
    ids: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def known(self) -> Known:
        """The pair list that names of files are compared with."""
        pictures = self.pairs.gallery.pictures
        return Known.of_pairs(
            [
                (pictures[source].name, pictures[target].name, pair_id)
                for (source, target), pair_id in zip(self.pairs.rows, self.ids, strict=True)
            ]
        )

    def without(self, names: Mapping[str, str]) -> tuple[Chosen, dict[str, str]]:
        """Return the pairs that use none of some pictures, and {pair id: reason} of the others.

        `names` maps a picture's own name to the reason; the gallery shrinks with the pairs.
        """
        lost: dict[str, str] = {}
        kept = []
        for row, (source, target) in enumerate(self.pairs.rows):
            reason = names.get(self.names[source]) or names.get(self.names[target])
            if reason:
                lost[self.ids[row]] = reason
            else:
                kept.append(row)
        if not lost:
            return self, {}
        return _shrunk(self, kept), lost


def choose(pairs: Sequence[Pair], frame: tuple[int, int], tree_names: bool) -> Chosen:
    """Return pairs with the pictures they use, at `frame` = (H, W).

    Pictures are called `.jpg`, as all these programs expect. With `tree_names` pictures whose name
    is no DeepFashion name get one made up from their number.
    """
    place: dict[str, int] = {}
    pictures: list[Picture] = []
    poses: list[Keypoints] = []
    rows = []
    for pair in pairs:
        ends = ((pair.source, pair.source_pose), (pair.target, pair.target_pose))
        for picture, pose in ends:
            if place.setdefault(picture.name, len(place)) == len(pictures):
                pictures.append(picture)
                poses.append(pose)
        rows.append((place[pair.source.name], place[pair.target.name]))
    names = [jpeg_name(picture.name) for picture in pictures]
    if tree_names and not all(_is_flat(name) for name in names):
        names = [_made_up(number) for number in range(len(names))]
    renamed = [replace(one, name=name) for one, name in zip(pictures, names, strict=True)]
    gallery = Gallery(tuple(renamed), tuple(poses), ("",) * len(renamed))
    dataset = "market1501" if frame == FRAMES["market1501"] else "deepfashion"
    table = np.array(rows, dtype=np.int32).reshape(-1, 2)
    return Chosen(
        PairSet(dataset, SPLIT, frame, gallery, table),
        tuple(pair.pair_id for pair in pairs),
        tuple(picture.name for picture in pictures),
    )


def unreadable(chosen: Chosen) -> dict[str, str]:
    """Return {own name: reason} of the pictures that cannot be decoded."""
    bad = {}
    for name, picture in zip(chosen.names, chosen.pairs.gallery.pictures, strict=True):
        try:
            load_picture(picture)
        except InputError as error:
            bad[name] = str(error)
    return bad


def _shrunk(chosen: Chosen, kept: Sequence[int]) -> Chosen:
    """Return the pairs of some rows with the pictures they use."""
    rows = chosen.pairs.rows[list(kept)].reshape(-1, 2)
    used = sorted(set(rows.ravel().tolist()))
    position = {place: number for number, place in enumerate(used)}
    old = chosen.pairs.gallery
    gallery = Gallery(
        tuple(old.pictures[place] for place in used),
        tuple(old.keypoints[place] for place in used),
        tuple(old.groups[place] for place in used),
    )
    table = np.array([[position[a], position[b]] for a, b in rows], dtype=np.int32).reshape(-1, 2)
    pairs = PairSet(chosen.pairs.dataset, SPLIT, chosen.pairs.resolution, gallery, table)
    return Chosen(
        pairs,
        tuple(chosen.ids[row] for row in kept),
        tuple(chosen.names[place] for place in used),
    )


def _is_flat(name: str) -> bool:
    parsed = parse_fashion(name)
    return parsed is not None and parsed.flat == name


def _made_up(number: int) -> str:
    return FashionName("WOMEN", "Dresses", f"{number + 1:08d}", "01", "1", "front", "jpg").flat
