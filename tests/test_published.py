"""Published checkpoints: any container, sizes from shapes, strict names, safe loading, parity."""

import json
import pickle
import sys
from types import ModuleType

import pytest
import torch
from diffusers import UnCLIPScheduler, UniPCMultistepScheduler
from micro_model import CELLS, GOLDEN, TOKEN_WIDTH, WIDTH, part
from published_files import config_of, published_state, save_config, save_published
from safetensors.torch import save_file

import pcdms
from pcdms.published.importing import read_published
from pcdms.schedulers import LatentSchedule, prior_training_scheduler, sampling_scheduler
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
STAGES = ("prior", "inpaint", "refine")


def assert_same_weights(model, stage, dtype):
    wanted = part(stage).state_dict()
    assert not model.training
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert model.state_dict().keys() == wanted.keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, wanted[key].to(dtype).float()), key


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("plain", [False, True])
def test_containers_and_plain_dicts_of_any_type_load(stage, dtype, plain, tmp_path):
    file = save_published(tmp_path / "no extension", stage, dtype, plain)
    assert_same_weights(pcdms.import_published(file, stage, config_of(stage)), stage, dtype)


@pytest.mark.parametrize("stage", STAGES)
def test_other_wrappings_load(stage, tmp_path):
    state, config = published_state(stage), config_of(stage)
    file = tmp_path / "file"
    for content in ({"state_dict": state}, {f"module.{key}": v for key, v in state.items()}):
        torch.save(content, file)
        assert_same_weights(pcdms.import_published(file, stage, config), stage, torch.float16)
    torch.save(state, file, _use_new_zipfile_serialization=False)
    assert_same_weights(pcdms.import_published(file, stage, config), stage, torch.float16)
    save_file(state, file)
    assert_same_weights(pcdms.import_published(file, stage, config), stage, torch.float16)


def test_the_model_does_not_need_its_file_any_more(tmp_path):
    file = save_published(tmp_path / "file", "prior", torch.float32)
    model = pcdms.import_published(file, "prior", config_of("prior"))
    file.write_bytes(b"")
    assert_same_weights(model, "prior", torch.float32)


def test_a_config_file_equals_a_dict(tmp_path):
    file = save_published(tmp_path / "file", "inpaint")
    config = save_config(tmp_path / "config.json", "inpaint")
    model = pcdms.import_published(file, "inpaint", config)
    other = pcdms.import_published(file, "inpaint", config_of("inpaint"))
    assert model.config == other.config
    values = dict(part("inpaint").config["unet_config"])
    found = model.config["unet_config"]
    assert {key: found[key] for key in values if key != "sample_size"} == {
        key: value for key, value in values.items() if key != "sample_size"
    }


