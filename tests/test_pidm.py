"""PIDM: the published network to the last digit, its checkpoint with its trap, and its pictures."""

import json

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, TOLERANCE, arrays, distance, filled, needs_golden
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines import import_published
from pcdms_baselines.methods import make_baseline
from pcdms_baselines.pidm.canvas import drawn_pose, patch_of, pose_cells, to_cells, to_pixels
from pcdms_baselines.pidm.diffusion import Process
from pcdms_baselines.pidm.network import PidmDenoiser, Shape
from pcdms_baselines.pidm.sampling import RECIPE
from pcdms_baselines.skeleton_maps import skeleton_maps
from pcdms_bench.cli import cli
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

GOLDEN = FOLDER / "pidm"
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Shape((8, 16), (False, True), time=16)


class Private:
    """Stands for the authors' configuration object."""


@pytest.fixture(scope="module")
def small():
    return filled(PidmDenoiser(SMALL))


@pytest.fixture
def checkpoint(small, tmp_path):
    """The file that the authors' training leaves; its training weights differ from the average."""
    path = tmp_path / "last.pt"
    content = {
        "model": PidmDenoiser(SMALL).state_dict(), "ema": small.state_dict(),
        "optimizer": {"state": {}, "param_groups": []}, "conf": Private(),
    }  # fmt: skip
    torch.save(content, path)
    return path


@needs_golden
@torch.inference_mode()
def test_features_and_guided_output_equal_the_official_ones():
    network = import_published("pidm", GOLDEN / "last.pt", trust_pickle=True)
    known = arrays(GOLDEN / "forward.npz")
    features = network.encode(known["source"])
    assert len(features) == 9
    for index, feature in enumerate(features):
        official = known[f"feature_{index}"]
        # Stored in half precision: half a unit in the last place of the greatest value.
        assert distance(feature, official) < 2**-11 * float(official.abs().max())
    given = known["x_t"], known["t"].long(), known["target_pose"]
    conditional = network(*given, known["source"])
    null = network(*given, torch.zeros_like(known["source"]))
    assert distance(conditional, known["output"]) < TOLERANCE
    assert distance(network.denoise(*given, features), known["output"]) < TOLERANCE
    assert distance(null, known["output_null"]) < TOLERANCE
    assert distance(null + 2 * (conditional - null), known["output_scale2"]) < TOLERANCE


def test_published_size_and_names():
    with torch.device("meta"):
        network = PidmDenoiser()
    state = network.state_dict()

    def parameters(*words, of="", without="time_embed"):
        return sum(
            value.numel()
            for name, value in state.items()
            if name.startswith(of) and any(word in name for word in words) and without not in name
        )

    assert (len(state), parameters("", without="?")) == (852, 180_355_718)
    assert parameters("", of="encoder.", without="?") == 38_288_640
    assert parameters("cond_emb_layers") == 6_882_688
    assert parameters(".qkv.", "proj_out1") == 5_779_456
    timed = parameters(".emb_layers", "time_embed", of="encoder.", without="?")
    assert round(timed / 1e6, 1) == 5.3
    shapes = {
        "time_embed.time_embed.0.weight": (512, 128), "input_blocks.0.0.weight": (128, 23, 3, 3),
        "input_blocks.7.0.skip_connection.weight": (256, 128, 1, 1),
        "input_blocks.11.1.to_kv.weight": (512, 256, 1), "input_blocks.17.1.qkv.bias": (1536,),
        "middle_block.1.to_q.weight": (512, 512, 1), "middle_block.2.emb_layers.1.bias": (1024,),
        "output_blocks.1.1.proj_out2.weight": (512, 512, 1),
        "output_blocks.8.1.in_layers.2.weight": (256, 256, 3, 3),
        "output_blocks.17.0.in_layers.0.weight": (256,), "out.2.weight": (6, 128, 3, 3),
        "encoder.input_blocks.0.0.weight": (128, 3, 3, 3),
        "encoder.input_blocks.15.0.cond_emb_layers.1.weight": (512, 512),
        "encoder.time_embed.2.weight": (512, 512),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    attended = {name.rpartition(".to_q")[0] for name in state if ".to_q.weight" in name}
    places = [f"input_blocks.{k}.1" for k in (11, 14, 17)] + ["middle_block.1"]
    assert attended == {*places, *(f"output_blocks.{k}.1" for k in (1, 4, 7))}


def test_averaged_weights_are_read_once_the_private_class_is_trusted(small, checkpoint):
    with pytest.raises(InputError, match=r"holds more than tensors .*Private.* trust_pickle=True"):
        import_published("pidm", checkpoint)
    read = import_published("pidm", checkpoint, trust_pickle=True)
    assert read.shape == SMALL
    assert not read.training
    for name, value in small.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)


def test_misfitting_weights_are_listed(small, tmp_path):
    state = small.state_dict()
    del state["encoder.input_blocks.4.0.skip_connection.bias"]
    state |= {"latent_net.0.weight": torch.zeros(1), "middle_block.1.to_q.bias": torch.zeros(3)}
    save_file(state, tmp_path / "last.safetensors")
    with pytest.raises(InputError) as caught:
        import_published("pidm", tmp_path / "last.safetensors")
    text = str(caught.value)
    assert "is no pidm checkpoint" in text
    assert "1 missing: encoder.input_blocks.4.0.skip_connection.bias" in text
    assert "1 left over: latent_net.0.weight" in text
    assert "middle_block.1.to_q.bias (3,) instead of (16,)" in text


@pytest.mark.parametrize("state", [{"a": torch.zeros(1)}, {"out.2.bias": torch.zeros(6)}])
def test_a_file_of_another_network_is_refused(state, tmp_path):
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"no pidm checkpoint: has 0 input blocks"):
        import_published("pidm", tmp_path / "other.safetensors")


