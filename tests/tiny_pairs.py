"""Small pairs with seeded pictures and standing poses, for tests of methods."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pcdms_data.types import Gallery, K, Keypoints, Pair, Picture, make_pair_id

STANDING = np.array(
    [
        [88, 30], [88, 58], [62, 60], [52, 95], [46, 128], [114, 60], [124, 96], [128, 130],
        [70, 132], [68, 185], [66, 236], [106, 132], [108, 186], [110, 238], [83, 25], [93, 25],
        [76, 28], [100, 28],
    ],
    dtype=np.float32,
)  # fmt: skip
"""A person seen from the front, (x, y) in a frame of 256 x 176."""


def pose(rng: np.random.Generator, size=(256, 176), jitter=8.0, missing=()) -> Keypoints:
    """The standing person, moved a little, without the joints `missing`."""
    visible = np.ones(K, dtype=bool)
    visible[list(missing)] = False
    xy = STANDING + rng.normal(0, jitter, (K, 2)).astype(np.float32)
    xy[~visible] = -1
    return Keypoints(xy, visible, (256, 176)).resized(size)


def write_pictures(folder: Path, count: int, size=(64, 44), seed=0) -> list[Picture]:
    """`count` smooth random pictures as rows of one array file, named by their rank."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (count, *size, 3)).astype(np.uint8)
    pictures = np.stack([cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in noise])
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "pictures.npy", pictures)
    return [Picture(f"p{i:03d}_1.png", folder / "pictures.npy", i) for i in range(count)]


def make_gallery(folder: Path, count=8, per_group=2, size=(64, 44), seed=0) -> Gallery:
    """A gallery of `count` pictures, `per_group` in a row of each person."""
    rng = np.random.default_rng(seed + 1)
    pictures = write_pictures(folder, count, size, seed)
    poses = [pose(rng, size, missing=rng.choice([0, 3, 4, 9, 10, 17], 2)) for _ in pictures]
    groups = [f"g{i // per_group}" for i in range(count)]
    return Gallery(tuple(pictures), tuple(poses), tuple(groups))


def make_pairs(gallery: Gallery) -> list[Pair]:
    """Every ordered pair of two pictures of one group: a list closed under reversal."""
    count = range(len(gallery.pictures))
    return [
        Pair(
            make_pair_id(gallery.pictures[i].name, gallery.pictures[j].name),
            gallery.pictures[i], gallery.pictures[j],
            gallery.keypoints[i], gallery.keypoints[j], group=gallery.groups[i],
        )
        for i in count
        for j in count
        if i != j and gallery.groups[i] == gallery.groups[j]
    ]  # fmt: skip
