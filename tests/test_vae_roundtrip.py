"""The target through an autoencoder: frames, rounding, and directories that cannot be used."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.methods import make_baseline
from pcdms_baselines.vae_roundtrip import VaeRoundtrip
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

SIZE = (64, 44)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4), norm_num_groups=2, layers_per_block=1,
        mid_block_add_attention=False,  # it would look at every pair of 65,536 cells
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(make_gallery(tmp_path / "data"))


def read(out, pair):
    path = out / "final" / f"{pair.pair_id}.png"
    return load_picture(Picture(path.name, path))


def test_native_round_trip_equals_the_autoencoder_itself(vae, pairs, tmp_path):
    from diffusers import AutoencoderKL

    method = make_baseline("vae-roundtrip-native", SIZE, vae=vae)
    assert method.unavailable() is None
    assert method.generate(pairs[:2], tmp_path, seed=0) == {}
    model = AutoencoderKL.from_pretrained(vae).eval()
    assert method.parameters == sum(tensor.numel() for tensor in model.parameters())
    target = np.array(load_picture(pairs[1].target), dtype=np.float32).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        latents = model.encode(torch.from_numpy(target / 127.5 - 1)).latent_dist.mean
        decoded = model.decode(latents).sample[0].permute(1, 2, 0).numpy()
    expected = np.clip(decoded / 2 + 0.5, 0, 1) * 255
    assert np.abs(read(tmp_path, pairs[1]) - expected).max() <= 0.5 + 1e-3
    truncated = VaeRoundtrip(SIZE, vae, square=False, rounding="truncate")
    truncated.generate(pairs[1:2], tmp_path / "cut", seed=0)
    assert (expected - read(tmp_path / "cut", pairs[1])).min() > -1e-3


def test_square_round_trip_comes_back_in_the_frame_of_the_run(vae, pairs, tmp_path):
    method = make_baseline("vae-roundtrip", (63, 43), vae=vae)
    assert method.generate(pairs[:1], tmp_path, seed=0) == {}
    assert read(tmp_path, pairs[0]).shape == (63, 43, 3)


def test_each_target_passes_the_autoencoder_once(vae, pairs, tmp_path, monkeypatch):
    whole, seen = VaeRoundtrip._roundtrip, []

    def counted(self, pixels, model):
        seen.append(pixels.tobytes())
        return whole(self, pixels, model)

    monkeypatch.setattr(VaeRoundtrip, "_roundtrip", counted)
    twice = [*pairs, *(replace(p, pair_id=f"again_{p.pair_id}") for p in pairs)]
    method = make_baseline("vae-roundtrip-native", SIZE, vae=vae)
    for start in (0, 4, 8, 12):
        assert method.generate(twice[start : start + 4], tmp_path, seed=0) == {}
    assert len(seen) == len(set(seen)) == len(pairs)
    for first, again in zip(pairs, twice[len(pairs) :], strict=True):
        assert np.array_equal(read(tmp_path, first), read(tmp_path, again))


def test_frame_that_the_latent_cells_do_not_tile_is_unavailable(vae):
    reason = make_baseline("vae-roundtrip-native", (63, 44), vae=vae).unavailable()
    assert "63x44" in reason
    assert "multiples of 2" in reason


def test_unreadable_target_fails_its_own_pair(vae, pairs, tmp_path):
    pairs = [replace(pairs[0], target=Picture("no.png", tmp_path / "no.png")), pairs[1]]
    method = make_baseline("vae-roundtrip-native", SIZE, vae=vae)
    assert list(method.generate(pairs, tmp_path / "run", seed=0)) == [pairs[0].pair_id]


def test_missing_and_left_over_keys_are_listed(vae, pairs, tmp_path):
    tensors = load_file(vae / "diffusion_pytorch_model.safetensors")
    tensors["surplus"] = tensors.pop("encoder.conv_in.weight")
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((vae / "config.json").read_text())
    method = make_baseline("vae-roundtrip-native", SIZE, vae=tmp_path)
    with pytest.raises(InputError, match=r"missing: encoder.conv_in.weight; left over: surplus"):
        method.generate(pairs, tmp_path / "run", seed=0)


def test_unreadable_weights_or_configuration_say_so(vae, pairs, tmp_path):
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"cut")
    (tmp_path / "config.json").write_text((vae / "config.json").read_text())
    method = make_baseline("vae-roundtrip-native", SIZE, vae=tmp_path)
    with pytest.raises(InputError, match="is no readable AutoencoderKL"):
        method.generate(pairs, tmp_path / "run", seed=0)
    (tmp_path / "config.json").write_text(json.dumps({"layers": 3}))
    assert "no configuration" in method.unavailable()
