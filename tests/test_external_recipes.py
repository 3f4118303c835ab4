"""Recipes: every crop, tile and name as documented, and what of a clone a program is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import stand_in
from fashion_pairs import FASHION, LARGE, MARKET, S, T, returned_of, two_pairs
from PIL import Image
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.external import clone as clones
from pcdms_baselines.external.inputs import WRITERS
from pcdms_baselines.external.label_maps import KINDS
from pcdms_baselines.external.method import External
from pcdms_baselines.external.recipe import DRIVER, DRIVERS, RECIPES, SUFFIX, Sheet, recipe_of
from pcdms_baselines.external.workplace import link_repository
from pcdms_baselines.methods import METHODS, external_names
from pcdms_data.images import load_picture, png_bytes, save_picture
from pcdms_data.types import Picture, make_pair_id

VIS, SHEET = f"{S}_2_{T}_vis", f"{S}.jpg___{T}.jpg_vis"
DOCUMENTED = [
    # method, frame, file, size (H, W), columns of the result, all rows
    ("patn", FASHION, f"{SHEET}.jpg", (256, 880), (704, 880)),
    ("patn", MARKET, f"{SHEET}.jpg", (128, 320), (256, 320)),
    ("dptn", FASHION, f"{VIS}.jpg", (256, 176), (0, 176)),
    ("dptn", MARKET, f"{VIS}.jpg", (128, 64), (0, 64)),
    ("nted", FASHION, f"epoch_00200_iteration_000495400/{VIS}.png", (256, 176), (0, 176)),
    ("nted", LARGE, f"epoch_00200_iteration_000495400/{VIS}.png", (512, 352), (0, 352)),
    ("pidm", FASHION, f"{VIS}.png", (256, 256), (0, 256)),
    ("cfld", FASHION, f"{VIS}.png", (256, 176), (0, 176)),
    ("cfld", LARGE, f"{VIS}.png", (512, 352), (0, 352)),
    ("gfla", FASHION, f"{VIS}.jpg", (256, 256), (0, 256)),
    ("gfla", MARKET, f"{VIS}.jpg", (128, 64), (0, 64)),
    ("adgan", FASHION, f"{SHEET}.jpg", (256, 880), (704, 880)),
    ("pise", FASHION, f"{VIS}.jpg", (256, 256), (40, 216)),
    ("pise", FASHION, f"{S}_{T}_vis.jpg", (256, 256), (40, 216)),
    ("casd", FASHION, f"{SHEET}.jpg", (256, 1792), (1536, 1792)),
    ("casd", FASHION, f"{SHEET}.jpg", (256, 1280), (1024, 1280)),
    ("pocold", FASHION, f"{VIS}.png", (512, 384), (0, 384)),
    ("pocold", LARGE, f"{VIS}.png", (512, 384), (0, 384)),
    ("leffa", FASHION, f"{VIS}.png", (1024, 768), (32, 736)),
    ("leffa", LARGE, f"{VIS}.png", (1024, 768), (32, 736)),
]
CASES = [
    pytest.param(recipe, case, id=f"{recipe.name}-{case.frame[0]}")
    for recipe in map(recipe_of, external_names())
    for case in recipe.cases
]


def test_every_recipe_is_a_method_and_says_everything():
    stems = sorted(path.stem for path in RECIPES.glob("*.toml"))
    assert sorted(f"{stem}{SUFFIX}" for stem in stems) == sorted(external_names())
    for name in external_names():
        recipe = recipe_of(name)
        assert recipe.name == name
        assert recipe.repository in METHODS[name].description
        assert all((recipe.commit, recipe.licence, recipe.era, recipe.weights_from, recipe.notes))
    used = {case.driver for name in external_names() for case in recipe_of(name).cases} - {""}
    assert used == {path.name for path in DRIVERS.glob("*.py")}


@pytest.mark.parametrize(("recipe", "case"), CASES)
def test_the_parts_of_a_recipe_fit_together(recipe, case):
    assert case.inputs in WRITERS
    assert (case.sheet is None) != (not case.forms)
    assert bool(case.ways) == (case.sheet is None)
    assert case.label_maps is None or case.label_maps.kind in KINDS
    assert (case.command[0] == DRIVER) == bool(case.driver)
    places = (case.data, case.output, *case.weights, *case.needs, *case.writes)
    assert not any(place.startswith(("/", ".")) or ".." in place for place in places)
    for form in case.forms:
        left, top, right, bottom = form.crop or (0, 0, form.size[1], form.size[0])
        assert 0 <= left < right <= form.size[1]
        assert 0 <= top < bottom <= form.size[0]


def test_every_documented_output_is_tried():
    tried = {(name, frame) for name, frame, *_ in DOCUMENTED} | {("x-mdpt", FASHION)}
    assert tried == {
        (name.removesuffix(SUFFIX), case.frame)
        for name in external_names()
        for case in recipe_of(name).cases
    }


@pytest.mark.parametrize(("name", "frame", "file", "size", "columns"), DOCUMENTED)
def test_the_documented_part_of_a_file_is_the_picture(name, frame, file, size, columns, tmp_path):
    recipe = recipe_of(f"{name}{SUFFIX}")
    case = recipe.case(frame)
    pairs = two_pairs(tmp_path / "pictures", frame)
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    path = tmp_path / "work" / case.output / file
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(1).integers(0, 256, (size[0] // 8, size[1] // 8, 3))
    pixels = np.kron(levels, np.ones((8, 8, 1))).astype(np.uint8)
    pixels[:, :, 0] = np.arange(size[1]) % 251  # no two neighbouring crops are alike
    path.write_bytes(png_bytes(pixels))
    assert returned.collect(final=True) == 1
    made = returned.wanted[make_pair_id(f"{S}.jpg", f"{T}.jpg")]
    part = Image.fromarray(pixels[:, columns[0] : columns[1]])
    plain = part.resize((frame[1], frame[0]), Image.Resampling.BICUBIC)
    assert np.array_equal(load_picture(Picture(made.name, made)), np.asarray(plain))


@pytest.mark.parametrize(("recipe", "case"), CASES)
def test_a_file_of_another_size_is_refused(recipe, case, tmp_path):
    pairs = two_pairs(tmp_path / "pictures", case.frame)
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    name = "gen_img_000.png" if case.sheet else f"{SHEET if '___' in case.ways[0] else VIS}.png"
    (tmp_path / "work" / case.output / name).write_bytes(stand_in.sheet((300, 300), {}))
    assert returned.collect(final=True) == 0
    assert returned.problems
    assert all("is 300x300, expected" in reason for reason in returned.problems.values())


def test_sheets_of_eight_columns_go_on_through_the_list(tmp_path):
    recipe = recipe_of("x-mdpt-official")
    case = recipe.case(FASHION)
    assert case.sheet == Sheet(5, 8, 4, 256, 2)
    assert case.sheet.size == (1292, 2066)
    gallery = make_gallery(tmp_path / "pictures", 10, 5, FASHION)
    pairs = make_pairs(gallery)[:11]
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    folder = tmp_path / "work" / case.output
    for number in range(2):
        # Documented: tile (r, c) at x = 2 + 258 c, y = 2 + 258 r, and row 4 is the result.
        marks = {
            (2 + 258 * c, 2 + 258 * 4, 258 * c + 258, 258 * 4 + 258): 20 * number + c + 1
            for c in range(8)
        }
        (folder / f"gen_img_00{number}.png").write_bytes(stand_in.sheet((1292, 2066), marks))
    assert returned.collect(final=True) == 11
    for row, pair in enumerate(pairs):
        pixels = load_picture(Picture("p", returned.wanted[pair.pair_id]))
        assert (pixels == 20 * (row // 8) + row % 8 + 1).all()
    assert returned.strangers == []


def test_names_with_separators_inside_are_looked_up_in_the_list(tmp_path):
    recipe, frame = recipe_of("gfla-official"), MARKET
    names = ["0001_c1s1_000030_2_1.jpg", "0001_2_c1s1.jpg", "0001_c1s1_000030.jpg", "1_2_c1s1.jpg"]
    gallery = make_gallery(tmp_path / "pictures", 4, 4, frame)
    pictures = [replace(p, name=n) for p, n in zip(gallery.pictures, names, strict=True)]
    pairs = make_pairs(replace(gallery, pictures=tuple(pictures)))
    pairs = [replace(p, pair_id=make_pair_id(p.source.name, p.target.name)) for p in pairs]
    pairs = [pair for pair in pairs if (pair.source.name, pair.target.name) != tuple(names[2:])]
    case = recipe.case(frame)
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    for number, pair in enumerate(pairs):
        file = f"{pair.source.name[:-4]}_2_{pair.target.name[:-4]}_vis.png"
        picture = np.full((*frame, 3), number, np.uint8)
        save_picture(tmp_path / "work" / case.output / file, picture)
    assert returned.collect(final=True) == len(pairs) == 11
    for number, pair in enumerate(pairs):
        pixels = load_picture(Picture("p", returned.wanted[pair.pair_id]))
        assert (pixels == number).all()


def test_a_name_that_two_pairs_share_belongs_to_neither(tmp_path):
    recipe, frame = recipe_of("gfla-official"), MARKET
    names = ["a.jpg", "b_2_c.jpg", "a_2_b.jpg", "c.jpg"]
    gallery = make_gallery(tmp_path / "pictures", 4, 4, frame)
    pictures = [replace(p, name=n) for p, n in zip(gallery.pictures, names, strict=True)]
    pairs = make_pairs(replace(gallery, pictures=tuple(pictures)))
    pairs = [replace(p, pair_id=make_pair_id(p.source.name, p.target.name)) for p in pairs]
    case = recipe.case(frame)
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    save_picture(tmp_path / "work" / case.output / "a_2_b_2_c_vis.png", np.zeros((*frame, 3), "u1"))
    assert returned.collect(final=True) == 0
    assert returned.strangers == ["a_2_b_2_c_vis.png"]


def test_the_work_folder_shows_the_clone_and_keeps_our_places_apart(tmp_path):
    case = recipe_of("cfld-official").case(FASHION)
    clone, work = tmp_path / "clone", tmp_path / "work"
    for place in (
        "models/unet.py", "checkpoints/readme.txt", "fashion/MEN/a.jpg", "outputs/old.txt",
        "run.py", ".git/HEAD",
    ):  # fmt: skip
        (clone / place).parent.mkdir(parents=True, exist_ok=True)
        (clone / place).write_text(place)
    weights = {}
    for place in case.weights:
        weights[place] = tmp_path / Path(place).name
        weights[place].write_bytes(b"mine")
    link_repository(clone, work, case, weights)
    assert (work / "models").is_symlink()
    assert (work / "checkpoints/readme.txt").read_text() == "checkpoints/readme.txt"
    assert (work / case.weights[0]).read_bytes() == b"mine"
    assert list((work / "fashion").iterdir()) == []
    assert list((work / "outputs").iterdir()) == []
    assert not (work / ".git").exists()
    assert (work / "pcdms_driver.py").read_text() == (DRIVERS / "run_cfld.py").read_text()


def test_weights_may_be_a_file_a_folder_or_lie_in_the_clone(tmp_path):
    recipe = recipe_of("cfld-official")
    case = recipe.case(FASHION)
    given = clones.Given(weights=tmp_path / "w")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "pytorch_model.bin").write_bytes(b"1")
    assert "pytorch_model_1.bin" in clones.find_weights(recipe, case, given, tmp_path)
    (tmp_path / "w" / "pytorch_model_1.bin").write_bytes(b"2")
    assert set(clones.find_weights(recipe, case, given, tmp_path)) == set(case.weights)
    one = clones.Given(weights=tmp_path / "w" / "pytorch_model.bin")
    assert "expected a folder with" in clones.find_weights(recipe, case, one, tmp_path)
    mdpt = recipe_of("x-mdpt-official")
    large = tmp_path / "logs/XMDPT_L_2/ema_0.9999_300000.pt"
    large.parent.mkdir(parents=True)
    large.write_bytes(b"3")
    case = mdpt.case(FASHION)
    found = clones.find_weights(mdpt, case, clones.Given(), tmp_path)
    assert found == {case.weights[0]: large}


def test_maps_that_neither_clone_nor_dataset_have_are_named(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/painet_model.py").write_text("")
    method = External(recipe_of("pise-official"), FASHION, clones.Given(tmp_path))
    assert "parsing maps (fashion_data/testSPL8 in the clone" in method.unavailable()
    (tmp_path / "fashion_data/testSPL8").mkdir(parents=True)
    assert "parsing maps" not in method.unavailable()
