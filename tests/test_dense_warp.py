"""The exact warp of the embedded people: true correspondence, honest filling, nowhere else."""

import json

import numpy as np
import pytest
from bench_fixture import call, save_folder_dataset
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.dense_warp import TWIN_REACH, DenseWarp, warp_surface
from pcdms_baselines.limb_warp import background_colour, bilinear, warp_source
from pcdms_baselines.methods import make_baseline
from pcdms_data.images import load_labels, load_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.people.cache import view_of
from pcdms_data.people.correspondence import ViewKey, carry, surface_of
from pcdms_data.people.render import render_view
from pcdms_data.types import InputError, Picture
from pcdms_reports.scores import load_scores

pytestmark = pytest.mark.usefixtures("cache")
SIZE = (128, 88)
FRONT, OTHER = (ViewKey(0, 7, view, "fashion", SIZE) for view in (0, 3))


@pytest.fixture(scope="module", params=["people", "people-street"])
def pairs(request, cache):
    return load_pairs(request.param, size="smoke")


def rendered(key, with_rest=False):
    return render_view(key.dataset_seed, key.index, key.view, key.look, key.size, with_rest)


def centres(surface):
    """The samples that label and rest maps show: the last of each pixel; and the pixels."""
    last = len(surface.pixel) - 1 - np.unique(surface.pixel[::-1], return_index=True)[1]
    full = np.bincount(surface.pixel, minlength=SIZE[0] * SIZE[1])[surface.pixel[last]] == 4
    return last[full]


def test_a_surface_carried_to_its_own_picture_stays_where_it_is():
    surface = surface_of(FRONT)
    same = carry(surface, surface)
    row, column = np.divmod(surface.pixel, SIZE[1])
    assert same.seen.mean() > 0.999
    # A sample lies a quarter of a pixel from the centre, to either side.
    np.testing.assert_allclose(np.abs(same.x - column), 0.25, atol=0.01)
    np.testing.assert_allclose(np.abs(same.y - row), 0.25, atol=0.01)


def test_labels_and_places_are_those_of_the_rendered_picture():
    surface, view = surface_of(FRONT), rendered(FRONT, with_rest=True)
    at = centres(surface)
    assert np.array_equal(view.garments.reshape(-1)[surface.pixel[at]], surface.garment[at])
    assert np.array_equal(view.rest.reshape(-1, 3)[surface.pixel[at]], surface.rest[at])
    assert (view.garments.reshape(-1)[np.setdiff1d(np.arange(128 * 88), surface.pixel)] == 0).all()


def test_points_are_carried_to_where_the_other_picture_shows_the_same_place_of_the_body():
    surface, other = surface_of(OTHER), surface_of(FRONT)
    carried = carry(surface, other)
    assert 0.1 < carried.seen.mean() < 0.95
    rest = rendered(FRONT, with_rest=True).rest
    row = np.floor(carried.y[carried.seen] + 0.5).astype(int).clip(0, SIZE[0] - 1)
    column = np.floor(carried.x[carried.seen] + 0.5).astype(int).clip(0, SIZE[1] - 1)
    apart = np.linalg.norm(rest[row, column] - surface.rest[carried.seen], axis=1)
    pixel = 1 / other.scene.camera.scale
    assert np.nanmedian(apart) < pixel
    assert np.nanpercentile(apart, 90) < 4 * pixel


def test_what_is_seen_both_ways_is_a_fair_share_of_both_pictures():
    """Seeing is mutual: areas of common surface are not seen in one direction alone."""
    surface, other = surface_of(OTHER), surface_of(FRONT)
    forth, back = carry(surface, other), carry(other, surface)
    row = np.floor(forth.y[forth.seen] + 0.5).astype(int).clip(0, SIZE[0] - 1)
    column = np.floor(forth.x[forth.seen] + 0.5).astype(int).clip(0, SIZE[1] - 1)
    mutual = np.zeros(SIZE, bool)
    mutual.reshape(-1)[other.pixel[back.seen]] = True
    assert mutual[row, column].mean() > 0.95


def test_two_people_have_no_common_surface():
    with pytest.raises(InputError, match="no common surface"):
        carry(surface_of(FRONT), surface_of(ViewKey(0, 8, 0, "fashion", SIZE)))


def test_a_picture_warped_onto_itself_is_itself_inside_the_person():
    surface, source = surface_of(FRONT), rendered(FRONT).pixels
    made = warp_surface(source, surface, surface)
    inside = (np.bincount(surface.pixel, minlength=128 * 88) == 4).reshape(SIZE)
    difference = np.abs(made.astype(int) - source)[inside]
    assert np.median(difference) <= 1
    assert difference.mean() < 6
    around = (np.bincount(surface.pixel, minlength=128 * 88) == 0).reshape(SIZE)
    assert (made[around] == np.floor(background_colour(source) + 0.5)).all()


