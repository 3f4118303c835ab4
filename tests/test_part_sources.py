"""Autoencoder and encoders from elsewhere: folders, cached hub ids, older names, preprocessing."""

import json
import shutil

import numpy as np
import pytest
import torch
from micro_model import part
from PIL import Image
from published_files import save_parts
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, Dinov2Config, Dinov2Model

from pcdms.encoders import encoder_pixels
from pcdms.model_directory import load_part, save_part
from pcdms.part_sources import given_parts
from pcdms.pipeline_config import EncoderInput
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return save_parts(tmp_path_factory.mktemp("parts"))


def test_a_folder_is_the_part_or_holds_it(parts):
    whole = given_parts(parts, [parts])
    apart = given_parts(parts / "vae", [parts / "source_encoder", str(parts / "image_encoder")])
    assert whole == apart == {n: parts / n for n in ("vae", "image_encoder", "source_encoder")}
    assert given_parts(None) == {}
    assert given_parts(None, [parts / "image_encoder"]) == {
        "image_encoder": parts / "image_encoder"
    }


def test_what_is_no_such_part_is_refused(parts, tmp_path):
    with pytest.raises(InputError, match="expected a folder of an AutoencoderKL"):
        given_parts(parts / "image_encoder")
    with pytest.raises(InputError, match="CLIP vision model or of DINOv2"):
        given_parts(None, [parts / "vae"])
    with pytest.raises(InputError, match="a second image_encoder"):
        given_parts(None, [parts / "image_encoder", parts])
    with pytest.raises(InputError, match=r"nowhere.*ORGANISATION/MODEL"):
        given_parts(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json cannot be read"):
        given_parts(tmp_path)


@pytest.fixture
def hub(tmp_path, monkeypatch, parts):
    """A cache of the hub with one model in it, and no way to the network."""
    cache = tmp_path / "hub"
    snapshot = cache / "models--somebody--sd" / "snapshots" / "abc123"
    shutil.copytree(parts / "vae", snapshot / "vae")
    refs = cache / "models--somebody--sd" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def refuse(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    return snapshot


def test_a_hub_id_is_looked_up_in_the_local_cache_only(hub):
    assert given_parts("somebody/sd") == {"vae": hub / "vae"}
    with pytest.raises(InputError, match=r"somebody/other: no such folder.*--download"):
        given_parts("somebody/other")


def test_without_network_a_download_fails_in_one_line(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="somebody/other"):
        given_parts("somebody/other", download=True)


def older_dino(state):
    """The names of transformers before 5, with the two halves of the gated layer as one."""
    renames = {
        "attention.q_proj": "attention.attention.query", "mlp.down_proj": "mlp.weights_out",
        "attention.k_proj": "attention.attention.key", "attention.o_proj": "attention.output.dense",
        "attention.v_proj": "attention.attention.value",
    }  # fmt: skip
    old = {}
    for name, value in state.items():
        if "mlp.up_proj" in name:
            continue
        if "mlp.gate_proj" in name:
            value = torch.cat([value, state[name.replace("gate_proj", "up_proj")]])
            name = name.replace("gate_proj", "weights_in")
        for new, word in renames.items():
            name = name.replace(new, word)
        old[name] = value.contiguous()
    return old


def test_older_names_of_dinov2_are_converted(tmp_path):
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8,
        image_size=16, use_swiglu_ffn=True,
    )  # fmt: skip
    model = Dinov2Model(config)
    folder = tmp_path / "source_encoder"
    config.save_pretrained(folder)
    old = older_dino(model.state_dict())
    assert any("weights_in" in name for name in old)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_part(tmp_path, "source_encoder")
    for _ in range(2):
        state = loaded.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
        save_part(tmp_path, "source_encoder", loaded)
        loaded = load_part(tmp_path, "source_encoder")
    del old["encoder.layer.0.mlp.weights_in.weight"]
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"missing encoder.layer.0.mlp.gate_proj.weight"):
        load_part(tmp_path, "source_encoder")


def test_the_vision_half_of_a_whole_clip_is_taken(tmp_path):
    torch.manual_seed(0)
    vision = {
        "hidden_size": 12, "intermediate_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 2, "patch_size": 8, "image_size": 16,
    }  # fmt: skip
    text = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "vocab_size": 10, "bos_token_id": 0, "eos_token_id": 1,
    }  # fmt: skip
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    whole.save_pretrained(tmp_path / "clip")
    file = tmp_path / "clip" / "model.safetensors"
    state = load_file(file) | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    save_file(state, file, metadata={"format": "pt"})
    given = given_parts(None, [tmp_path / "clip"])
    assert given == {"image_encoder": tmp_path / "clip"}
    pixels = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        found = load_part(tmp_path, "image_encoder", given)(pixels).image_embeds
        wanted = whole.visual_projection(whole.vision_model(pixels).pooler_output)
    assert torch.equal(found, wanted)


def test_older_names_of_the_autoencoder_are_converted(tmp_path):
    part("vae").save_pretrained(tmp_path / "vae")
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.",
             ".to_out.0.": ".proj_attn."}  # fmt: skip
    old = {}
    for name, value in load_file(file).items():
        for new, word in names.items():
            name = name.replace(new, word)
        old[name] = value
    assert sum(".proj_attn." in name for name in old) == 4
    save_file(old, file)
    state = load_part(tmp_path, "vae").state_dict()
    assert all(torch.equal(v, state[k]) for k, v in part("vae").state_dict().items())


def test_the_plain_file_counts_beside_a_variant(tmp_path):
    part("vae").save_pretrained(tmp_path / "vae")
    part("vae").save_pretrained(tmp_path / "vae", variant="fp16")
    file = tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    save_file({k: v.half() for k, v in load_file(file).items()}, file)
    state = load_part(tmp_path, "vae").state_dict()
    assert all(torch.equal(v, state[k]) for k, v in part("vae").state_dict().items())


@pytest.mark.parametrize("size", [(70, 50), (512, 512), (256, 176)])
def test_preprocessing_is_that_of_the_published_code_with_pillow(size):
    """Pillow to 512 x 512, then the library's CLIP processor in its Pillow version."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, *size)).astype(np.uint8)
    squares = [
        Image.fromarray(p.transpose(1, 2, 0)).resize((512, 512), Image.Resampling.BICUBIC)
        for p in pictures
    ]
    wanted = CLIPImageProcessorPil()(squares, return_tensors="pt").pixel_values
    found = encoder_pixels(pictures, EncoderInput(first_resize=(512, 512), size=224))
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_config_kinds_are_read_not_guessed(tmp_path):
    for folder, values in (
        ("vae", {"_class_name": "AutoencoderTiny"}), ("image_encoder", {"model_type": "siglip"}),
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="AutoencoderKL"):
        given_parts(tmp_path)
