"""Model directories: what is saved is what is loaded, and nothing that does not fit is accepted."""

import json
import shutil

import pytest
import torch
from micro_model import PARTS, make_batch, part, pipeline
from safetensors.torch import load_file, save_file

from pcdms.model_directory import (
    count_parameters,
    load_part,
    missing_parts,
    save_part,
    weights_digest,
)
from pcdms.pipeline import PCDMsPipeline
from pcdms.pipeline_config import load_pipeline_config
from pcdms.presets import PRESETS
from pcdms_data.types import InputError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    pipeline().save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def rewrite(root, name, change):
    """Apply `change` to the weights of a part."""
    (path,) = (root / name).glob("*.safetensors")
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


def test_a_saved_pipeline_loads_with_the_same_weights_and_pictures(saved):
    again = PCDMsPipeline.from_pretrained(saved)
    assert again.config == pipeline().config
    for name in PARTS:
        state = part(name).state_dict()
        loaded = getattr(again, name)
        assert not loaded.training
        assert loaded.state_dict().keys() == state.keys()
        assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items()), name
    batch = make_batch(1)
    assert (again(batch, seed=1).refine == pipeline()(batch, seed=1).refine).all()
    assert missing_parts(saved) == []


def test_half_precision_files_are_loaded_in_float32(copy):
    rewrite(copy, "refine", lambda s: s.update({k: v.half() for k, v in s.items()}))
    rewrite(copy, "source_encoder", lambda s: s.update({k: v.half() for k, v in s.items()}))
    for name in ("refine", "source_encoder"):
        model = load_part(copy, name)
        assert {value.dtype for value in model.parameters()} == {torch.float32}
        wanted = part(name).state_dict()
        assert all(torch.equal(v, wanted[k].half().float()) for k, v in model.state_dict().items())


def spoil(state, keys):
    """One weight missing, one surplus, one of another shape."""
    del state[keys[0]]
    state["surplus.weight"] = torch.zeros(3)
    state[keys[1]] = torch.zeros(2, 7)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("prior", ("prd_embedding", "proj_in.weight")),
        ("inpaint", ("pose_proj.conv_in.bias", "unet.class_embedding.linear_1.weight")),
        ("refine", ("unet.conv_in.weight", "image_proj_model_p.net.0.weight")),
        ("vae", ("quant_conv.bias", "decoder.conv_in.weight")),
        ("image_encoder", ("visual_projection.weight", None)),
        ("source_encoder", ("layernorm.bias", None)),
    ],
)
def test_missing_surplus_and_misshapen_weights_are_listed_together(copy, name, keys, capfd):
    first, second = keys
    if second is None:
        second = next(k for k in load_file(next((copy / name).glob("*.safetensors"))) if "fc1" in k)
    rewrite(copy, name, lambda state: spoil(state, (first, second)))
    with pytest.raises(InputError) as error:
        load_part(copy, name)
    message = str(error.value)
    assert all(word in message for word in (str(copy / name), first, second, "surplus.weight"))
    assert "\n" not in message
    assert capfd.readouterr().err == "", "one line is enough, and it is the error's"
    with pytest.raises(InputError, match="surplus"):
        PCDMsPipeline.from_pretrained(copy)


def test_what_is_absent_or_broken_is_named(copy):
    shutil.rmtree(copy / "vae")
    assert missing_parts(copy) == ["vae"]
    with pytest.raises(InputError, match="'vae'"):
        load_part(copy, "vae")
    (copy / "prior" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"prior.*cannot be read"):
        load_part(copy, "prior")
    (path,) = (copy / "refine").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"refine.*cannot be read"):
        load_part(copy, "refine")


def test_pipeline_configuration_is_read_strictly(copy, tmp_path):
    path = copy / "pipeline.json"
    values = json.loads(path.read_text())
    for change, word in [
        ({"colour": 1}, "colour"),
        ({"vae_schedule": {}}, "vae_schedule"),
        ({"inpaint_schedule": {"gamma": 1}}, "gamma"),
        ({"frame": 5}, "not a pipeline configuration"),
    ]:
        path.write_text(json.dumps(values | change))
        with pytest.raises(InputError, match=word):
            load_pipeline_config(path)
    path.write_text("not json")
    with pytest.raises(InputError, match="not a pipeline configuration"):
        load_pipeline_config(path)
    with pytest.raises(InputError, match="not found"):
        load_pipeline_config(tmp_path / "nowhere" / "pipeline.json")


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_preset_configurations_survive_the_file(preset, tmp_path):
    PRESETS[preset].pipeline.save(tmp_path / "pipeline.json")
    assert load_pipeline_config(tmp_path / "pipeline.json") == PRESETS[preset].pipeline


def test_the_digest_changes_with_a_weight_and_with_a_setting(copy, saved):
    first = weights_digest(copy)
    assert first == weights_digest(saved)
    assert len(first) == 8
    rewrite(copy, "prior", lambda state: state["prd_embedding"].add_(1e-3))
    second = weights_digest(copy)
    path = copy / "pipeline.json"
    path.write_text(path.read_text().replace('"steps": 3', '"steps": 4'))
    assert len({first, second, weights_digest(copy)}) == 3


def test_parameters_are_counted_from_the_files(saved):
    for name in PARTS:
        wanted = sum(value.numel() for value in part(name).parameters())
        assert count_parameters(saved, name) == wanted, name


def test_saving_again_leaves_no_older_shards(copy):
    (copy / "prior" / "model-00007-of-00009.safetensors").write_bytes(b"old")
    save_part(copy, "prior", part("prior"))
    state = part("prior").state_dict()
    loaded = load_part(copy, "prior").state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