def test_what_the_source_hides_is_filled_as_documented():
    """A plain loop over some hidden samples gives the colours that the picture is made of."""
    target, seen, source = surface_of(OTHER), surface_of(FRONT), rendered(FRONT).pixels
    carried, filled = carry(target, seen), np.bincount(seen.pixel, minlength=128 * 88) == 4
    inside = np.dstack((source, np.full(SIZE, 255))) * filled.reshape(SIZE)[..., None]
    weight = bilinear(inside.astype(np.uint8), carried.x, carried.y)[:, 3]
    pixels = source.reshape(-1, 3).astype(float)
    first = [i for i in np.unique(seen.pixel, return_index=True)[1] if filled[seen.pixel[i]]]
    rest, garment = seen.rest[first].astype(float), seen.garment[first]
    shown = pixels[seen.pixel[first]]
    made = warp_surface(source, target, seen).reshape(-1, 3).astype(float)
    whole = np.bincount(target.pixel, minlength=128 * 88) == 4
    hidden = ~carried.seen | (weight < 127.5)
    lost = [p for p in np.unique(target.pixel) if whole[p] and hidden[target.pixel == p].all()]
    assert len(lost) > 50
    kinds = set()
    for pixel in lost[::7]:
        colours = []
        samples = np.flatnonzero(target.pixel == pixel)
        for i in samples:
            apart = np.linalg.norm(rest - target.rest[samples[0]] * [-1, 1, 1], axis=1)
            near = int(apart.argmin())
            reach = TWIN_REACH + 2 / seen.scene.camera.scale
            if apart[near] < reach and garment[near] == target.garment[i]:
                colours.append(shown[near])
                kinds.add("mirrored")
            elif (garment == target.garment[i]).any():
                colours.append(shown[garment == target.garment[i]].mean(axis=0))
                kinds.add("garment")
            else:
                colours.append(shown.mean(axis=0))
        np.testing.assert_allclose(made[pixel], np.mean(colours, axis=0), atol=0.51)
    assert kinds == {"mirrored", "garment"}


def test_the_exact_warp_is_nearer_to_the_target_than_the_affine_one(pairs, tmp_path):
    some = list(pairs[:12])
    method = make_baseline("dense-warp", pairs.resolution, split_gallery=pairs.gallery)
    assert method.unavailable() is None
    assert method.generate(some, tmp_path, seed=0) == {}
    errors = []
    for pair in some:
        path = tmp_path / "final" / f"{pair.pair_id}.png"
        source, target = load_picture(pair.source), load_picture(pair.target).astype(int)
        person = load_labels(pair.target_mask) > 0
        dense = load_picture(Picture(path.name, path))
        affine = warp_source(source, pair.target_pose, pair.source_pose)
        errors.append([np.abs(made - target)[person].mean() for made in (dense, affine, source)])
    dense, affine, source = np.mean(errors, axis=0)
    assert dense < 0.8 * affine < source


def test_a_picture_of_the_cache_names_its_view_and_no_other_does(pairs, tmp_path):
    pair = pairs[0]
    key = view_of(pair.source)
    assert np.array_equal(rendered(key).pixels, load_picture(pair.source))
    copy = tmp_path / "pictures.npy"
    copy.write_bytes(b"")
    for other in (
        Picture("a.png", copy, 3),
        Picture("a.png", pair.source.path.parent / "x.npy", 3),
    ):
        assert view_of(other) is None


def test_another_resolution_is_reached_by_the_runs_kernel(cache, tmp_path):
    pairs = load_pairs("people", size="smoke", limit=1)
    DenseWarp((32, 16), pairs.gallery).generate(list(pairs), tmp_path, seed=0)
    path = next(tmp_path.rglob("*.png"))
    assert load_picture(Picture(path.name, path)).shape == (32, 16, 3)


def test_pictures_from_elsewhere_have_no_surface(tmp_path):
    gallery = make_gallery(tmp_path / "data")
    method = make_baseline("dense-warp", (64, 44), split_gallery=gallery)
    assert "--dataset people" in method.unavailable()
    pairs = make_pairs(gallery)[:2]
    failures = method.generate(pairs, tmp_path / "run", seed=0)
    assert list(failures) == [pair.pair_id for pair in pairs]
    assert "surface" in failures[pairs[0].pair_id]


def test_in_a_run_it_is_a_bound_on_people_and_a_row_with_a_reason_elsewhere(cache, tmp_path):
    words = ("run", "--methods", "dense-warp,copy-source", "--metrics", "masked_l1", "--device",
             "cpu", "--out")  # fmt: skip
    result = call(*words, tmp_path / "a", "--size", "smoke", "--limit", 4)
    assert result.exit_code == 0, result.output
    rows = load_scores(tmp_path / "a" / "scores.csv").set_index("method")["value"]
    assert rows["dense-warp"] < rows["copy-source"]
    root = save_folder_dataset(tmp_path / "data")
    result = call(*words, tmp_path / "b", "--dataset", "folder", "--root", root)
    assert result.exit_code == 1
    frame = load_scores(tmp_path / "b" / "scores.csv").set_index("method")
    assert frame.loc["dense-warp", "status"] == "unavailable"
    assert "embedded people" in frame.loc["dense-warp", "reason"]
    status = next((tmp_path / "b").glob("*/dense-warp/*/status.json"))
    assert json.loads(status.read_text())["state"] == "unavailable"
