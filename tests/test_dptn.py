"""DPTN: the published network to the last digit, its files with their traps, and its pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, TOLERANCE, arrays, distance, filled, needs_golden
from safetensors.torch import save_file
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines import import_published
from pcdms_baselines.checkpoint_file import read_state
from pcdms_baselines.dptn.discriminator import DptnDiscriminator
from pcdms_baselines.dptn.network import DptnGenerator
from pcdms_baselines.dptn.sampling import RECIPE
from pcdms_baselines.heat_maps import gaussian_maps
from pcdms_baselines.methods import make_baseline
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

GOLDEN = FOLDER / "dptn"
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small():
    return filled(DptnGenerator((4, 8), middle_blocks=1, contexts=1, transfers=1))


def store(path, network, **changes):
    """The file that the authors' training would leave: `module.` before every name."""
    state = {**network.state_dict(), **changes}
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    return path


@needs_golden
@torch.inference_mode()
def test_both_tasks_equal_the_official_network():
    network, known = (
        import_published("dptn", GOLDEN / "latest_net_G.pth"),
        arrays(GOLDEN / "forward.npz"),
    )
    given = known["source"], known["pose_source"], known["pose_target"]
    assert distance(network(*given), known["output_target"]) < TOLERANCE
    target, source = network.both_tasks(*given)
    assert distance(target, known["output_target"]) < TOLERANCE
    assert distance(source, known["output_source"]) < TOLERANCE


@needs_golden
@torch.inference_mode()
def test_discriminator_equals_the_official_one():
    network, known = (
        import_published("dptn", GOLDEN / "latest_net_D.pth"),
        arrays(GOLDEN / "forward.npz"),
    )
    scores = network(known["output_target"])
    assert distance(scores, known["disc_of_output_target"]) < TOLERANCE


