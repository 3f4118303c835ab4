"""What a program reads: pictures, lists and maps of the chosen pairs, in the form it expects.

Most forms are layouts of `pcdms_data`, written by the same code that `data export` uses.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcdms_baselines.external.chosen import Chosen
from pcdms_baselines.external.recipe import Case, PoseMaps
from pcdms_baselines.heat_maps import gaussian_maps, one_hot_maps
from pcdms_data.images import write_atomically
from pcdms_data.layouts import adgan, gfla
from pcdms_data.layouts.family_pictures import CROP
from pcdms_data.layouts.patn_family import write_family
from pcdms_data.layouts.picture_files import picture_bytes
from pcdms_data.layouts.split import FRAMES
from pcdms_data.layouts.table import LAYOUTS
from pcdms_data.pair_set import PairSet
from pcdms_data.types import Gallery, flat_stem

TREE_NAMES = frozenset(("nted", "pidm", "adgan"))
"""Inputs whose files are named by gender, category and item."""
LEFFA_SIZE = (1024, 704)
"""Pictures (H, W) that Leffa's own resizing to 1024x768 only pads: 32 white columns a side."""
CASD_FILES = replace(adgan.FILES, pictures=("{split}_resize",))
CASD_SIZE = (256, 256)
POCOLD_PICTURES = "img_highres"


def write_inputs(case: Case, chosen: Chosen, work: Path) -> None:
    """Write what the program of `case` reads of the chosen pairs into the work folder.

    Label maps are apart (`label_maps.py`). Raises InputError where a layout cannot hold them.
    """
    folder = work / case.data
    WRITERS[case.inputs](chosen.pairs, folder)
    if case.list_multiple > 1:
        _fill_up(folder / "test_pairs.txt", case.list_multiple)
    if case.pose_maps is not None:
        _write_pose_maps(case.pose_maps, chosen.pairs, work)


def _layout(name: str) -> Callable[[PairSet, Path], None]:
    def write(pairs: PairSet, folder: Path) -> None:
        LAYOUTS[name].load().write([pairs], folder)

    return write


def _write_nted(pairs: PairSet, folder: Path) -> None:
    """Its script opens the training list too, and takes nothing from it."""
    _layout("nted")(pairs, folder)
    write_atomically(folder / "train_pairs.txt", (folder / "test_pairs.txt").read_bytes())


def _write_adgan(pairs: PairSet, folder: Path) -> None:
    write_family([pairs], folder, adgan.FILES, native=False)


def _write_pise(pairs: PairSet, folder: Path) -> None:
    """GFLA's lists with low-resolution pictures: the padded originals where the dataset has them.

    Otherwise 256x176, which its loader pads with 40 white columns a side.
    """
    pictures = pairs.gallery.pictures
    padded = all(picture.crop == CROP for picture in pictures)
    if padded:
        whole = tuple(replace(picture, crop=None) for picture in pictures)
        old = pairs.gallery
        pairs = pairs.with_gallery(Gallery(whole, old.keypoints, old.groups))
    write_family([pairs], folder, gfla.FILES, native=padded)


def _write_casd(pairs: PairSet, folder: Path) -> None:
    """ADGAN's lists; pictures squashed to 256x256 in `test_resize/`."""
    squashed = PairSet(pairs.dataset, pairs.split, CASD_SIZE, pairs.gallery, pairs.rows)
    write_family([squashed], folder, CASD_FILES, native=False)


def _write_leffa(pairs: PairSet, folder: Path) -> None:
    for picture in pairs.gallery.pictures:
        content = picture_bytes(picture, LEFFA_SIZE, ".png")
        write_atomically(folder / "pictures" / f"{flat_stem(picture.name)}.png", content)
    _write_pairs(pairs, folder)


def _write_pocold(pairs: PairSet, folder: Path) -> None:
    for picture in pairs.gallery.pictures:
        content = picture_bytes(picture, None, ".jpg")
        write_atomically(folder / POCOLD_PICTURES / picture.name, content)
    _write_pairs(pairs, folder)


def _write_pairs(pairs: PairSet, folder: Path) -> None:
    """Write `pairs.csv` with the columns from and to, for our drivers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to"))
    names = [picture.name for picture in pairs.gallery.pictures]
    writer.writerows((names[source], names[target]) for source, target in pairs.rows)
    write_atomically(folder / "pairs.csv", text.getvalue().encode())


def _fill_up(path: Path, multiple: int) -> None:
    """Repeat the last line of a list until its length is a multiple."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines += lines[-1:] * (-len(lines) % multiple)
    write_atomically(path, "".join(lines).encode())


def _write_pose_maps(maps: PoseMaps, pairs: PairSet, work: Path) -> None:
    """Write `<name>.npy` (H, W, 18) of every picture, from key points in whole pixels as listed.

    Source: tengteng95/Pose-Transfer:tool/generate_pose_map_{fashion,market}.py.
    """
    listed = FRAMES[pairs.dataset]
    for picture, pose in zip(pairs.gallery.pictures, pairs.gallery.keypoints, strict=True):
        whole = pose.resized(listed)
        whole = replace(whole, xy=np.rint(whole.xy))
        pixels = maps.kind == "pixels"
        planes = (one_hot_maps if pixels else gaussian_maps)(whole, maps.size).transpose(1, 2, 0)
        content = io.BytesIO()
        kept = np.ascontiguousarray(planes, np.uint8 if pixels else np.float32)
        np.save(content, kept, allow_pickle=False)
        write_atomically(work / maps.place / f"{picture.name}.npy", content.getvalue())


WRITERS: dict[str, Callable[[PairSet, Path], None]] = {
    "patn": _layout("patn"),
    "market": _layout("market"),
    "gfla": _layout("gfla"),
    "cfld": _layout("cfld"),
    "pidm": _layout("pidm"),
    "nted": _write_nted,
    "adgan": _write_adgan,
    "pise": _write_pise,
    "casd": _write_casd,
    "pocold": _write_pocold,
    "leffa": _write_leffa,
}
"""Forms of input by the name that recipes give them."""
