"""Methods that draw at random: one picture per pair, seed and sample, whatever else is made."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from baseline_files import filled
from safetensors.torch import save_file
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.methods import make_baseline
from pcdms_baselines.pidm.network import PidmDenoiser, Shape
from pcdms_baselines.sampled import Sampled, sampled_recipe_of
from pcdms_data.images import load_picture, save_picture
from pcdms_data.seeds import pair_seed
from pcdms_data.types import InputError, Picture

FRAME = (64, 44)
CONFIG = {"frame": FRAME, "canvas": FRAME, "prediction": "clean", "steps": 3, "guidance": 1.5}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as the training leaves it, with a network that has learned nothing."""
    folder = tmp_path_factory.mktemp("weights")
    shape = Shape((8, 8), (False, True), 12, 20, 12, time=8, spare=False)
    save_file(filled(PidmDenoiser(shape), size=0.2).state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_pairs(make_gallery(tmp_path_factory.mktemp("data")))


def make(weights, chunk=3, **changes):
    return make_baseline("pidm", FRAME, weights=weights, chunk=chunk, **changes)


def read(out, pairs, suffix=""):
    paths = [out / "final" / f"{pair.pair_id}{suffix}.png" for pair in pairs]
    return np.stack([load_picture(Picture(path.name, path)) for path in paths])


def test_every_sample_of_every_pair_is_there_and_differs(weights, pairs, tmp_path):
    method = make(weights)
    assert (method.name, method.stages, method.unavailable()) == ("pidm", ("final",), None)
    assert method.generate(pairs, tmp_path, seed=0, samples=2) == {}
    assert len(list(tmp_path.rglob("*.*"))) == 2 * len(pairs)
    first, second = read(tmp_path, pairs), read(tmp_path, pairs, ".1")
    assert first.shape == (len(pairs), *FRAME, 3)
    assert (first != second).any(axis=(1, 2, 3)).all()
    assert method.parameters == sum(
        tensor.numel() for tensor in filled(method._learned.network()).parameters()
    )


def test_pictures_depend_on_pair_seed_and_sample_alone(weights, pairs, tmp_path):
    make(weights).generate(pairs, tmp_path / "whole", seed=0, samples=2)
    parts = make(weights)
    parts.generate(pairs[::-2], tmp_path / "parts", seed=0)
    parts.generate(pairs, tmp_path / "parts", seed=0, samples=2)
    for suffix in ("", ".1"):
        made = [read(tmp_path / name, pairs, suffix) for name in ("whole", "parts")]
        assert np.array_equal(*made)
    parts.generate(pairs, tmp_path / "other", seed=1)
    other = read(tmp_path / "other", pairs)
    assert (other != read(tmp_path / "whole", pairs)).any(axis=(1, 2, 3)).all()


def test_noise_of_a_row_comes_from_its_own_seed(weights, pairs, tmp_path):
    """What the loop is given equals the draws of the pair's generator, in order."""
    seen = []
    recipe = sampled_recipe_of("pidm")

    def sample(network, vae, inputs, draws, steps, guidance):
        seen.append((draws((2, 5)), draws((3,)), steps, guidance))
        return torch.zeros(len(inputs[0]), 3, *FRAME)

    method = Sampled(replace(recipe, sample=sample), FRAME, weights, "pidm", chunk=3)
    method.generate(pairs[:2], tmp_path, seed=7)
    first, second, *settings = seen[0]
    assert settings == [3, 1.5]
    for row, pair in enumerate(pairs[:2]):
        generator = torch.Generator().manual_seed(pair_seed(7, pair.pair_id, "final", 0))
        assert torch.equal(first[row], torch.randn(2, 5, generator=generator))
        assert torch.equal(second[row], torch.randn(3, generator=generator))
    Sampled(
        replace(recipe, sample=sample), FRAME, weights, "pidm", chunk=3, steps=9, guidance=2.0
    ).generate(pairs[:2], tmp_path / "asked", seed=7)
    assert seen[-1][2:] == (9, 2.0)


def test_chunks_are_padded_and_hold_no_more_than_they_need(weights, pairs, tmp_path):
    happened = []
    recipe = sampled_recipe_of("pidm")

    def inputs(*given):
        happened.append("input")
        return recipe.inputs(*given)

    def sample(network, vae, inputs, draws, steps, guidance):
        happened.append(len(inputs[0]))
        return recipe.sample(network, vae, inputs, draws, steps, guidance)

    method = Sampled(replace(recipe, inputs=inputs, sample=sample), FRAME, weights, "pidm", chunk=3)
    assert method.generate(pairs[:4], tmp_path, seed=0) == {}
    assert happened == ["input"] * 3 + [3, "input", 3]
    assert len(list(tmp_path.rglob("*.png"))) == 4


def test_pictures_already_there_are_kept_and_not_made_again(weights, pairs, tmp_path):
    make(weights).generate(pairs[:2], tmp_path, seed=0)
    before = read(tmp_path, pairs[:2])
    path = tmp_path / "final" / f"{pairs[0].pair_id}.png"
    save_picture(path, np.full((*FRAME, 3), 9, np.uint8))
    make(weights).generate(pairs[:2], tmp_path, seed=0)
    assert (load_picture(Picture(path.name, path)) == 9).all()
    path.unlink()
    make(weights).generate(pairs[:2], tmp_path, seed=0)
    assert np.array_equal(read(tmp_path, pairs[:2]), before)


def test_a_failing_pair_fails_alone(weights, pairs, tmp_path):
    make(weights).generate(pairs[:4], tmp_path / "whole", seed=0)
    absent = replace(pairs[1], source=Picture("absent.png", tmp_path / "absent.png"))
    escaping = replace(pairs[2], pair_id="../escaped")
    given = [pairs[0], absent, escaping, pairs[3]]
    failures = make(weights).generate(given, tmp_path / "run", seed=0)
    assert failures.keys() == {absent.pair_id, "../escaped"}
    assert "absent.png" in failures[absent.pair_id]
    kept = [pairs[0], pairs[3]]
    assert len(list((tmp_path / "run").rglob("*.png"))) == 2
    assert np.array_equal(read(tmp_path / "run", kept), read(tmp_path / "whole", kept))


def test_unusable_weights_say_the_next_step(weights, pairs, tmp_path):
    without = make_baseline("pidm", FRAME)
    assert "--method-weights pidm=last.pt" in without.unavailable()
    with pytest.raises(InputError, match="needs its published weights"):
        without.generate(pairs[:1], tmp_path / "run", seed=0)
    reason = make_baseline("pidm", (96, 64), weights=weights).unavailable()
    assert "64x44, not of 96x64" in reason
    latent = replace(sampled_recipe_of("pidm"), needs_vae=True)
    assert "--vae" in Sampled(latent, FRAME, weights, "pidm").unavailable()
    other = Sampled(latent, FRAME, weights, "pidm", vae=tmp_path)
    assert "config.json is missing" in other.unavailable()
