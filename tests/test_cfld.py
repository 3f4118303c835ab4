"""CFLD: the published networks to the last digit, their files, and what the networks see."""

import json

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, TOLERANCE, arrays, distance, filled, needs_golden
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from pcdms_baselines import import_published
from pcdms_baselines.cfld.appearance import AppearanceEncoder, Branch
from pcdms_baselines.cfld.decoder import Decoder
from pcdms_baselines.cfld.network import Cfld, ConditionNetwork, Conditions
from pcdms_baselines.cfld.pose_encoder import PoseEncoder
from pcdms_baselines.cfld.pose_tensor import drawing, pose_tensor
from pcdms_baselines.cfld.presets import PRESETS, config_of, new_network
from pcdms_baselines.cfld.swin import Swin
from pcdms_baselines.cfld.unet import PUBLISHED, predict, query_attentions, with_queries
from pcdms_data.types import InputError, Keypoints

GOLDEN = FOLDER / "cfld"
SETS = ("full", "side", "upper", "noarm")
FILES = ("pytorch_model.bin", "pytorch_model_1.bin")
pytestmark = pytest.mark.usefixtures("one_thread")


def size(network):
    """Tensors and parameters of a network."""
    return len(network.state_dict()), sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def official():
    """The official networks at small width, and what they make of their inputs."""
    return (
        import_published("cfld", GOLDEN, GOLDEN / "config.json"),
        arrays(GOLDEN / "forward.npz"),
    )