@pytest.mark.parametrize("stage", STAGES)
def test_every_kind_of_misfit_is_named(stage, tmp_path):
    names = sorted(published_state(stage))
    for name in names[:: max(1, len(names) // 12)]:
        for kind in ("missing", "misshapen"):
            state = published_state(stage)
            if kind == "missing":
                del state[name]
            else:
                state[name] = torch.zeros([length + 1 for length in state[name].shape])
            torch.save({"module": state}, tmp_path / "file")
            with pytest.raises(InputError) as error:
                pcdms.import_published(tmp_path / "file", stage, config_of(stage))
            assert name in str(error.value), (kind, name)
            assert str(tmp_path / "file") in str(error.value)
            assert "\n" not in str(error.value)


def test_missing_and_surplus_weights_are_listed_together(tmp_path):
    state = published_state("refine")
    lost = ["unet.conv_in.bias", "image_proj_model_p.net.3.weight"]
    for name in lost:
        del state[name]
    state |= {"pose_proj.conv_in.weight": torch.zeros(2), "unet.odd": torch.zeros(1)}
    torch.save(state, tmp_path / "file")
    with pytest.raises(InputError, match=r"2 missing: .*; 2 surplus: ") as error:
        pcdms.import_published(tmp_path / "file", "refine", config_of("refine"))
    for name in (*lost, "pose_proj.conv_in.weight", "unet.odd"):
        assert name in str(error.value)


@pytest.mark.parametrize("stage", [*STAGES, "demo"])
def test_a_file_of_another_stage_is_refused_and_recognised(stage, tmp_path):
    file = save_published(tmp_path / "file", stage)
    for other in (*STAGES, "demo"):
        if other != stage:
            with pytest.raises(InputError, match=f"those of stage {stage}$"):
                pcdms.import_published(file, other, config_of(other))
    with pytest.raises(InputError, match="unknown stage 'stage1', expected one of prior"):
        pcdms.import_published(file, "stage1")


def test_a_stock_unet_is_not_taken_for_a_stage(tmp_path):
    """The pretrained network lacks the new input channels; nothing may load it silently."""
    state = published_state("refine")
    state["unet.conv_in.weight"] = state["unet.conv_in.weight"][:, :4].clone()
    torch.save(state, tmp_path / "file")
    with pytest.raises(
        InputError, match=r"conv_in.weight \(8, 4, 3, 3\) instead of \(8, 8, 3, 3\)"
    ):
        pcdms.import_published(tmp_path / "file", "refine", config_of("refine"))


def test_what_shapes_cannot_tell_is_asked_for_or_assumed_as_published(tmp_path):
    file = save_published(tmp_path / "file", "refine")
    with pytest.raises(InputError, match=r"32 norm groups do not divide 8 channels.*--config"):
        pcdms.import_published(file, "refine")
    with pytest.raises(InputError, match=r"heads \[5, 10, 20, 20\] do not fit.*--config"):
        pcdms.import_published(file, "refine", {"norm_num_groups": 4})
    file = save_published(tmp_path / "file", "prior")
    with pytest.raises(InputError, match=r"width of 16 is not 32 heads.*--config"):
        pcdms.import_published(file, "prior")
    assert read_published(file, "prior", {"attention_head_dim": 8}).assumed == {}
    assert read_published(file, "prior", config_of("prior")).model.config["num_layers"] == 2
    values = {"clip_mean": 0.5, "num_attention_heads": 4}
    model = pcdms.import_published(file, "prior", values)
    assert (model.config["clip_mean"], model.config["attention_head_dim"]) == (0.5, 4)


class Foreign:
    """An object that a safe loader refuses."""


def test_a_pickle_is_loaded_with_trust_only(tmp_path):
    file = tmp_path / "file"
    content = {"module": published_state("prior"), "optimizer": Foreign()}
    torch.save(content, file)
    with pytest.raises(InputError, match=r"holds more than tensors.*--trust-pickle"):
        pcdms.import_published(file, "prior", config_of("prior"))
    model = pcdms.import_published(file, "prior", config_of("prior"), trust_pickle=True)
    assert_same_weights(model, "prior", torch.float16)


def test_a_trusted_pickle_may_name_packages_that_are_not_here(tmp_path):
    module = ModuleType("a_package_of_the_authors")
    module.LossScaler = type("LossScaler", (), {"__module__": module.__name__})
    sys.modules[module.__name__] = module
    scaler = module.LossScaler()
    scaler.scale = 65536
    torch.save({"module": published_state("prior"), "scaler": scaler}, tmp_path / "file")
    del sys.modules[module.__name__]
    with pytest.raises(InputError, match=r"LossScaler.*--trust-pickle"):
        pcdms.import_published(tmp_path / "file", "prior", config_of("prior"))
    model = pcdms.import_published(tmp_path / "file", "prior", config_of("prior"), True)
    assert_same_weights(model, "prior", torch.float16)


def test_safe_files_run_no_code_even_with_trust(tmp_path):
    """Safe loading comes first: trust matters only where it fails."""
    file = save_published(tmp_path / "file", "prior")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pickle, "Unpickler", None)
        pcdms.import_published(file, "prior", config_of("prior"), trust_pickle=True)


def test_files_that_are_no_checkpoints_are_named(tmp_path):
    file = tmp_path / "file"
    with pytest.raises(InputError, match="no such file"):
        pcdms.import_published(file, "prior")
    for content in (b"", b"not a checkpoint", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=str(file)):
            pcdms.import_published(file, "prior")
    whole = save_published(file, "prior").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a checkpoint"):
        pcdms.import_published(file, "prior")
    for content, word in (([1, 2], "list"), ({}, "dict"), ({"epoch": 3}, "epoch")):
        torch.save(content, file)
        with pytest.raises(InputError, match=word):
            pcdms.import_published(file, "prior")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object"):
        pcdms.import_published(save_published(file, "prior"), "prior", tmp_path / "config.json")


@torch.inference_mode()
def test_the_demo_has_neither_label_nor_embedding_token(tmp_path):
    file = save_published(tmp_path / "PCDMs_ckpt.pt", "demo", torch.float32)
    model = pcdms.import_published(file, "demo", config_of("demo"))
    assert model.unet.class_embedding is None
    stock = part("inpaint")
    tokens, embedding = torch.randn(2, 5, TOKEN_WIDTH), torch.randn(2, WIDTH)
    context, _ = model.context(tokens, embedding)
    assert torch.equal(context, stock.image_proj_model_p(tokens))
    latents, times = torch.randn(2, 9, CELLS[0], 2 * CELLS[1]), torch.tensor([4, 700])
    pose = torch.randn(2, 3, 4 * CELLS[0], 8 * CELLS[1]).clamp(-1, 1)
    out = model(latents, times, tokens, embedding, pose)
    assert torch.equal(out, model(latents, times, tokens, embedding + 1, pose))
    features = model.unet.conv_in(latents) + model.pose_proj(pose)
    first, model.unet.conv_in = model.unet.conv_in, torch.nn.Identity()
    wanted = model.unet(features, times, context).sample
    model.unet.conv_in = first
    torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("stage", "tensors", "parameters"),
    [
        ("prior", 354, 1_027_166_208), ("inpaint", 712, 871_932_692), ("refine", 692, 867_891_652),
        ("demo", 708, 868_981_012),
    ],
)  # fmt: skip
def test_the_published_shapes_give_the_published_models(stage, tensors, parameters):
    """Without a configuration; only shapes are looked at, so no memory is needed."""
    from pcdms.presets import PRESETS
    from pcdms.published.importing import _empty_model
    from pcdms.published.keys import renamed

    with torch.device("meta"):
        whole = getattr(PRESETS["paper"], f"build_{'inpaint' if stage == 'demo' else stage}")()
    state = whole.state_dict()
    if stage == "demo":
        state = {
            key.replace("image_proj_model_p.", "image_proj_model."): value
            for key, value in state.items()
            if "class_embedding" not in key
        }
    model, assumed = _empty_model(renamed(state, stage), stage, {})
    found = model.state_dict()
    assert len(found) == tensors
    assert sum(value.numel() for value in found.values()) == parameters
    assert {k: v.shape for k, v in found.items()} == {
        k: v.shape for k, v in renamed(state, stage).items()
    }
    assert assumed.keys() <= {"num_attention_heads", "attention_head_dim", "norm_num_groups"}
    if stage != "demo":
        key = "unet_config" if stage != "prior" else "num_attention_heads"
        mine, theirs = model.config[key], whole.config[key]
        assert (mine if stage == "prior" else {k: mine[k] for k in theirs}) == theirs


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no reference data: set PCDMS_GOLDEN to its folder")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
@pytest.mark.parametrize("steps", [20, 7])
def test_schedules_equal_those_of_the_published_configurations(steps):
    stock = UniPCMultistepScheduler.from_config(
        json.loads((GOLDEN / "inpaint" / "base_scheduler_config.json").read_text()),
        final_sigmas_type="sigma_min",
    )
    stock.set_timesteps(steps)
    ours = sampling_scheduler(LatentSchedule(), steps, "sigma_min")
    assert ours.timesteps.tolist() == stock.timesteps.tolist()
    assert torch.equal(ours.sigmas, stock.sigmas)
    names = ("solver_order", "solver_type", "predict_x0", "lower_order_final", "prediction_type",
             "timestep_spacing", "thresholding")  # fmt: skip
    assert {n: ours.config[n] for n in names} == {n: stock.config[n] for n in names}
    values = json.loads((GOLDEN / "prior" / "scheduler_config.json").read_text())
    prior = UnCLIPScheduler.from_config(values)
    assert torch.equal(prior.betas, prior_training_scheduler().betas)
