"""Small made-up downloads, from the embedded people: In-shop and Market-1501 as they come."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pcdms_data import load_pairs
from pcdms_data.images import load_picture
from pcdms_data.layouts.annotation import annotation_text
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairSet

SPLITS = {"test": "test", "train": "val"}
"""Split of the download -> split of the embedded people of size smoke that it is made of."""


@dataclass(frozen=True)
class Download:
    """A made-up download: its root, and the flat names and people of each split."""

    root: Path
    names: dict[str, list[str]]
    people: dict[str, PairSet]

    def picture(self, name: str) -> Path:
        """The file of a low-resolution In-shop picture."""
        return self.root / "Img" / "img" / parse_fashion(name).tree


def make_inshop(root: Path, highres: bool = False, splits=("test", "train")) -> Download:
    """`Img/img` (256x256, padded) or `Img/img_highres` (1101x750), and annotations in the root."""
    names, people = {}, {}
    root.mkdir(parents=True, exist_ok=True)
    for split in splits:
        pairs = load_pairs("people", split=SPLITS[split], size="smoke")
        names[split] = [p.name.replace(".png", ".jpg") for p in pairs.gallery.pictures]
        people[split] = pairs
        for name, picture in zip(names[split], pairs.gallery.pictures, strict=True):
            pixels = load_picture(picture, (256, 176))
            if highres:
                pixels = cv2.resize(pixels, (750, 1101))
            else:
                pixels = np.pad(pixels, ((0, 0), (40, 40), (0, 0)), constant_values=230)
            folder = root / "Img" / ("img_highres" if highres else "img")
            path = folder / parse_fashion(name).tree
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg_bytes(pixels))
        poses = [pose.resized((256, 176)) for pose in pairs.gallery.keypoints]
        annotation = root / f"fasion-resize-annotation-{split}.csv"
        annotation.write_text(annotation_text(names[split], poses))
    return Download(root, names, people)


def make_market(root: Path, odd_names: int = 2) -> Download:
    """`bounding_box_test/` of 128x64 JPEG and its annotation; some names end in `.jpg.jpg`.

    One picture more is junk (`-1_`), with the key points of a whole person.
    """
    pairs = load_pairs("people-street", split="test", size="smoke")
    names = [p.name.replace(".png", ".jpg") for p in pairs.gallery.pictures]
    names[:odd_names] = [f"{name}.jpg" for name in names[:odd_names]]
    folder = root / "bounding_box_test"
    folder.mkdir(parents=True)
    for name, picture in zip(names, pairs.gallery.pictures, strict=True):
        (folder / name).write_bytes(jpeg_bytes(load_picture(picture, (128, 64))))
    junk = "-1_c1s1_000001_00.jpg"
    (folder / junk).write_bytes((folder / names[0]).read_bytes())
    names.append(junk)
    poses = [pose.resized((128, 64)) for pose in pairs.gallery.keypoints]
    text = annotation_text(names, [*poses, poses[0]])
    (root / "market-annotation-test.csv").write_text(text)
    return Download(root, {"test": names}, {"test": pairs})


def pack(folder: Path, archive: Path, below: Path) -> Path:
    """Pack all files of `folder` into a zip archive, under their names below `below`."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(below).as_posix())
    return archive


def lock_members(archive: Path, wanted: str) -> None:
    """Set the bit that says `encrypted` for the members whose name holds `wanted`."""
    content = bytearray(archive.read_bytes())
    for mark, flags, name in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        at = content.find(mark)
        while at >= 0:
            size = int.from_bytes(content[at + name - 4 : at + name - 2], "little")
            if mark == b"PK\x01\x02":
                size = int.from_bytes(content[at + 28 : at + 30], "little")
            if wanted.encode() in bytes(content[at + name : at + name + size]):
                content[at + flags] |= 1
            at = content.find(mark, at + 4)
    archive.write_bytes(bytes(content))
