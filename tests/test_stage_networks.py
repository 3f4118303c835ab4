"""Stages inpaint and refine: stock UNets with the published additions, sizes, null rows, parity."""

import gzip

import numpy as np
import pytest
import torch
from micro_model import CELLS, GOLDEN, MICRO, TOKEN_WIDTH, WIDTH, part

from pcdms import import_published
from pcdms.inpaint import InpaintModel
from pcdms.presets import PRESETS
from pcdms.refine import RefineModel

pytestmark = pytest.mark.usefixtures("one_thread")


def arrays(stage):
    if not (GOLDEN / stage).is_dir():
        pytest.skip("no reference data: set PCDMS_GOLDEN to its folder")
    with np.load(GOLDEN / stage / "forward.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.fixture
def published(tmp_path):
    def build(stage):
        path = GOLDEN / stage / "mp_rank_00_model_states.pt"
        if not path.is_file():
            with gzip.open(path.with_suffix(".pt.gz")) as file:
                path = tmp_path / "any name at all"
                path.write_bytes(file.read())
        return import_published(path, stage, GOLDEN / stage / "unet_config.json")

    return build


@torch.inference_mode()
def test_inpaint_forward_equals_the_published_network(published):
    data = arrays("inpaint")
    model = published("inpaint")
    tokens, embedding = data["dino_tokens"].float(), data["clip_embedding"][:, 0]
    context, label = model.context(tokens, embedding)
    pose = model.pose_proj(data["pose_picture"])
    out = model(data["sample"], data["timestep"], tokens, embedding, data["pose_picture"])
    odd = model.denoise(
        data["odd_sample"], data["odd_timestep"], context[:1], label[:1], data["odd_pose_features"]
    )
    torch.testing.assert_close(context, data["context"], atol=2e-5, rtol=0)
    torch.testing.assert_close(pose, data["pose_features"], atol=2e-5, rtol=0)
    torch.testing.assert_close(out, data["output"], atol=2e-5, rtol=0)
    torch.testing.assert_close(odd, data["odd_output"], atol=2e-5, rtol=0)
    narrow = model(
        data["odd_sample"], data["odd_timestep"][None], tokens[:1], embedding[:1],
        data["pose_picture"][:1, ..., :96],
    )  # fmt: skip
    torch.testing.assert_close(narrow, data["odd_output"], atol=2e-5, rtol=0)


@torch.inference_mode()
def test_refine_forward_equals_the_published_network(published):
    data = arrays("refine")
    model = published("refine")
    tokens = data["dino_tokens"].float()
    torch.testing.assert_close(model.context(tokens), data["projected_tokens"], atol=2e-5, rtol=0)
    out = model(data["sample"], data["timestep"], tokens)
    torch.testing.assert_close(out, data["output"], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("stage", "tensors", "parameters", "prefixes"),
    [
        ("inpaint", 712, 871_932_692, {"unet": 690, "pose_proj": 16, "image_proj_model_p": 6}),
        ("refine", 692, 867_891_652, {"unet": 686, "image_proj_model_p": 6}),
    ],
)
def test_paper_preset_has_the_published_tensors_and_parameters(
    stage, tensors, parameters, prefixes
):
    with torch.device("meta"):
        model = getattr(PRESETS["paper"], f"build_{stage}")()
    state = model.state_dict()
    assert len(state) == tensors
    assert sum(value.numel() for value in state.values()) == parameters
    counts = {name: sum(key.startswith(f"{name}.") for key in state) for name in prefixes}
    assert counts == prefixes
    assert state["unet.conv_in.weight"].shape == (320, 9 if stage == "inpaint" else 8, 3, 3)
    if stage == "inpaint":
        assert state["unet.class_embedding.linear_1.weight"].shape == (1280, 1024)
        assert state["pose_proj.blocks.5.weight"].shape == (256, 96, 3, 3)
        assert state["pose_proj.conv_out.weight"].shape == (320, 256, 3, 3)


def inpaint_inputs(batch=3, size=(8, 8), seed=1):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "latents": draw(batch, 9, *size),
        "timestep": torch.tensor([3, 400, 990][:batch]),
        "source_tokens": draw(batch, 5, TOKEN_WIDTH),
        "target_embedding": draw(batch, WIDTH),
        "pose_image": draw(batch, 3, 4 * size[0], 4 * size[1]).clamp(-1, 1),
    }


def with_pose_after_conv_in(model, latents, time, context, label, pose_image):
    """The stock network on features that already hold the pose, its first layer taken out."""
    unet = model.unet
    features = unet.conv_in(latents) + model.pose_proj(pose_image)
    first, unet.conv_in = unet.conv_in, torch.nn.Identity()
    try:
        return unet(features, time, encoder_hidden_states=context, class_labels=label).sample
    finally:
        unet.conv_in = first


