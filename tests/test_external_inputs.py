"""Inputs of official repositories: lists, pictures and maps in the form each program reads."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fashion_pairs import FASHION, LARGE, MARKET, S, T, returned_of, two_pairs
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.external.chosen import choose
from pcdms_baselines.external.inputs import TREE_NAMES, write_inputs
from pcdms_baselines.external.label_maps import carries, provide
from pcdms_baselines.external.recipe import SUFFIX, recipe_of
from pcdms_data import load_pairs
from pcdms_data.images import load_labels, load_picture, save_picture
from pcdms_data.pair_set import PairSet
from pcdms_data.types import Keypoints, Picture


@pytest.mark.parametrize(
    ("name", "frame", "layout", "dataset"),
    [
        ("patn", FASHION, "patn", "deepfashion"), ("patn", MARKET, "market", "market1501"),
        ("gfla", FASHION, "gfla", "deepfashion"), ("nted", FASHION, "nted", "deepfashion"),
        ("pidm", FASHION, "pidm", "deepfashion"), ("cfld", FASHION, "cfld", "deepfashion"),
        ("dptn", MARKET, "market", "market1501"), ("nted", LARGE, "nted", "deepfashion"),
        ("pise", FASHION, "gfla", "deepfashion"), ("x-mdpt", FASHION, "pidm", "deepfashion"),
    ],
)  # fmt: skip
def test_inputs_are_the_layout_that_the_repository_reads(name, frame, layout, dataset, tmp_path):
    case = recipe_of(f"{name}{SUFFIX}").case(frame)
    pairs = two_pairs(tmp_path / "pictures", frame)
    chosen = choose(pairs, frame, case.inputs in TREE_NAMES)
    if case.list_multiple > 1:
        case = replace(case, list_multiple=1)  # readers refuse a pair that is listed twice
    write_inputs(case, chosen, tmp_path / "work")
    again = load_pairs(dataset, tmp_path / "work" / case.data, "test", frame, layout=layout)
    assert [pair.pair_id for pair in again] == [pair.pair_id for pair in pairs]
    for one, other in zip(again, pairs, strict=True):
        whole = np.rint(other.target_pose.resized((256, 176) if dataset[0] == "d" else MARKET).xy)
        read = one.target_pose.resized((256, 176) if dataset[0] == "d" else MARKET)
        assert np.array_equal(read.visible, other.target_pose.visible)
        assert np.abs(read.xy - whole)[read.visible].max() <= 0.51


def test_lists_are_filled_up_and_the_training_list_of_nted_is_there(tmp_path):
    pairs = two_pairs(tmp_path / "pictures")
    for name in ("x-mdpt", "nted"):
        case = recipe_of(f"{name}{SUFFIX}").case(FASHION)
        write_inputs(case, choose(pairs, FASHION, True), tmp_path / name)
    lines = (tmp_path / "x-mdpt/datasets/deepfashion/test_pairs.txt").read_text().splitlines()
    assert len(lines) == 8
    assert lines[1:] == lines[1:2] * 7
    nted = tmp_path / "nted/dataset/deepfashion"
    assert (nted / "train_pairs.txt").read_text() == (nted / "test_pairs.txt").read_text()


def test_pose_maps_are_single_pixels_on_fashion_and_gaussians_on_market(tmp_path):
    for name, frame, kind in (("patn", FASHION, "uint8"), ("patn", MARKET, "float32")):
        case = recipe_of(f"{name}{SUFFIX}").case(frame)
        pairs = two_pairs(tmp_path / f"p{frame[0]}", frame)
        work = tmp_path / f"w{frame[0]}"
        write_inputs(case, choose(pairs, frame, False), work)
        maps = np.load(work / case.pose_maps.place / f"{S}.jpg.npy")
        assert (maps.dtype, maps.shape) == (kind, (*frame, 18))
        pose = pairs[0].source_pose
        xy = np.rint(pose.xy.astype(np.float64)).astype(int)
        for joint in range(18):
            x, y = xy[joint]
            if not pose.visible[joint]:
                assert not maps[..., joint].any()
            elif kind == "uint8":
                assert np.argwhere(maps[..., joint]).tolist() == [[y, x]]
            else:
                rows, columns = np.mgrid[: frame[0], : frame[1]]
                plain = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 6**2))
                assert np.allclose(maps[..., joint], plain, atol=1e-6)


def test_casd_leffa_and_pocold_get_pictures_of_their_sizes(tmp_path):
    pairs = two_pairs(tmp_path / "pictures")
    sizes = {
        "casd": ("dataset/fashion/test_resize", ".jpg", (256, 256)),
        "leffa": ("pcdms_data/pictures", ".png", (1024, 704)),
        "pocold": ("pcdms_data/img_highres", ".jpg", (256, 176)),
    }
    for name, (folder, suffix, size) in sizes.items():
        case = recipe_of(f"{name}{SUFFIX}").case(FASHION)
        write_inputs(case, choose(pairs, FASHION, False), tmp_path / name)
        path = tmp_path / name / folder / f"{S}{suffix}"
        assert load_picture(Picture(path.name, path)).shape[:2] == size
    maps = np.load(tmp_path / "casd/dataset/fashion/testK" / f"{S}.jpg.npy")
    assert maps.shape == (256, 256, 18)
    listed = (tmp_path / "casd/dataset/fashion/fashion-resize-pairs-test.csv").read_text()
    assert listed == f"from,to\n{S}.jpg,{T}.jpg\n{T}.jpg,{S}.jpg\n"
    assert (tmp_path / "leffa/pcdms_data/pairs.csv").read_text() == listed


def test_pise_gets_the_padded_originals_where_the_dataset_has_them(tmp_path):
    whole = np.arange(256 * 256 * 3, dtype=np.uint32).reshape(256, 256, 3) % 251
    pairs = two_pairs(tmp_path / "pictures")
    for name in (S, T):
        save_picture(tmp_path / f"{name}.png", whole.astype(np.uint8))
    crop = (40, 0, 216, 256)
    handles = {n: Picture(f"{n}.jpg", tmp_path / f"{n}.png", crop=crop) for n in (S, T)}
    pairs = [
        replace(p, source=handles[p.source.name[:-4]], target=handles[p.target.name[:-4]])
        for p in pairs
    ]
    case = recipe_of("pise-official").case(FASHION)
    write_inputs(case, choose(pairs, FASHION, False), tmp_path / "work")
    path = tmp_path / "work/fashion_data/test" / f"{S}.jpg"
    assert load_picture(Picture(path.name, path)).shape == (256, 256, 3)


def test_pictures_without_fashion_names_get_made_up_ones_and_come_back(tmp_path):
    pairs = two_pairs(tmp_path / "pictures", names=("me_2_you.png", "you.png"))
    recipe = recipe_of("pidm-official")
    case = recipe.case(FASHION)
    chosen = choose(pairs, FASHION, True)
    write_inputs(case, chosen, tmp_path / "work")
    returned = returned_of(recipe, case, pairs, tmp_path / "work")
    one, two = (picture.name[:-4] for picture in chosen.pairs.gallery.pictures)
    assert one.startswith("fashionWOMENDresses")
    picture = np.full((256, 256, 3), 7, np.uint8)
    save_picture(tmp_path / "work" / case.output / f"{one}_2_{two}_vis.png", picture)
    assert returned.collect(final=True) == 1
    assert returned.done == {"me_2_you_to_you"}


def test_label_maps_come_from_the_clone_under_either_name(tmp_path):
    pairs = two_pairs(tmp_path / "pictures")
    case = recipe_of("adgan-official").case(FASHION)
    chosen = choose(pairs, FASHION, True)
    folder = tmp_path / "clone" / case.label_maps.place
    tree = "WOMEN/Blouses_Shirts/id_00003372/03_2_side.npy"
    (folder / tree).parent.mkdir(parents=True)
    np.save(folder / tree, np.ones((256, 176), np.uint8))
    lacks = provide(case.label_maps, chosen, tmp_path / "clone", None, tmp_path / "work")
    assert list(lacks) == [f"{T}.jpg"]
    assert "parsing maps" in lacks[f"{T}.jpg"]
    shown = tmp_path / "work" / case.label_maps.place / tree
    assert shown.is_symlink()
    assert np.load(shown).all()
    rest, lost = chosen.without(lacks)
    assert rest.ids == ()
    assert len(lost) == 2


def test_the_embedded_people_carry_maps_for_adgan_and_casd(cache, tmp_path):
    people = load_pairs("people", size="smoke", resolution=FASHION, limit=2)
    assert carries("merge3", people)
    assert not carries("spl8", people)
    assert not carries("densepose", people)
    chosen = choose(list(people), FASHION, True)
    for name, kind in (("adgan", "merge3"), ("casd", "lip20")):
        case = recipe_of(f"{name}{SUFFIX}").case(FASHION)
        assert case.label_maps.kind == kind
        assert provide(case.label_maps, chosen, tmp_path / "none", people, tmp_path / name) == {}
    adgan = next((tmp_path / "adgan").rglob("*.npy"))
    classes = np.load(adgan)
    assert classes.shape == FASHION
    assert set(np.unique(classes)) <= set(range(8))
    assert {0, 2, 4, 5} <= set(np.unique(classes))
    casd = sorted((tmp_path / "casd").rglob("*.png"))
    labels = load_labels(Picture(casd[0].name, casd[0]))
    assert labels.shape == (256, 256)
    assert set(np.unique(labels)) <= {0, 2, 5, 9, 12, 13, 14, 16}


def test_pairs_of_another_frame_are_scaled_to_the_list(tmp_path):
    """A pose far from the published frame still lands on the right pixel of the annotation."""
    pose = Keypoints(np.full((18, 2), 100, np.float32), np.ones(18, bool), (512, 352))
    pairs = [
        replace(p, source_pose=pose, target_pose=pose) for p in two_pairs(tmp_path / "p", LARGE)
    ]
    case = recipe_of("cfld-official").case(LARGE)
    write_inputs(case, choose(pairs, LARGE, False), tmp_path / "work")
    text = (tmp_path / "work/fashion/fasion-resize-annotation-test.csv").read_text()
    assert json.loads(text.splitlines()[1].split(":")[1]) == [50] * 18


def test_chosen_pairs_keep_their_order_and_use_only_their_pictures(tmp_path):
    gallery = make_gallery(tmp_path, 8, 4, FASHION)
    pairs = make_pairs(gallery)[5:9]
    chosen = choose(pairs, FASHION, False)
    assert isinstance(chosen.pairs, PairSet)
    assert chosen.ids == tuple(pair.pair_id for pair in pairs)
    used = {p.name for pair in pairs for p in (pair.source, pair.target)}
    assert set(chosen.names) == used
    rest, lost = chosen.without({pairs[0].source.name: "gone"})
    assert list(lost.values()) == ["gone"] * len(lost)
    assert [one.source.name.replace("jpg", "png") for one in rest.pairs] == [
        pair.source.name for pair in pairs if pair.pair_id not in lost
    ]
