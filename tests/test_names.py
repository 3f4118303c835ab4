"""Names of DeepFashion and Market-1501: forms, keys, and counts of the real lists."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pcdms_data.layouts.annotation import read_annotation_rows, read_names
from pcdms_data.names import (
    CATEGORIES,
    FLAT,
    MARKET,
    TREE,
    flat_name,
    group_of,
    is_defgan,
    is_junk,
    parse_fashion,
)
from pcdms_data.types import InputError

REAL = Path(os.environ.get("PCDMS_REALDATA", "../shared/realdata"))
needs_real = pytest.mark.skipif(
    not (REAL / "deepfashion" / "train.lst.gz").exists(), reason="PCDMS_REALDATA has no lists"
)


@pytest.fixture(scope="module")
def listed():
    folder = REAL / "deepfashion"
    return {"train": read_names(folder / "train.lst.gz"), "test": read_names(folder / "test.lst")}


@pytest.fixture(scope="module")
def market():
    folder = REAL / "market1501"
    return {
        split: read_annotation_rows(folder / f"market-annotation-{split}.csv.gz")
        for split in ("train", "test")
    }


@pytest.mark.parametrize(
    "name",
    [
        "fashionWOMENBlouses_Shirtsid0000337203_3back.jpg",
        "fashionWOMENBlousesShirtsid0000337203_3back.jpg",
        "fasionWOMENBlousesShirtsid0000337203_3back.jpg",
        "img/WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg",
        "img_highres/WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg",
        "fashion/WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg",
        "WOMEN/Blouses_Shirts/id_00003372/03_3_back.jpg",
        "WOMEN_Blouses_Shirts_id_00003372_03_3_back.jpg",
    ],
)
def test_every_form_gives_the_same_flat_name(name):
    assert flat_name(name) == "fashionWOMENBlouses_Shirtsid0000337203_3back.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "../WOMEN/Dresses/id_00003372/03_3_back.jpg",
        "/img/WOMEN/Dresses/id_00003372/03_3_back.jpg",
        "img/../WOMEN/Dresses/id_00003372/03_3_back.jpg",
        "fashionWOMENDressesid000033720_3back.jpg",
        "0002_c1s1_000451_03.jpg",
        "",
    ],
)
def test_other_names_have_no_flat_form(name):
    assert parse_fashion(name) is None
    with pytest.raises(InputError, match="no known DeepFashion form"):
        flat_name(name)


def test_dropping_underscores_keeps_categories_apart():
    for categories in CATEGORIES.values():
        assert len({name.replace("_", "") for name in categories}) == len(categories)
    assert sum(map(len, CATEGORIES.values())) == 23


def test_only_defgan_drops_the_h():
    assert is_defgan("fasionWOMENTeesTanksid0000594502_2side.jpg")
    assert not is_defgan("fashionWOMENTees_Tanksid0000594502_2side.jpg")


@needs_real
def test_all_real_names_parse_and_come_back_from_every_form(listed):
    names = listed["train"] + listed["test"]
    assert len(names) == len(set(names)) == 52_712
    for name in names:
        assert FLAT.fullmatch(name)
        parsed = parse_fashion(name)
        assert TREE.fullmatch(parsed.tree)
        for form in (parsed.flat, parsed.tree, f"img/{parsed.tree}", parsed.defgan):
            assert flat_name(form) == name
        assert flat_name(parsed.underscores) == name
        assert parsed.group == group_of("deepfashion", name)
        assert parsed.category in CATEGORIES[parsed.gender]
    lengths = [len(name) for name in listed["test"]]
    assert (min(lengths), max(lengths)) == (37, 59)


@needs_real
def test_real_groups_and_items_have_the_published_counts(listed):
    parsed = {split: [parse_fashion(name) for name in names] for split, names in listed.items()}
    assert {split: len(names) for split, names in parsed.items()} == {"train": 48_674, "test": 4038}
    groups = {split: {name.group for name in names} for split, names in parsed.items()}
    assert (len(groups["train"]), len(groups["test"])) == (12_029, 1000)
    assert not groups["train"] & groups["test"]
    items = {split: {name.item_key for name in names} for split, names in parsed.items()}
    sizes = (len(items["train"] | items["test"]), len(items["train"]), len(items["test"]))
    assert sizes == (8081, 7654, 930)
    assert len(items["train"] & items["test"]) == 503
    # The bare number is another key: asserted, so that nobody swaps the two unnoticed.
    numbers = {split: {name.item for name in names} for split, names in parsed.items()}
    sizes = (len(numbers["train"] | numbers["test"]), len(numbers["train"]), len(numbers["test"]))
    assert sizes == (7982, 7565, 930)
    assert len(numbers["train"] & numbers["test"]) == 513
    folders = Counter(item for _, _, item in items["train"] | items["test"])
    assert sum(count > 1 for count in folders.values()) == 99


@needs_real
def test_real_pairs_show_seen_and_unseen_items(listed):
    lines = (REAL / "deepfashion" / "fasion-resize-pairs-test.csv").read_text().splitlines()[1:]
    targets = [parse_fashion(line.split(",")[1]) for line in lines]
    train = [parse_fashion(name) for name in listed["train"]]
    items = {name.item_key for name in train}
    seen = sum(name.item_key in items for name in targets)
    assert (seen, len(targets) - seen) == (4984, 3586)
    numbers = {name.item for name in train}
    seen = sum(name.item in numbers for name in targets)
    assert (seen, len(targets) - seen) == (5010, 3560)


@needs_real
def test_real_categories_and_views_have_the_published_counts(listed):
    parsed = {split: [parse_fashion(name) for name in names] for split, names in listed.items()}
    train, test = (
        Counter((name.gender, name.category) for name in parsed[split])
        for split in ("train", "test")
    )
    counts = {
        gender: {name: (train[gender, name], test[gender, name]) for name in names}
        for gender, names in CATEGORIES.items()
    }
    assert counts["MEN"] == {
        "Denim": (399, 12), "Jackets_Vests": (381, 43), "Pants": (929, 88),
        "Shirts_Polos": (661, 61), "Shorts": (927, 73), "Suiting": (34, 5),
        "Sweaters": (567, 38), "Sweatshirts_Hoodies": (714, 61), "Tees_Tanks": (2636, 209),
    }  # fmt: skip
    assert counts["WOMEN"] == {
        "Blouses_Shirts": (7341, 623), "Cardigans": (1273, 163), "Denim": (381, 12),
        "Dresses": (6427, 572), "Graphic_Tees": (1193, 104), "Jackets_Coats": (1742, 153),
        "Leggings": (322, 13), "Pants": (1671, 133), "Rompers_Jumpsuits": (1570, 126),
        "Shorts": (3211, 265), "Skirts": (1909, 136), "Sweaters": (2801, 235),
        "Sweatshirts_Hoodies": (786, 70), "Tees_Tanks": (10_799, 843),
    }  # fmt: skip
    assert len(train) == len(CATEGORIES["MEN"]) + len(CATEGORIES["WOMEN"])
    groups = Counter(group_of("deepfashion", name) for name in listed["train"])
    assert sum(count * (count - 1) for count in groups.values()) == 154_758
    views = {
        view: tuple(
            Counter(name.view for name in parsed[split])[view] for split in ("train", "test")
        )
        for view in ("front", "side", "additional", "back", "full", "flat")
    }
    assert views == {
        "front": (11_870, 991),
        "side": (10_091, 832),
        "additional": (10_086, 828),
        "back": (9845, 816),
        "full": (6148, 522),
        "flat": (634, 49),
    }


@needs_real
def test_real_market_names_have_the_published_counts(market):
    for rows in market.values():
        assert all(MARKET.fullmatch(name) for name in rows.names)
        assert rows.names == rows.written
    train, test = market["train"].names, market["test"].names
    assert (len(train), len(test)) == (12_936, 19_732)
    persons = {
        split: {group_of("market1501", name) for name in rows.names if not is_junk(name)}
        for split, rows in market.items()
    }
    assert (len(persons["train"]), len(persons["test"])) == (751, 750)
    assert not persons["train"] & persons["test"]
    kinds = Counter(name.partition("_")[0] for name in test)
    assert (kinds["-1"], kinds["0000"]) == (3819, 2798)
    assert sum(not is_junk(name) for name in test) == 13_115
    double = [name for name in (*train, *test) if name.endswith(".jpg.jpg")]
    assert len(double) == 18
    assert {group_of("market1501", name) for name in double} == {"1488", "0000", "-1"}


@needs_real
def test_real_market_joints_have_the_published_counts(market):
    empty, valid, missing = {}, {}, {}
    for split, rows in market.items():
        empty[split] = int((~rows.visible.any(axis=1)).sum())
        person = np.array([not is_junk(name) for name in rows.names])
        valid[split] = int((rows.visible[:, [2, 5, 8, 11]].all(axis=1) & person).sum())
        missing[split] = round(100 * float((~rows.visible).mean()), 1)
        places = rows.coded[rows.visible]
        assert places.min() == 0
        assert tuple(places.max(axis=0)) == (63, 127)
    assert empty == {"train": 419, "test": 3445}
    assert valid == {"train": 12_116, "test": 12_344}
    assert missing == {"train": 25.7, "test": 39.0}


@needs_real
def test_right_joints_lie_left_in_front_views():
    rows = read_annotation_rows(REAL / "deepfashion" / "fasion-resize-annotation-test.csv")
    views = np.array([parse_fashion(name).view for name in rows.names])

    def share(view, right, left):
        chosen = rows.visible[:, right] & rows.visible[:, left] & (views == view)
        return float((rows.coded[chosen, right, 0] < rows.coded[chosen, left, 0]).mean())

    assert share("front", 14, 15) > 0.995
    assert share("front", 16, 17) > 0.99
    assert share("front", 2, 5) == pytest.approx(0.96, abs=0.01)
    assert share("back", 2, 5) == pytest.approx(0.03, abs=0.01)
    assert share("back", 16, 17) == pytest.approx(0.03, abs=0.015)