@pytest.mark.parametrize("size", [(8, 8), (8, 6), (4, 10)])
@torch.inference_mode()
def test_inpaint_is_the_stock_unet_with_the_pose_added_after_its_first_layer(size):
    model, values = part("inpaint"), inpaint_inputs(size=size)
    tokens = model.image_proj_model_p(values["source_tokens"])
    context = torch.cat([tokens, values["target_embedding"][:, None]], dim=1)
    wanted = with_pose_after_conv_in(
        model, values["latents"], values["timestep"], context, values["target_embedding"],
        values["pose_image"],
    )  # fmt: skip
    out = model(**values)
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-5)
    assert out.shape == (3, 4, *size)


@pytest.mark.parametrize("name", list(inpaint_inputs()))
@torch.inference_mode()
def test_every_input_of_inpaint_matters(name):
    model, values = part("inpaint"), inpaint_inputs()
    changed = model(**values | {name: values[name] + 1})
    assert (model(**values) - changed).abs().amax(dim=(1, 2, 3)).min() > 1e-4


@torch.inference_mode()
def test_the_pose_hook_is_gone_after_a_call_that_fails():
    model, values = part("inpaint"), inpaint_inputs()
    before = model(**values)
    with pytest.raises(RuntimeError):
        model(**values | {"source_tokens": values["source_tokens"][:1]})
    assert not model.unet.conv_in._forward_hooks
    assert torch.equal(before, model(**values))


@torch.inference_mode()
def test_null_rows_of_inpaint_are_zero_after_projection_and_keep_the_class_layer():
    model, values = part("inpaint"), inpaint_inputs()
    null = torch.tensor([True, False, True])
    context, label = model.context(values["source_tokens"], values["target_embedding"], null)
    assert context.shape == (3, 6, WIDTH)
    assert not context[null].any()
    assert not label[null].any()
    assert context[1].any()
    assert torch.equal(label[1], values["target_embedding"][1])
    out = model(**values, null_rows=null)
    wanted = with_pose_after_conv_in(
        model, values["latents"], values["timestep"], context, label, values["pose_image"]
    )
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(out[1], model(**values)[1], atol=1e-6, rtol=1e-5)
    # A zero label is not "no label": the class layer's biases still enter the time embedding.
    assert model.unet.class_embedding(torch.zeros(1, WIDTH)).abs().max() > 1e-3
    bias = model.unet.class_embedding.linear_2.bias
    kept = bias.clone()
    bias.add_(1.0)
    try:
        moved = model(**values, null_rows=null)
    finally:
        bias.copy_(kept)
    assert (moved - out)[null].abs().max() > 1e-4


@torch.inference_mode()
def test_refine_is_the_stock_unet_and_its_null_rows_have_a_zero_context():
    model = part("refine")
    latents, times = torch.randn(2, 8, 8, 4), torch.tensor([5, 700])
    tokens, null = torch.randn(2, 5, TOKEN_WIDTH), torch.tensor([False, True])
    context = model.image_proj_model_p(tokens)
    wanted = model.unet(latents, times, context).sample
    torch.testing.assert_close(model(latents, times, tokens), wanted, atol=1e-6, rtol=1e-5)
    context = torch.stack([context[0], torch.zeros_like(context[0])])
    assert torch.equal(model.context(tokens, null), context)
    wanted = model.unet(latents, times, context).sample
    out = model(latents, times, tokens, null_rows=null)
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_without_a_class_layer_the_embedding_is_context_only():
    config = dict(part("inpaint").config["unet_config"])
    del config["class_embed_type"], config["projection_class_embeddings_input_dim"]
    torch.manual_seed(0)
    model = InpaintModel(config, (4, 6, 8), TOKEN_WIDTH, 10).eval()
    values = inpaint_inputs()
    assert model.unet.class_embedding is None
    other = model(**values | {"target_embedding": values["target_embedding"] + 1})
    assert (model(**values) - other).abs().max() > 1e-5


@pytest.mark.parametrize("stage", ["inpaint", "refine"])
def test_save_and_load_keep_every_weight_and_setting(stage, tmp_path):
    model = part(stage)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    state = model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())
    assert dict(again.config)["unet_config"] == dict(model.config)["unet_config"]


def test_a_residual_refiner_starts_at_the_coarse_picture():
    plain = MICRO.refine_unet
    model = RefineModel(plain, TOKEN_WIDTH, 8, residual=True).eval()
    channels = plain["out_channels"]
    latents = torch.randn(2, 2 * channels, *CELLS, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        out = model(latents, torch.tensor([3, 700]), torch.ones(2, 5, TOKEN_WIDTH))
    assert torch.equal(out, latents[:, channels:])
