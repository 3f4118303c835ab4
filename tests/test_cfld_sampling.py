"""Sampling with CFLD: the loop against the stock scheduler, guidance, and pictures of pairs."""

import json
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, arrays, distance, needs_golden
from diffusers import DDPMScheduler
from safetensors.torch import save_file
from tiny_pairs import make_gallery, make_pairs

import pcdms
from pcdms_baselines import import_published
from pcdms_baselines.cfld.ancestral import Schedule, guide, sample_latents
from pcdms_baselines.cfld.presets import PRESETS, config_of, new_network
from pcdms_baselines.cfld.sampling import RECIPE, sample
from pcdms_baselines.cfld.unet import predict
from pcdms_baselines.methods import make_baseline
from pcdms_bench.methods import spec_for
from pcdms_bench.model_files import ModelFiles
from pcdms_bench.request import RunRequest
from pcdms_data.types import InputError

VAE = Path(next(iter(pcdms.__path__))) / "pretrained" / "people-tiny" / "vae"
GOLDEN = FOLDER / "cfld"
pytestmark = pytest.mark.usefixtures("one_thread")


def stock(schedule):
    """The stock scheduler with the published settings."""
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        steps_offset=1, prediction_type=schedule.prediction, timestep_spacing=schedule.spacing,
    )  # fmt: skip


def stock_loop(denoise, schedule, shape, steps):
    """The latents that the stock scheduler ends with, drawing its own noise from seed 0."""
    scheduler, generator = stock(schedule), torch.Generator().manual_seed(0)
    scheduler.set_timesteps(steps)
    latents = torch.randn(shape, generator=generator)
    for time in scheduler.timesteps:
        output = denoise(latents, time.expand(len(latents)))
        latents = scheduler.step(output, time, latents, generator=generator).prev_sample
    return latents


def same_noise(shape, steps):
    """What `stock_loop` draws, in its order."""
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randn(shape, generator=generator) for _ in range(steps + 1)])


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (Schedule(), 50), (Schedule("v_prediction", "leading"), 7),
        (Schedule("sample", "trailing"), 1), (Schedule("sample", "trailing"), 3),
    ],
)  # fmt: skip
def test_loop_equals_the_stock_scheduler(schedule, steps):
    torch.manual_seed(1)
    network = torch.nn.Conv2d(4, 4, 3, padding=1).requires_grad_(False)
    times = []

    def denoise(latents, time):
        times.append(time.tolist())
        return network(latents).tanh() * (1 + time.view(-1, 1, 1, 1) / 1000)

    mine = sample_latents(denoise, same_noise((2, 4, 8, 8), steps), schedule)
    asked, times[:] = list(times), []
    known = stock_loop(denoise, schedule, (2, 4, 8, 8), steps)
    assert asked == times
    assert distance(mine, known) < 1e-5 * float(known.std())


def test_published_steps_are_the_leading_ones():
    times = []

    def denoise(latents, time):
        times.append(int(time[0]))
        return latents

    sample_latents(denoise, torch.zeros(51, 1, 1, 1, 1))
    assert (times[0], times[-1], len(times)) == (981, 1, 50)
    assert {before - after for before, after in pairwise(times)} == {20}


@needs_golden
@torch.inference_mode()
@pytest.mark.parametrize("scale", [2.0, 3.5])
def test_three_branches_in_one_pass_equal_three_passes(scale):
    network = import_published("cfld", GOLDEN, GOLDEN / "config.json")
    known, steps = arrays(GOLDEN / "forward.npz"), 5
    source, pose = known["img_cond"], known["pose_img"]
    given = network(source, pose)
    nothing = network.learnable_vector.expand(2, -1, -1)

    def denoise(latents, time):
        unet = network.model
        free = predict(unet, latents, time, nothing)
        posed = predict(unet, latents, time, nothing, given.pose)
        full = predict(unet, latents, time, given.tokens, given.pose, given.appearance)
        return free + scale * (posed - free) + scale * (full - posed)

    shape = (2, 4, 16, 16)
    expected = stock_loop(denoise, network.schedule, shape, steps)
    made = latents_of(network, (source, pose), iter(same_noise(shape, steps)), steps, scale)
    assert distance(made, expected) < 1e-3 * float(expected.std())


