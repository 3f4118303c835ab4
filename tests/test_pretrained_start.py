"""Warm start: what is copied from the pretrained networks, as published and padded."""

import pytest
import torch
from diffusers import PriorTransformer as KandinskyPrior
from diffusers import UNet2DConditionModel
from micro_model import MICRO, WIDTH

from pcdms.training.pretrained_start import copy_weights, start_at_pretrained
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
NEW_LABEL = {f"class_embedding.linear_{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}


@pytest.fixture(scope="module")
def stable_diffusion():
    torch.manual_seed(1)
    config = {key: v for key, v in MICRO.refine_unet.items() if "class" not in key}
    return UNet2DConditionModel.from_config(config | {"in_channels": 4}).eval()


@pytest.fixture
def source(stable_diffusion, tmp_path):
    stable_diffusion.save_pretrained(tmp_path / "sd" / "unet")
    return tmp_path / "sd"


def build(stage, seed=2):
    torch.manual_seed(seed)
    return getattr(MICRO, f"build_{stage}")()


@pytest.mark.parametrize("stage", ["inpaint", "refine"])
def test_as_published_the_first_convolution_stays_random(stage, source, stable_diffusion):
    model, untouched = build(stage), build(stage).state_dict()
    report = start_at_pretrained(model, source, "published")
    pretrained = stable_diffusion.state_dict()
    assert report.misshapen == ("conv_in.weight",)
    assert report.padded == report.unused == ()
    assert set(report.new) == (NEW_LABEL if stage == "inpaint" else set())
    assert set(report.copied) == pretrained.keys() - {"conv_in.weight"}
    for name, value in model.unet.state_dict().items():
        kept = name in (*report.misshapen, *report.new)
        wanted = untouched[f"unet.{name}"] if kept else pretrained[name]
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize("stage", ["inpaint", "refine"])
def test_padded_the_network_begins_at_the_pretrained_output(stage, source, stable_diffusion):
    model = build(stage)
    report = start_at_pretrained(model, source)
    assert (report.padded, report.misshapen) == (("conv_in.weight",), ())
    first = model.unet.conv_in.weight
    assert torch.equal(first[:, :4], stable_diffusion.conv_in.weight)
    assert not first[:, 4:].any()
    with torch.inference_mode():
        if stage == "inpaint":  # a label of its own is new; without it the networks are equal
            model.unet.class_embedding.linear_2.weight.zero_()
            model.unet.class_embedding.linear_2.bias.zero_()
        channels = model.unet.config["in_channels"]
        latents, context = torch.randn(2, channels, 8, 8), torch.randn(2, 5, WIDTH)
        times, label = torch.tensor([3, 800]), torch.randn(2, WIDTH)
        labels = label if stage == "inpaint" else None
        out = model.unet(latents, times, context, class_labels=labels).sample
        wanted = stable_diffusion(latents[:, :4], times, context).sample
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("limit", ["10GB", "10KB"])
def test_a_part_of_a_model_directory_is_taken_whole_in_one_file_or_several(tmp_path, limit):
    part = build("refine", seed=5)
    part.save_pretrained(tmp_path / "refine", max_shard_size=limit)
    assert (len(list((tmp_path / "refine").glob("*.safetensors"))) > 1) == (limit == "10KB")
    model = build("refine")
    report = start_at_pretrained(model, tmp_path / "refine")
    assert report.new == report.misshapen == report.unused == ()
    assert all(torch.equal(v, part.state_dict()[k]) for k, v in model.state_dict().items())


def test_the_prior_keeps_what_has_the_same_shape(tmp_path):
    """The published list: blocks, time, prd and last norm, and the biases as long as the width."""
    torch.manual_seed(3)
    kandinsky = KandinskyPrior(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, embedding_dim=20,
        num_embeddings=7, additional_embeddings=4,
    )  # fmt: skip
    kandinsky.save_pretrained(tmp_path / "prior")
    model, untouched = build("prior"), build("prior").state_dict()
    report = start_at_pretrained(model, tmp_path, "published")
    assert set(report.misshapen) == {
        "proj_in.weight", "embedding_proj.weight", "encoder_hidden_states_proj.weight",
        "proj_to_clip_embeddings.weight", "proj_to_clip_embeddings.bias", "positional_embedding",
    }  # fmt: skip
    assert {name.split(".")[0] for name in report.new} == {
        "pose_encoder", "pose_encoder1", "encoder_hidden_states_proj1"
    }  # fmt: skip
    kept = {name.split(".")[0] for name in report.copied}
    assert kept == {
        "transformer_blocks", "time_embedding", "prd_embedding", "norm_out", "proj_in",
        "embedding_proj", "encoder_hidden_states_proj",
    }  # fmt: skip
    pretrained = kandinsky.state_dict()
    for name, value in model.state_dict().items():
        wanted = pretrained[name] if name in report.copied else untouched[name]
        assert torch.equal(value, wanted), name
    again = build("prior")
    assert start_at_pretrained(again, tmp_path).padded == ()
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())


def test_a_source_that_cannot_serve_is_named(tmp_path, source):
    with pytest.raises(InputError, match="nowhere"):
        start_at_pretrained(build("refine"), tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected config"):
        start_at_pretrained(build("prior"), source)
    with pytest.raises(InputError, match="unknown start 'random', expected one of published, padd"):
        start_at_pretrained(build("refine"), source, "random")
    torch.manual_seed(0)
    foreign = torch.nn.Linear(3, 3)
    assert copy_weights(foreign, {"other": torch.zeros(1)}).unused == ("other",)
