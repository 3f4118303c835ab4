"""Foreign file names and sheets become pair ids and picture handles; what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcdms_bench.naming import NAMINGS, read_names
from pcdms_bench.result_folder import one_size, read_results
from pcdms_data.images import load_picture, save_picture
from pcdms_data.names import parsed_name
from pcdms_data.pair_names import Known, SpeltNames
from pcdms_data.types import InputError, make_pair_id

SOURCE = "fashionWOMENBlouses_Shirtsid0000337203_3back.jpg"
TARGET = "fashionWOMENBlouses_Shirtsid0000337203_2side.jpg"
OTHER = "fashionMENDenimid0000008001_1front.jpg"
S, T = SOURCE[:-4], TARGET[:-4]
PAIRS = [(a, b, make_pair_id(a, b)) for a, b in ((SOURCE, TARGET), (TARGET, SOURCE))]
LIST = Known.of_pairs(PAIRS)


def read(*names, naming="auto", known=LIST):
    return read_names([Path("made") / name for name in names], naming, known)


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        ("pair-id", f"{S}_to_{T}.png"),
        ("pcdms", f"{S}_to_{T}.png"),
        ("pidm", f"{S}_2_{T}_vis.png"),
        ("pidm", f"{S}_2_deep{T}_vis.png"),
        ("gfla", f"{S}_2_{T}_vis.jpg"),
        ("pocold", f"{S}_2_{T}_vis.png"),
        ("plain", f"{S}_2_{T}.png"),
        ("patn", f"{SOURCE}___{TARGET}_vis.jpg"),
        ("patn", f"{SOURCE}___{T}_vis.png"),
        ("adgan", f"{SOURCE}___{TARGET}_vis.jpg"),
        ("defgan", f"{parsed_name(SOURCE).defgan}_{parsed_name(TARGET).defgan}.jpg"),
        ("cfld", "0.png"),
    ],
)
def test_a_published_name_gives_its_pair_id(naming, name):
    found = read(name, naming=naming)
    assert list(found.found) == [PAIRS[0][2]]
    assert (found.unmatched, found.duplicates) == ([], [])


def test_the_underscore_spelling_is_cut_where_both_names_are_listed():
    one, two = (parsed_name(name).underscores[:-4] for name in (SOURCE, TARGET))
    assert "_2_" in two  # the last `_2_` of such a name lies inside the target
    found = read(f"{one}_2_{two}_vis.png", naming="gfla")
    assert list(found.found) == [PAIRS[0][2]]


def test_market_names_carry_their_double_extension_or_not():
    names = ["0001_c1s1_001051_00.jpg.jpg", "0001_c2s1_000301_00.jpg"]
    known = Known.of_pairs([(*names, make_pair_id(*names))])
    for name in (
        "0001_c1s1_001051_00.jpg_2_0001_c2s1_000301_00_vis.jpg",
        "0001_c1s1_001051_00_2_0001_c2s1_000301_00_vis.jpg",
        "0001_c1s1_001051_00.jpg.jpg_2_0001_c2s1_000301_00.jpg_vis.jpg",
    ):
        assert list(read(name, naming="gfla", known=known).found) == [make_pair_id(*names)]


def test_what_fits_no_pair_or_one_twice_is_reported():
    unknown = f"{S}_to_{OTHER[:-4]}.png"
    found = read(f"{S}_to_{T}.png", f"{S}_to_{T}.jpg", unknown, "readme.png", naming="pcdms")
    assert list(found.found) == [PAIRS[0][2]]
    assert found.unmatched == [unknown, "readme.png"]
    assert found.duplicates == [f"{S}_to_{T}.jpg and {S}_to_{T}.png"]


def test_auto_takes_the_naming_that_explains_most_names():
    found = read(f"{S}_2_{T}_vis.png", f"{T}_2_{S}_vis.png", f"{S}_to_{T}.png")
    assert found.naming.name == "gfla"
    assert len(found.found) == 2
    assert len(found.unmatched) == 1
    with pytest.raises(InputError, match="list namings"):
        read("a.png", "b.png")


def test_without_a_list_targets_decide_and_without_targets_the_last_separator():
    targets = Known(targets=SpeltNames(["a.png", "x_2_a.png"]))
    found = read("s_2_x_2_a_vis.png", naming="gfla", known=targets)
    assert list(found.found) == ["s_to_x_2_a"]  # the longest known target
    alone = read("s_2_x_2_a_vis.png", naming="gfla", known=Known())
    assert list(alone.found) == ["s_2_x_to_a"]
    defgan = read("a_1.jpg_b_2.jpg.jpg", naming="defgan", known=Known())
    assert list(defgan.found) == ["a_1_to_b_2"]


def test_a_spelling_of_two_pictures_tells_neither():
    names = SpeltNames(["x.jpg", "x.jpg.png"])
    assert names.find("x") == "x"  # the stem of the first, exactly
    assert SpeltNames(["x.jpg.jpg", "x.png.jpg"]).find("x") is None


@pytest.mark.parametrize(("files", "rows"), [(("0", "1"), (0, 1)), (("1", "2"), (0, 1))])
def test_rows_count_from_zero_or_one(files, rows):
    found = read(*(f"{name}.png" for name in files), "notes.png", naming="cfld")
    ids = {one.file.stem: one.pair_id for one in found.found.values()}
    assert ids == {name: PAIRS[row][2] for name, row in zip(files, rows, strict=True)}
    assert found.unmatched == ["notes.png"]


def test_rows_that_could_count_either_way_are_refused():
    with pytest.raises(InputError, match="from 0 or from 1"):
        read("1.png", naming="cfld")
    with pytest.raises(InputError, match="--dataset"):
        read("1.png", naming="cfld", known=Known())


def test_an_unknown_naming_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'gfla'"):
        read("a.png", naming="gfl")


# Folders


def colours(count, size=(64, 44)):
    """Tiles of noise, each around a level of its own."""
    rng = np.random.default_rng(0)
    return [
        (40 * i + rng.integers(0, 30, (*size, 3))).clip(0, 255).astype(np.uint8)
        for i in range(count)
    ]


def save_sheet(path, tiles):
    save_picture(path, np.concatenate(tiles, axis=1))


@pytest.mark.parametrize(
    ("naming", "name", "count", "made", "target"),
    [
        ("patn", f"{SOURCE}___{TARGET}_vis.png", 5, 4, 2),
        ("adgan", f"{SOURCE}___{TARGET}_vis.png", 5, 4, 2),
        ("defgan", f"{SOURCE}_{TARGET}.png", 3, 2, 1),
    ],
)
def test_sheets_are_cut_into_their_tiles(tmp_path, naming, name, count, made, target):
    tiles = colours(count)
    save_sheet(tmp_path / name, tiles)
    found = read_results(tmp_path, naming, LIST)
    pair = PAIRS[0][2]
    assert np.array_equal(load_picture(found.pictures[pair]), tiles[made])
    assert np.array_equal(load_picture(found.targets[pair]), tiles[target])
    assert found.missing == [PAIRS[1][2]]
    assert found.notes == [f"tile {made + 1} of sheets of {count}"]


def test_a_comparison_sheet_gives_the_tile_asked_for(tmp_path):
    tiles = colours(10, (16, 11))
    save_sheet(tmp_path / f"{S}_2_{T}_vis.png", tiles)
    found = read_results(tmp_path, "pidm-vs-others", LIST, tile=6)
    assert np.array_equal(load_picture(found.pictures[PAIRS[0][2]]), tiles[5])
    assert np.array_equal(load_picture(found.targets[PAIRS[0][2]]), tiles[2])
    with pytest.raises(InputError, match="10 tiles"):
        read_results(tmp_path, "pidm-vs-others", LIST, tile=11)


def test_auto_finds_sheets_by_the_size_of_their_tiles(tmp_path):
    tiles = colours(5, (128, 64))
    save_sheet(tmp_path / f"{S}_2_{T}_vis.png", tiles)
    found = read_results(tmp_path, "auto", LIST)
    assert np.array_equal(load_picture(found.pictures[PAIRS[0][2]]), tiles[4])
    save_picture(tmp_path / f"{T}_2_{S}_vis.png", tiles[0])
    with pytest.raises(InputError, match="mixes"):
        read_results(tmp_path, "auto", LIST)


def test_a_width_that_is_no_sheet_is_named(tmp_path):
    save_picture(tmp_path / f"{SOURCE}___{TARGET}_vis.png", np.zeros((16, 52, 3), np.uint8))
    found = read_results(tmp_path, "patn", LIST)
    assert not found.pictures
    assert "16x52, expected 5 tiles" in found.refusal()


def test_padded_squares_are_told_from_stretched_ones(tmp_path):
    rng = np.random.default_rng(0)
    inner = rng.integers(0, 256, (2, 64, 44, 3), dtype=np.uint8)
    for (source, target, _), picture in zip(PAIRS, inner, strict=True):
        padded = np.pad(picture, ((0, 0), (10, 10), (0, 0)), constant_values=250)
        save_picture(tmp_path / "padded" / f"{source}_2_{target}_vis.png", padded)
        stretched = np.repeat(picture, 2, axis=1)[:, :64]
        save_picture(tmp_path / "stretched" / f"{source}_2_{target}_vis.png", stretched)
    found = read_results(tmp_path / "padded", "gfla", LIST, (64, 44))
    assert np.array_equal(load_picture(found.pictures[PAIRS[0][2]]), inner[0])
    assert "padded" in found.notes[0]
    kept = read_results(tmp_path / "padded", "gfla", LIST, (64, 44), "squashed")
    assert load_picture(kept.pictures[PAIRS[0][2]]).shape == (64, 64, 3)
    stretched = read_results(tmp_path / "stretched", "gfla", LIST, (64, 44))
    assert load_picture(stretched.pictures[PAIRS[0][2]]).shape == (64, 64, 3)
    told = read_results(tmp_path / "stretched", "gfla", LIST, (64, 44), "padded")
    assert load_picture(told.pictures[PAIRS[0][2]]).shape == (64, 44, 3)
    square = read_results(tmp_path / "padded", "gfla", LIST, (64, 64))
    assert load_picture(square.pictures[PAIRS[0][2]]).shape == (64, 64, 3)


def test_a_refusal_lists_every_kind_of_misfit(tmp_path):
    save_picture(tmp_path / f"{S}_to_{T}.png", colours(1)[0])
    (tmp_path / f"{S}_to_{T}.jpg").write_bytes((tmp_path / f"{S}_to_{T}.png").read_bytes())
    save_picture(tmp_path / "stray.png", colours(1)[0])
    text = read_results(tmp_path, "pcdms", LIST).refusal()
    assert f"1 missing: {PAIRS[1][2]}" in text
    assert "1 without a pair: stray.png" in text
    assert "1 of the same pair" in text
    assert "--allow-missing" in text
    assert "\n" not in text


def test_pictures_of_two_sizes_are_no_set(tmp_path):
    for (_, _, pair), size in zip(PAIRS, ((16, 11), (32, 22)), strict=True):
        save_picture(tmp_path / f"{pair}.png", np.zeros((*size, 3), np.uint8))
    found = read_results(tmp_path, "pair-id", LIST)
    with pytest.raises(InputError, match="of 2 sizes"):
        one_size(found.pictures, "pictures")


def test_every_naming_is_described():
    for name, naming in NAMINGS.items():
        assert naming.name == name
        assert naming.summary
        assert 0 <= naming.picture_tile < naming.tiles
        assert naming.target_tile is None or naming.target_tile < naming.tiles