def test_configuration_says_what_shapes_cannot(small, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(small.state_dict(), path)
    assert import_published("pidm", path).process == Process("noise", 1.0, "ddim")
    config = {"prediction": "clean", "shift": 3, "loop": "ddpm", "frame": [64, 44]}
    assert import_published("pidm", path, config).process == Process("clean", 3.0, "ddpm")
    for wrong in ({"prediction": "score"}, {"loop": "euler"}, {"shift": 0}, {"shift": "6"}):
        with pytest.raises(InputError, match=r"no pidm checkpoint: its configuration says .*, exp"):
            import_published("pidm", path, wrong)


@torch.inference_mode()
def test_every_input_matters_and_a_zeroed_source_is_the_null(small):
    torch.manual_seed(0)
    x, pose, source = torch.randn(2, 3, 8, 12), torch.rand(2, 20, 8, 12), torch.rand(2, 3, 8, 12)
    time = torch.tensor([3, 700])
    made = small(x, time, pose, source)
    assert made.shape == (2, 6, 8, 12)
    others = (
        (x.flip(0), time, pose, source), (x, time.flip(0), pose, source),
        (x, time, pose.flip(0), source), (x, time, pose, source.flip(0)),
    )  # fmt: skip
    for given in others:
        assert distance(made, small(*given)) > 1e-5
    zeros = small(x, time, pose, torch.zeros_like(source))
    assert distance(zeros, small.denoise(x, time, pose, small.encode(0 * source))) == 0


def test_a_new_network_says_nothing_until_it_learns():
    network = PidmDenoiser(SMALL)
    given = torch.rand(1, 3, 8, 8), torch.zeros(1), torch.rand(1, 20, 8, 8), torch.rand(1, 3, 8, 8)
    assert not network(*given).any()


def test_cells_lose_nothing_and_halve_the_pose():
    pictures, pose = torch.rand(2, 3, 8, 12), torch.rand(1, 20, 8, 12)
    for patch, positions in ((1, (8, 12)), (2, (4, 6)), (4, (2, 3))):
        cells = to_cells(pictures, patch)
        assert cells.shape == (2, 3 * patch**2, *positions)
        assert patch_of(cells.shape[1]) == patch
        assert torch.equal(to_pixels(cells, patch), pictures)
        channels = 20 if patch == 1 else 5 * patch**2
        assert pose_cells(pose, patch).shape == (1, channels, *positions)
    assert torch.equal(pose_cells(pose, 1), pose)
    assert torch.allclose(pose_cells(pose, 2)[0, 3, 1, 2], pose[0, 3, 2:4, 4:6].mean())
    assert torch.allclose(pose_cells(pose, 4)[0, 13, 1, 2], pose[0, 3, 4:6, 10:12].mean())


def test_poses_of_small_canvases_are_drawn_large_and_averaged(tmp_path):
    pose = make_gallery(tmp_path, count=1, per_group=1).keypoints[0]
    for canvas, times in (((256, 256), 1), ((96, 64), 2), ((64, 44), 4)):
        large = skeleton_maps(pose, (canvas[0] * times, canvas[1] * times))
        blocks = large.reshape(20, canvas[0], times, canvas[1], times).mean((2, 4))
        np.testing.assert_allclose(drawn_pose(pose, canvas), blocks, atol=1e-6)


def test_fashion_is_squashed_into_a_square_and_back(tmp_path):
    pair = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[0]
    pixels = load_picture(pair.source)
    canvas = RECIPE.form.canvases[256, 176]
    source, pose = RECIPE.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
    assert (source.shape, pose.shape) == ((3, 256, 256), (20, 256, 256))
    back = RECIPE.picture(source, (256, 176)).astype(int)
    assert back.shape == (256, 176, 3)
    assert np.abs(back - pixels).mean() < 3
    assert RECIPE.picture(np.full((3, 256, 256), 0.5, np.float32), (256, 176)).max() == 191


def test_published_weights_make_pictures_once_stored_without_objects(checkpoint, tmp_path):
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[:1]
    method = make_baseline("pidm", (256, 176), weights=checkpoint, chunk=1, steps=1)
    with pytest.raises(InputError, match="trust_pickle"):
        method.generate(pairs, tmp_path / "refused", seed=0)
    stored = tmp_path / "new" / "pidm.safetensors"
    convert = ["weights", "convert", "pidm", str(checkpoint), "--out", str(stored)]
    assert CliRunner().invoke(cli, convert).exit_code == 2
    assert not stored.exists()
    result = CliRunner().invoke(cli, [*convert, "--trust-pickle"])
    assert result.exit_code == 0, result.output
    assert f"{len(load_file(stored))} tensors" in result.output
    method = make_baseline("pidm", (256, 176), weights=stored, chunk=1, steps=1)
    assert method.generate(pairs, tmp_path / "run", seed=0) == {}
    path = tmp_path / "run" / "final" / f"{pairs[0].pair_id}.png"
    assert load_picture(Picture(path.name, path)).shape == (256, 176, 3)
    small = make_baseline("pidm", (96, 64), weights=checkpoint).unavailable()
    assert "256x176, not of 96x64" in small


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(small, steps, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    save_file(small.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"frame": [64, 44], "canvas": [64, 44]}))
    method = make_baseline("pidm", (64, 44), weights=folder, steps=steps)
    pairs = make_pairs(make_gallery(tmp_path / "data"))
    with pytest.raises(InputError, match=f"{steps} steps: expected 1 to 1000"):
        method.generate(pairs[:1], tmp_path / "run", seed=0)
