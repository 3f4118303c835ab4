"""Floor and ceiling methods: what they write, what they keep, and which pairs fail."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.mean_image import mean_picture
from pcdms_baselines.methods import (
    METHODS,
    baseline_names,
    external_names,
    learned_names,
    make_baseline,
)
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

SIZE = (64, 44)
WITHOUT_WEIGHTS = [
    name
    for name in baseline_names()
    if not name.startswith(("vae-", "dense-")) and name not in (*learned_names(), *external_names())
]


@pytest.fixture
def gallery(tmp_path):
    return make_gallery(tmp_path / "data")


def build(name, gallery, size=SIZE):
    return make_baseline(name, size, gallery, gallery)


def read(out, pairs, suffix=""):
    paths = [out / "final" / f"{pair.pair_id}{suffix}.png" for pair in pairs]
    return [load_picture(Picture(path.name, path)) for path in paths]


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_each_method_leaves_one_rgb_picture_per_pair_and_sample(name, gallery, tmp_path):
    pairs = make_pairs(gallery)
    method = build(name, gallery, (32, 22))
    assert (method.name, method.stages, method.unavailable()) == (name, ("final",), None)
    assert method.generate(pairs, tmp_path / "run", seed=0, samples=2) == {}
    first, second = read(tmp_path / "run", pairs), read(tmp_path / "run", pairs, ".1")
    assert all(picture.shape == (32, 22, 3) for picture in first)
    assert np.array_equal(first, second)
    assert len(list((tmp_path / "run").rglob("*.*"))) == 2 * len(pairs)


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_pictures_do_not_depend_on_seed_order_or_neighbours(name, gallery, tmp_path):
    pairs = make_pairs(gallery)
    build(name, gallery).generate(pairs, tmp_path / "whole", seed=0)
    split = build(name, gallery)
    split.generate(pairs[::-2], tmp_path / "parts", seed=5)
    split.generate(pairs, tmp_path / "parts", seed=6)
    assert np.array_equal(read(tmp_path / "whole", pairs), read(tmp_path / "parts", pairs))


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_pictures_already_there_are_kept(name, gallery, tmp_path):
    pairs = make_pairs(gallery)
    build(name, gallery).generate(pairs[:1], tmp_path, seed=0)
    path = tmp_path / "final" / f"{pairs[0].pair_id}.png"
    path.write_bytes(b"kept")
    build(name, gallery).generate(pairs[:2], tmp_path, seed=0)
    assert path.read_bytes() == b"kept"
    assert len(list((tmp_path / "final").iterdir())) == 2


@pytest.mark.parametrize("name", ["copy-source", "limb-warp", "limb-warp-max", "limb-warp-full"])
def test_unreadable_source_fails_its_own_pair_only(name, gallery, tmp_path):
    pairs = make_pairs(gallery)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    pairs[1] = replace(pairs[1], source=Picture("broken.png", broken))
    failures = build(name, gallery).generate(pairs, tmp_path / "run", seed=0)
    assert list(failures) == [pairs[1].pair_id]
    assert "broken.png" in failures[pairs[1].pair_id]
    assert len(list((tmp_path / "run" / "final").iterdir())) == len(pairs) - 1


def test_copies_of_sources_are_the_targets_in_another_order(gallery, tmp_path):
    pairs = make_pairs(gallery)
    build("copy-source", gallery).generate(pairs, tmp_path / "s", seed=0)
    build("target-copy", gallery).generate(pairs, tmp_path / "t", seed=0)
    sources, targets = read(tmp_path / "s", pairs), read(tmp_path / "t", pairs)
    assert sorted(p.tobytes() for p in sources) == sorted(p.tobytes() for p in targets)
    assert all(
        np.array_equal(p, load_picture(q.source)) for p, q in zip(sources, pairs, strict=True)
    )
    assert all(
        np.array_equal(p, load_picture(q.target)) for p, q in zip(targets, pairs, strict=True)
    )


def test_copies_of_sources_and_targets_are_equally_far_from_the_training_pictures(cache, tmp_path):
    """On a pair list closed under reversal their Frechet distances are equal up to rounding."""
    from bench_fixture import call

    from pcdms_data.pairs import load_pairs
    from pcdms_reports.scores import load_scores

    pairs = load_pairs("people", size="smoke")
    listed = {tuple(row) for row in pairs.rows.tolist()}
    assert listed == {(target, source) for source, target in listed}
    distances = []
    for limit in (len(pairs), len(pairs) // 2):
        result = call(
            "run", "--size", "smoke", "--methods", "copy-source,target-copy", "--limit", limit,
            "--metrics", "fd_efficientnet_lite0", "--device", "cpu", "--out", tmp_path / f"{limit}",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        frame = load_scores(tmp_path / f"{limit}" / "scores.csv").set_index("method")
        distances.append(frame.loc[["copy-source", "target-copy"], "value"].tolist())
    (source, target), (part_source, part_target) = distances
    assert source > 1
    assert source == pytest.approx(target, rel=1e-9)
    assert part_source != pytest.approx(part_target, rel=1e-4), "half the list is not closed"


def test_mean_is_the_exactly_rounded_integer_mean_in_any_order(gallery):
    stack = np.stack([load_picture(picture) for picture in gallery.pictures]).astype(object)
    exact = [[[(2 * v + 8) // 16 for v in row] for row in plane] for plane in stack.sum(axis=0)]
    mean = mean_picture(gallery.pictures, SIZE, "none")
    assert mean.tolist() == exact
    assert np.array_equal(mean, mean_picture(gallery.pictures[::-1], SIZE, "none"))


def test_a_mean_of_exactly_one_half_is_rounded_up(tmp_path):
    np.save(tmp_path / "a.npy", np.array([254, 255], np.uint8)[:, None, None, None].repeat(3, 3))
    pictures = [Picture(f"{i}.png", tmp_path / "a.npy", i) for i in (0, 1)]
    assert mean_picture(pictures, (1, 1), "none").tolist() == [[[255, 255, 255]]]
    with pytest.raises(InputError, match="at least one"):
        mean_picture([], (1, 1), "none")


def test_mean_image_is_one_picture_of_the_gallery_or_of_the_sources(gallery, tmp_path):
    pairs = make_pairs(gallery)
    build("mean-image", gallery).generate(pairs, tmp_path / "train", seed=0)
    expected = mean_picture(gallery.pictures, SIZE, "none")
    assert all(np.array_equal(p, expected) for p in read(tmp_path / "train", pairs))
    make_baseline("mean-image", SIZE).generate(pairs[:3] * 2, tmp_path / "none", seed=0)
    sources = [gallery.pictures[i] for i in (0, 1, 2)]
    expected = mean_picture(sources, SIZE, "none")
    assert all(np.array_equal(p, expected) for p in read(tmp_path / "none", pairs[:3]))


def test_mean_of_sources_is_replaced_when_the_pairs_grow(gallery, tmp_path):
    pairs = make_pairs(gallery)
    method = make_baseline("mean-image", SIZE)
    method.generate(pairs[:2], tmp_path, seed=0)
    method.generate(pairs, tmp_path, seed=0)
    assert len({picture.tobytes() for picture in read(tmp_path, pairs)}) == 1
    stamps = [path.stat().st_mtime_ns for path in sorted((tmp_path / "final").iterdir())]
    method.generate(pairs, tmp_path, seed=0)
    assert stamps == [path.stat().st_mtime_ns for path in sorted((tmp_path / "final").iterdir())]


def test_unreadable_reference_picture_fails_every_pair_and_source_its_own(gallery, tmp_path):
    pairs = make_pairs(gallery)
    gone = Picture("gone.png", tmp_path / "gone.png")
    holed = replace(gallery, pictures=(*gallery.pictures[:-1], gone))
    failures = make_baseline("mean-image", SIZE, holed).generate(pairs, tmp_path / "a", seed=0)
    assert list(failures) == [pair.pair_id for pair in pairs]
    pairs[0] = replace(pairs[0], source=gone)
    failures = make_baseline("mean-image", SIZE).generate(pairs, tmp_path / "b", seed=0)
    assert list(failures) == [pairs[0].pair_id]
    assert "gone.png" in failures[pairs[0].pair_id]


def test_pair_id_cannot_leave_the_folder(gallery, tmp_path):
    pairs = [replace(pair, pair_id="../../up") for pair in make_pairs(gallery)[:1]]
    failures = build("copy-source", gallery).generate(pairs, tmp_path / "run", seed=0)
    assert list(failures) == ["../../up"]
    assert not list(tmp_path.rglob("up.png"))


def test_registry_names_are_unique_and_unknown_names_get_a_suggestion():
    names = baseline_names()
    assert len(set(names)) == len(names)
    assert all(key == entry.name and entry.description for key, entry in METHODS.items())
    with pytest.raises(InputError, match=r"'limb-wrap'.*did you mean limb-warp\?"):
        make_baseline("limb-wrap", SIZE)


def test_methods_without_their_material_say_what_they_need(tmp_path):
    assert "training split" in str(make_baseline("nearest-pose", SIZE).unavailable())
    assert "evaluated split" in str(make_baseline("nearest-pose-group", SIZE).unavailable())
    assert "--vae DIR" in str(make_baseline("vae-roundtrip", SIZE).unavailable())
    assert "config.json" in str(make_baseline("vae-roundtrip", SIZE, vae=tmp_path).unavailable())
    with pytest.raises(InputError, match="--vae DIR"):
        make_baseline("vae-roundtrip", SIZE).generate([], tmp_path, seed=0)
