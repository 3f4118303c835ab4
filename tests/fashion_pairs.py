"""A pair of pictures with DeepFashion's names and its reverse, and what may come back of them."""

from dataclasses import replace

from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.external.chosen import choose
from pcdms_baselines.external.inputs import TREE_NAMES
from pcdms_baselines.external.returned import Returned
from pcdms_data.types import make_pair_id

FASHION, LARGE, MARKET = (256, 176), (512, 352), (128, 64)
S = "fashionWOMENBlouses_Shirtsid0000337203_2side"
T = "fashionWOMENBlouses_Shirtsid0000337202_3back"


def two_pairs(folder, frame=FASHION, names=(f"{S}.jpg", f"{T}.jpg")):
    """A pair and its reverse, pictures in the frame."""
    gallery = make_gallery(folder, 2, 2, frame)
    pictures = [replace(p, name=n) for p, n in zip(gallery.pictures, names, strict=True)]
    found = make_pairs(replace(gallery, pictures=tuple(pictures)))
    return [replace(p, pair_id=make_pair_id(p.source.name, p.target.name)) for p in found]


def returned_of(recipe, case, pairs, work):
    chosen = choose(pairs, case.frame, case.inputs in TREE_NAMES)
    wanted = {pair.pair_id: work.parent / "made" / f"{pair.pair_id}.png" for pair in pairs}
    (work / case.output).mkdir(parents=True, exist_ok=True)
    return Returned(case, work, chosen.known, chosen.ids, wanted, case.frame, "pil-bicubic-u8")