class Plain(torch.nn.Module):
    """An autoencoder whose pictures are the latents."""

    config: ClassVar = {"scaling_factor": 1.0}

    def decode(self, latents):
        self.sample = latents
        return self


def latents_of(network, inputs, noise, steps, scale):
    """What `sample` ends with when it draws this noise."""
    return sample(network, Plain(), inputs, lambda shape: next(noise), steps, scale)


@needs_golden
def test_guidance_of_one_is_the_full_branch_alone():
    network = import_published("cfld", GOLDEN, GOLDEN / "config.json")
    known, calls = arrays(GOLDEN / "forward.npz"), []
    inputs, noise = (known["img_cond"], known["pose_img"]), same_noise((2, 4, 16, 16), 3)
    network.model.register_forward_hook(lambda part, given, output: calls.append(len(output[0])))
    alone = latents_of(network, inputs, iter(noise), 3, 1.0)
    assert calls == [2, 2, 2]
    almost = latents_of(network, inputs, iter(noise), 3, 1.0 + 1e-6)
    assert calls[3:] == [6, 6, 6]
    assert distance(alone, almost) < 1e-3 * float(alone.std())


def test_guidance_adds_pose_and_source_one_after_the_other():
    free, posed, full = torch.tensor([[1.0], [10.0], [100.0]])
    assert guide(torch.stack([free, posed, full]), 2.0) == 1 + 2 * 9 + 2 * 90
    assert guide(torch.stack([free, posed, full]), 0.0) == free


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network as a training leaves it, zero convolutions filled so that all conditions act."""
    folder = tmp_path_factory.mktemp("cfld")
    torch.manual_seed(0)
    network = new_network(PRESETS["tiny"], (96, 64))
    encoder = network.appearance_encoder
    for convolution in (*encoder.zero_conv_ins, *encoder.zero_conv_outs):
        torch.nn.init.normal_(convolution.weight, std=0.3)
    save_file(dict(network.state_dict()), folder / "model.safetensors")
    config = config_of(PRESETS["tiny"], (96, 64), (96, 64))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_pairs(make_gallery(tmp_path_factory.mktemp("data"), size=(96, 64)))[:5]


def written(method, pairs, out, seed=0, samples=1):
    """The files that a method leaves, by name."""
    assert method.generate(pairs, out, seed, samples) == {}
    return {path.name: path.read_bytes() for path in (out / "final").iterdir()}


def made_by(folder, **settings):
    return make_baseline("cfld", (96, 64), vae=VAE, weights=folder, chunk=2, **settings)


def test_a_picture_depends_on_its_pair_and_seed_alone(folder, pairs, tmp_path):
    method = made_by(folder)
    assert method.unavailable() is None
    whole = written(method, pairs, tmp_path / "all")
    assert len(whole) == len({*whole.values()}) == 5
    turned = written(method, pairs[::-1], tmp_path / "turned")
    assert turned == whole
    alone = written(method, pairs[2:3], tmp_path / "alone", samples=2)
    name = f"{pairs[2].pair_id}.png"
    assert alone.pop(f"{pairs[2].pair_id}.1.png") != alone[name]
    assert alone == {name: whole[name]}
    assert written(method, pairs[2:3], tmp_path / "seed", seed=1)[name] != whole[name]


def test_a_run_goes_on_where_it_stopped(folder, pairs, tmp_path):
    method = made_by(folder)
    first = written(method, pairs[:3], tmp_path / "run")
    kept, lost = (tmp_path / "run" / "final" / name for name in sorted(first)[:2])
    kept.write_bytes(b"kept")
    lost.unlink()
    again = written(method, pairs[:3], tmp_path / "run")
    assert again[kept.name] == b"kept"
    assert {**again, kept.name: first[kept.name]} == first


def test_steps_and_guidance_are_the_folders_unless_given(folder, pairs, tmp_path):
    own = written(made_by(folder), pairs[:1], tmp_path / "own")
    assert written(made_by(folder, steps=2, guidance=1.0), pairs[:1], tmp_path / "same") == own
    assert written(made_by(folder, steps=3), pairs[:1], tmp_path / "steps") != own
    assert written(made_by(folder, guidance=3.0), pairs[:1], tmp_path / "guided") != own
    with pytest.raises(InputError, match="1001 sampling steps were asked for, expected 1 to 1000"):
        made_by(folder, steps=1001).generate(pairs[:1], tmp_path / "many", seed=0)


def test_source_and_pose_are_squeezed_onto_the_published_square(tmp_path):
    pair = make_pairs(make_gallery(tmp_path, size=(512, 352)))[0]
    pixels = np.zeros((512, 352, 3), dtype=np.uint8)
    pixels[256:] = 255
    for frame in ((256, 176), (512, 352)):
        canvas = RECIPE.form.canvases[frame]
        source, pose = RECIPE.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
        assert (source.shape, pose.shape) == ((3, 256, 256), (21, 256, 256))
        assert (source[:, :120] == -1).all()
        assert (source[:, 136:] == 1).all()
        joint = pair.target_pose.xy[5] * (256 / 352, 256 / 512)
        row, column = np.unravel_index(pose[3 + 5].argmax(), (256, 256))
        assert (column, row) == tuple(np.trunc(joint))


def test_output_is_resized_without_aliasing_clamped_and_truncated():
    fine = np.indices((512, 512)).sum(0) % 2 * 2.0 - 1
    made = RECIPE.picture(np.stack([fine] * 3).astype(np.float32), (256, 176))
    assert (made.shape, made.dtype) == ((256, 176, 3), np.uint8)
    assert np.abs(made[2:-2, 2:-2].astype(int) - 127).max() <= 1
    level = np.full((3, 512, 512), (100.9 / 255) * 2 - 1, dtype=np.float32)
    assert (RECIPE.picture(level, (512, 352)) == 100).all()
    assert (RECIPE.picture(level * 0 + 9, (96, 64)) == 255).all()
    same = RECIPE.picture(level * 0 - 9, (512, 512))
    assert (same == 0).all()


@needs_golden
def test_the_authors_folder_serves_both_frames_and_half_of_it_none(tmp_path):
    for frame in ((256, 176), (512, 352)):
        method = make_baseline("cfld", frame, vae=VAE, weights=GOLDEN)
        assert method.unavailable() is None
    assert "--vae" in make_baseline("cfld", (256, 176), weights=GOLDEN).unavailable()
    small = make_baseline("cfld", (96, 64), vae=VAE, weights=GOLDEN)
    assert "256x176 or 512x352, not of 96x64" in small.unavailable()
    half = make_baseline("cfld", (256, 176), vae=VAE, weights=GOLDEN / "pytorch_model_1.bin")
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[:1]
    with pytest.raises(InputError, match="one of two files, give the folder"):
        half.generate(pairs, tmp_path / "run", seed=0)


def test_without_weights_the_next_step_is_named(tmp_path):
    method = make_baseline("cfld", (256, 176))
    assert "--method-weights cfld=FOLDER" in method.unavailable()
    (tmp_path / "pytorch_model.bin").touch()
    lacking = make_baseline("cfld", (256, 176), weights=tmp_path)
    assert "lacks config.json and model.safetensors" in lacking.unavailable()
    assert (
        "or name a folder with pytorch_model.bin and pytorch_model_1.bin" in lacking.unavailable()
    )


def test_runs_of_other_weights_have_other_names(tmp_path):
    request = RunRequest()
    specs = []
    for content in (b"a", b"b"):
        folder = tmp_path / content.decode()
        folder.mkdir()
        for name in RECIPE.form.published_files:
            (folder / name).write_bytes(content)
        files = ModelFiles(tmp_path, of_methods={"cfld": folder})
        specs.append(spec_for("cfld", request, (256, 176), False, files))
    assert specs[0].weights != specs[1].weights