def test_published_size_and_names():
    with torch.device("meta"):
        generator, discriminator = DptnGenerator(), DptnDiscriminator()
    state = generator.state_dict()
    assert (len(state), sum(p.numel() for p in generator.parameters())) == (188, 9_794_371)
    assert sum(p.numel() for p in discriminator.parameters()) == 664_577
    shapes = {
        "block0.model.0.weight": (64, 39, 4, 4), "encoder1.model.2.weight": (256, 128, 4, 4),
        "mblock2.shortcut.0.weight": (256, 256, 1, 1), "outconv.model.2.weight": (3, 64, 3, 3),
        "PTM.encoder.layers.1.self_attn.in_proj_weight": (768, 256),
        "PTM.decoder.layers.0.multihead_attn.out_proj.weight": (256, 256),
        "PTM.decoder.norm.weight": (256,), "source_encoder.block0.model.0.weight": (64, 3, 4, 4),
        "decoder0.shortcut.0.weight": (256, 128, 3, 3),
        "decoder2.model.5.weight": (64, 64, 3, 3),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_sizes_are_read_off_the_weights(small, tmp_path):
    network = import_published("dptn", store(tmp_path / "latest_net_G.pth", small))
    for name, value in small.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    assert not network.training


def test_transformer_of_an_early_version_is_found_under_its_old_name(small, tmp_path):
    state = {k.replace("PTM.", "transformer."): v for k, v in small.state_dict().items()}
    torch.save(state, tmp_path / "old.pth")
    network = import_published("dptn", tmp_path / "old.pth")
    assert torch.equal(network.PTM.decoder.norm.weight, small.PTM.decoder.norm.weight)


def test_heads_come_from_the_configuration(small, tmp_path):
    path = store(tmp_path / "g.pth", small)
    assert import_published("dptn", path, {"heads": 4}).heads == 4
    with pytest.raises(InputError, match="width of 8 cannot be split into 3 heads"):
        import_published("dptn", path, {"nhead": 3})


def test_names_of_one_tensor_must_agree(small, tmp_path):
    other = {"mblock0.model.2.weight": torch.zeros(8, 8, 3, 3)}
    with pytest.raises(InputError, match=r"mblock0\.conv1\.weight and mblock0\.model\.2\.weight"):
        import_published("dptn", store(tmp_path / "g.pth", small, **other))


def test_misfitting_weights_are_listed(small, tmp_path):
    state = small.state_dict()
    del state["outconv.conv1.bias"]
    state |= {"extra": torch.zeros(1), "PTM.decoder.norm.weight": torch.zeros(9)}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(InputError) as caught:
        import_published("dptn", tmp_path / "g.pth")
    text = str(caught.value)
    assert "g.pth is no dptn checkpoint" in text
    assert "1 missing: outconv.conv1.bias" in text
    assert "1 left over: extra" in text
    assert "PTM.decoder.norm.weight (9,) instead of (8,)" in text


def test_objects_beside_the_weights_need_trust(small, tmp_path):
    torch.save({**small.state_dict(), "options": {1, 2}, "who": print}, tmp_path / "g.pth")
    with pytest.raises(InputError, match="trust_pickle"):
        import_published("dptn", tmp_path / "g.pth")
    with pytest.raises(InputError, match="no tensors"):
        import_published("dptn", tmp_path / "g.pth", trust_pickle=True)


class Hostile:
    """Pickled, it asks the reader to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_trusted_file_still_runs_no_code_of_its_own(small, tmp_path):
    content = {"ema": dict(small.state_dict()), "conf": Hostile(tmp_path / "touched")}
    torch.save(content, tmp_path / "g.pth")
    with pytest.raises(InputError, match="trust_pickle"):
        read_state(tmp_path / "g.pth", ("ema",))
    state = read_state(tmp_path / "g.pth", ("ema",), trust_pickle=True)
    assert state.keys() == small.state_dict().keys()
    assert not (tmp_path / "touched").exists()


@needs_golden
def test_file_with_a_private_class_is_read_once_trusted():
    path = FOLDER / "pidm" / "last.pt"
    with pytest.raises(InputError, match=r"holds more than tensors .*DiffusionConfig"):
        read_state(path, ("ema",))
    state = read_state(path, ("ema",), trust_pickle=True)
    assert "time_embed.time_embed.0.weight" in state


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04broken"])
def test_broken_files_are_named(content, tmp_path):
    (tmp_path / "g.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"g\.pth: "):
        import_published("dptn", tmp_path / "g.pth")


def test_unknown_network_and_missing_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="no published network 'dptm'"):
        import_published("dptm", tmp_path / "g.pth")
    with pytest.raises(InputError, match="no such file"):
        import_published("dptn", tmp_path / "g.pth")


def test_without_weights_the_next_step_is_named(tmp_path):
    method = make_baseline("dptn", (256, 176))
    assert "--method-weights dptn=latest_net_G.pth" in method.unavailable()
    with pytest.raises(InputError, match="needs its published weights"):
        method.generate([], tmp_path, seed=0)
    absent = make_baseline("dptn", (256, 176), weights=tmp_path / "absent.pth")
    assert "no such file" in absent.unavailable()


def test_another_resolution_lists_the_supported_ones(small, tmp_path):
    path = store(tmp_path / "g.pth", small)
    reason = make_baseline("dptn", (96, 64), weights=path).unavailable()
    assert "256x176 or 128x64, not of 96x64" in reason
    assert make_baseline("dptn", (128, 64), weights=path).unavailable() is None


def test_market_pictures_are_the_networks_output_truncated(small, tmp_path):
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(128, 64)))[:2]
    method = make_baseline("dptn", (128, 64), weights=store(tmp_path / "g.pth", small))
    assert method.generate(pairs, tmp_path / "run", seed=0) == {}
    pair = pairs[1]
    source = torch.from_numpy(np.array(load_picture(pair.source))).permute(2, 0, 1)[None]
    poses = [
        torch.from_numpy(gaussian_maps(pose, (128, 64)))[None]
        for pose in (pair.source_pose, pair.target_pose)
    ]
    with torch.inference_mode():
        made = small(source.float() / 127.5 - 1, *poses)[0].permute(1, 2, 0).numpy()
    path = tmp_path / "run" / "final" / f"{pair.pair_id}.png"
    exact = (made + 1) * 127.5
    written = load_picture(Picture(path.name, path))
    assert (exact - written).min() > -1e-3
    assert (exact - written).max() < 1 + 1e-3


def test_fashion_is_squeezed_into_a_square_and_back(tmp_path):
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[:1]
    pair, canvas = pairs[0], RECIPE.form.canvases[256, 176]
    pixels = load_picture(pair.source)
    source, own, other = RECIPE.inputs(pixels, pair.source_pose, pair.target_pose, canvas)
    assert (source.shape, own.shape, other.shape) == ((3, 256, 256), (18, 256, 256), (18, 256, 256))
    back = RECIPE.picture(source, (256, 176)).astype(int)
    assert back.shape == (256, 176, 3)
    assert np.abs(back - pixels).mean() < 3


def test_a_folder_trained_here_says_its_own_frame(small, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    state = {k: v.clone() for k, v in small.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    assert "lacks config.json" in make_baseline("dptn", (64, 44), weights=folder).unavailable()
    (folder / "config.json").write_text(json.dumps({"frame": [64, 44], "canvas": [64, 48]}))
    method = make_baseline("dptn", (64, 44), weights=folder)
    assert method.unavailable() is None
    pairs = make_pairs(make_gallery(tmp_path / "data"))
    assert method.generate(pairs[:1], tmp_path / "run", seed=0, samples=2) == {}
    path = tmp_path / "run" / "final" / f"{pairs[0].pair_id}.1.png"
    assert load_picture(Picture(path.name, path)).shape == (64, 44, 3)
    assert method.parameters == sum(p.numel() for p in small.parameters())
    (folder / "config.json").write_text("[]")
    assert "expected a JSON object" in make_baseline("dptn", (64, 44), weights=folder).unavailable()