@pytest.fixture(scope="module")
def small():
    """Networks for 64 x 64 of the published proportions, seeded."""
    unet = UNet2DConditionModel(
        **PUBLISHED | {"block_out_channels": (32,) * 4, "cross_attention_dim": 24}
    )
    branches = [Branch(number // 3, 8 * 2 ** (number // 3), 8, 32, 2) for number in range(9)]
    condition = ConditionNetwork(
        Swin((64, 64), 8, (2, 2, 2, 2), (1, 2, 4, 8), (4, 4)),
        AppearanceEncoder(branches, 1),
        PoseEncoder(widths=(32, 32, 32)),
        Decoder(4, 24, 4, 64, 1, 3),
    )
    return filled(Cfld(condition, with_queries(unet)))


OPTIONS = {"cond": {"heads": [2] * 9, "decoder_heads": 3}}
"""What the shapes of `small` do not tell and that is not as published."""


def store(folder, network, **changes):
    """The two files that the authors' training would leave."""
    state = {**network.state_dict(), **changes}
    parts = [
        {key: value for key, value in state.items() if key.startswith("model.") == inside}
        for inside in (False, True)
    ]
    for name, part in zip(FILES, parts, strict=True):
        torch.save(part, folder / name)
    return folder


@needs_golden
@torch.inference_mode()
def test_conditions_equal_the_official_network(official):
    network, known = official
    given = network(known["img_cond"], known["pose_img"])
    nothing = network.learnable_vector.expand(2, -1, -1)
    assert distance(torch.cat([nothing, given.tokens]), known["c"]) < TOLERANCE
    for number, maps in enumerate(given.pose):
        assert distance(maps, known[f"down_{number}"]) < TOLERANCE
    for branch, tokens in enumerate(given.appearance):
        name = f"up_block_{11 - branch}_cross_attn_q"
        assert distance(tokens, known[name]) < TOLERANCE
    assert (len(given.pose), len(given.appearance)) == (3, 9)


@needs_golden
@torch.inference_mode()
def test_unet_equals_the_official_one_with_and_without_residuals(official):
    network, known = official
    latents, time = known["latents"], known["timestep"].long()
    given = network(known["img_cond"], known["pose_img"])
    assert distance(network.predict(latents, time, given), known["eps_full"]) < TOLERANCE
    nothing = network.learnable_vector.expand(2, -1, -1)
    plain = predict(network.model, latents, time, nothing)
    assert distance(plain, known["eps_plain_uncond_no_residuals"]) < TOLERANCE


@needs_golden
@torch.inference_mode()
def test_guidance_branches_in_one_pass_equal_the_official_outputs(official):
    network, known = official
    branches = network.branches(network(known["img_cond"], known["pose_img"]))
    latents = known["latents"].repeat(3, 1, 1, 1)
    made = network.predict(latents, known["timestep"].long(), branches).chunk(3)
    assert distance(made[0], known["eps_plain_uncond_no_residuals"]) < TOLERANCE
    assert distance(made[2], known["eps_full"]) < TOLERANCE
    assert distance(made[1], made[0]) > 0.01
    assert distance(made[1], made[2]) > 0.01


def known_pose(name):
    """A reference pose: (y, x) pixels of a 256 x 176 picture, -1 where a joint is missing."""
    with np.load(FOLDER / "pose" / "pose_tensors.npz") as content:
        points = content[f"kp_{name}"]
        values = {key: content[f"cfld_{key}_{name}"] for key in ("rgb", "map_sub8", "map_sum")}
    return Keypoints(points[:, ::-1].astype(np.float32), (points != -1).all(1), (256, 176)), values


@needs_golden
@pytest.mark.parametrize("name", SETS)
def test_pose_tensors_equal_the_official_ones(name):
    pose, known = known_pose(name)
    tensor = pose_tensor(pose, (256, 256))
    assert (tensor.shape, tensor.dtype) == ((21, 256, 256), np.float32)
    levels = np.rint(tensor[:3] * 255).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(levels, known["rgb"])
    assert np.array_equal(drawing(pose, (256, 256)), known["rgb"])
    maps = tensor[3:]
    assert np.abs(maps[:, ::8, ::8].transpose(1, 2, 0) - known["map_sub8"]).max() < 1e-6
    assert (
        np.abs(maps.sum((1, 2)) / known["map_sum"].clip(1) - 1)[known["map_sum"] > 0].max() < 1e-5
    )


def test_a_joint_far_outside_is_drawn_as_far_as_the_canvas_reaches():
    xy = np.full((18, 2), 20.0, dtype=np.float32)
    xy[1] = 1e7, 20.0
    xy[2] = np.nan
    visible = np.zeros(18, dtype=bool)
    visible[[0, 1, 2]] = True
    picture = drawing(Keypoints(xy, visible, (64, 64)), (64, 64))
    assert picture[20, 20:].any(axis=1).all()
    assert not picture[40:].any()


def test_published_sizes_and_names():
    with torch.device("meta"):
        condition, unet = ConditionNetwork(), UNet2DConditionModel(**PUBLISHED)
    assert size(condition) == (1301, 237_902_392)
    assert size(condition.backbone) == (351, 86_991_864)
    assert size(condition.appearance_encoder)[1] == 22_549_632
    assert size(condition.pose_encoder)[1] == 30_636_480
    assert size(condition.decoder)[1] == 97_712_128
    assert size(unet) == (686, 859_520_964)
    state = condition.state_dict()
    before, block = "backbone.layers.", "decoder.blocks.7."
    shapes = {
        "learnable_vector": (1, 16, 768), "decoder.query_feat": (16, 768),
        "decoder.kv_pos_embed": (1, 64, 1024), f"{block}attn2.to_k.weight": (768, 1024),
        f"{block}ff.net.0.proj.weight": (6144, 768), f"{block}attn1.to_out.0.bias": (768,),
        "pose_encoder.conv_in.weight": (320, 336, 1, 1),
        "pose_encoder.resnets.1.conv_shortcut.weight": (640, 320, 1, 1),
        "appearance_encoder.zero_conv_outs.8.weight": (1280, 256, 1, 1),
        "appearance_encoder.blocks.8.3.attn2.to_out.0.weight": (256, 256),
        f"{before}0.blocks.1.attn_mask": (16, 256, 256),
        f"{before}1.blocks.1.attn_mask": (4, 256, 256),
        f"{before}2.blocks.17.attn.relative_position_bias_table": (961, 16),
        f"{before}3.blocks.1.attn.relative_position_bias_table": (225, 32),
        f"{before}2.downsample.reduction.weight": (1024, 2048),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert sum(name.endswith("attn_mask") for name in state) == 2


def test_published_training_changes_what_the_paper_counts():
    with torch.device("meta"):
        network = new_network(PRESETS["paper"], (256, 256))
    learned = [name for name, p in network.named_parameters() if p.requires_grad]
    assert sum(network.get_parameter(name).numel() for name in learned) == 248_224_312
    assert sum(name.startswith("model.") for name in learned) == 2 * 9


def test_published_networks_fit_together():
    with torch.device("meta"):
        network = new_network(PRESETS["paper"], (256, 256))
        given = network(torch.zeros(2, 3, 256, 256), torch.zeros(2, 21, 256, 256))
        made = network.predict(
            torch.zeros(6, 4, 64, 64), torch.zeros(6).long(), network.branches(given)
        )
    assert made.shape == (6, 4, 64, 64)
    assert [tuple(part.shape[1:]) for part in given.appearance] == (
        [(4096, 320)] * 3 + [(1024, 640)] * 3 + [(256, 1280)] * 3
    )
    assert [tuple(part.shape[1:]) for part in given.pose] == (
        [(320, 64, 64), (640, 32, 32), (1280, 16, 16)]
    )


def test_tokens_of_a_branch_reach_the_query_of_one_attention_only(small):
    names = query_attentions(small.model)
    assert names[0] == "up_blocks.3.attentions.2.transformer_blocks.0.attn2"
    assert names[-1] == "up_blocks.1.attentions.0.transformer_blocks.0.attn2"
    seen = {}

    def watch(name):
        def note(part, inputs, output):
            seen[name] = output.detach()

        return small.model.get_submodule(name).register_forward_hook(note)

    hooks = [watch(name) for name in names]
    widths = [(256, 32)] * 3 + [(64, 32)] * 3 + [(16, 32)] * 3
    tokens = [torch.zeros(1, *width) for width in widths]
    latents, text = torch.randn(1, 4, 16, 16), torch.randn(1, 4, 24)
    with torch.inference_mode():
        small.predict(latents, torch.tensor([5]), conditions(text, tokens))
        before = dict(seen)
        tokens[2] = torch.randn(1, 256, 32)
        small.predict(latents, torch.tensor([5]), conditions(text, tokens))
    for hook in hooks:
        hook.remove()
    changed = [name for name in names if not seen[name].equal(before[name])]
    assert changed == names[:3]  # the branch's own attention, and the two that follow it


def conditions(tokens, appearance):
    """Conditions of one row for latents of 16 x 16 cells, without a pose."""
    pose = [torch.zeros(1, 32, 16 // 2**level, 16 // 2**level) for level in range(3)]
    return Conditions(tokens, pose, appearance)


def test_windows_of_a_rectangle_mix_all_cells_but_keep_neighbours_apart():
    torch.manual_seed(0)
    network = filled(Swin((64, 32), 8, (2,), (2,), (8, 4)))
    picture = torch.randn(1, 3, 64, 32, requires_grad=True)
    network(picture)[0][0, :, 0, 0].sum().backward()
    reached = picture.grad.abs().sum(1)[0].view(16, 4, 8, 4).sum((1, 3)) > 0
    # The first block's windows are 8 x 4 cells, the second's begin 4 and 2 further and wrap round
    # the edge, where the mask keeps cells apart that are no neighbours.
    assert reached[:8, :4].all()
    assert not reached[8:].any()
    assert not reached[:, 4:].any()


def test_dropped_blocks_are_left_out_of_rows_in_training_only():
    torch.manual_seed(0)
    network = filled(Swin((32, 32), 8, (1, 2), (2, 4), (4, 4), drop=0.5))
    assert [block.drop for stage in network.layers for block in stage.blocks] == [0, 0.25, 0.5]
    picture = torch.randn(1, 3, 32, 32).repeat(64, 1, 1, 1)
    with torch.inference_mode():
        still, drawn = network(picture), network.train()(picture)
    assert still[1][0].allclose(still[1][1])
    assert drawn[0].allclose(still[0])
    kinds = {tuple(row.flatten()[:4].tolist()) for row in drawn[1]}
    assert 8 <= len(kinds) <= 16


def test_both_files_or_either_one_are_read(small, tmp_path):
    store(tmp_path, small)
    whole = import_published("cfld", tmp_path, OPTIONS)
    assert isinstance(whole, Cfld)
    assert not whole.training
    for name, value in small.state_dict().items():
        assert torch.equal(whole.state_dict()[name], value)
    condition = import_published("cfld", tmp_path / FILES[0], OPTIONS)
    assert type(condition) is ConditionNetwork
    unet = import_published("cfld", tmp_path / FILES[1], OPTIONS)
    assert isinstance(unet, UNet2DConditionModel)
    source, pose = torch.randn(1, 3, 64, 64), torch.rand(1, 21, 64, 64)
    latents, time = torch.randn(1, 4, 16, 16), torch.tensor([400])
    with torch.inference_mode():
        given = condition(source, pose)
        parts = predict(unet, latents, time, given.tokens, given.pose, given.appearance)
        assert torch.equal(parts, small.predict(latents, time, small(source, pose)))


def test_launcher_prefixes_are_taken_off(small, tmp_path):
    state = {f"module.{key}": v for key, v in small.state_dict().items() if key[:6] != "model."}
    torch.save(state, tmp_path / FILES[0])
    assert type(import_published("cfld", tmp_path / FILES[0], OPTIONS)) is ConditionNetwork


def test_a_folder_that_lacks_a_file_names_it(small, tmp_path):
    store(tmp_path, small)
    (tmp_path / FILES[1]).unlink()
    with pytest.raises(InputError, match=r"pytorch_model_1\.bin: no such file"):
        import_published("cfld", tmp_path, OPTIONS)


def test_misfitting_weights_are_listed(small, tmp_path):
    changes = {"extra": torch.zeros(1), "decoder.blocks.0.norm1.weight": torch.zeros(9)}
    store(tmp_path, small, **changes)
    with pytest.raises(InputError) as caught:
        import_published("cfld", tmp_path, OPTIONS)
    text = str(caught.value)
    assert "1 left over: extra" in text
    assert "decoder.blocks.0.norm1.weight (9,) instead of (24,)" in text
    state = torch.load(tmp_path / FILES[1])
    del state["model.conv_out.bias"]
    torch.save(state, tmp_path / FILES[1])
    with pytest.raises(InputError, match=r"1 missing: conv_out\.bias"):
        import_published("cfld", tmp_path / FILES[1])


def test_weights_of_another_method_are_refused(tmp_path):
    torch.save({"encoder.weight": torch.zeros(2, 2)}, tmp_path / "other.bin")
    with pytest.raises(InputError, match=r"other\.bin is no cfld checkpoint: lacks"):
        import_published("cfld", tmp_path / "other.bin")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cond": {"decoder_heads": 5}}, "width of 24 cannot be split into 5 heads"),
        ({"cond": {"heads": [2] * 8}}, "heads for 8 branches, expected 9"),
        ({"cond": {"img_size": "big"}}, r"img_size is 'big', expected \[H, W\]"),
        ({"cond": []}, "cond is \\[\\], expected an object"),
        ({**OPTIONS, "unet": {"norm_num_groups": 7}}, "no UNet of .* can be made"),
        ({**OPTIONS, "prediction": "x"}, "unknown prediction 'x', expected one of epsilon"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(options, reason, small, tmp_path):
    with pytest.raises(InputError, match=reason):
        import_published("cfld", store(tmp_path, small), options)


def test_a_network_trained_here_comes_back_from_its_one_file(tmp_path):
    torch.manual_seed(0)
    preset = PRESETS["tiny"]
    network = new_network(preset, (96, 64)).eval()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    config = json.loads(json.dumps(config_of(preset, (96, 64), (96, 64))))
    again = import_published("cfld", tmp_path / "model.safetensors", config)
    assert again.schedule == preset.schedule
    source, pose = torch.randn(1, 3, 96, 64), torch.rand(1, 21, 96, 64)
    latents, time = torch.randn(1, 8, 24, 16), torch.tensor([400])
    with torch.inference_mode():
        one, two = (n.predict(latents, time, n(source, pose)) for n in (network, again))
    assert torch.equal(one, two)
