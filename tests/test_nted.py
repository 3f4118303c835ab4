"""NTED: the published network to the last digit, its checkpoint, and the order of its textures."""

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, TOLERANCE, arrays, distance, filled, needs_golden
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines import import_published
from pcdms_baselines.methods import make_baseline
from pcdms_baselines.nted.layers import Upsample
from pcdms_baselines.nted.network import PUBLISHED, Level, NtedGenerator
from pcdms_baselines.nted.sampling import RECIPE
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

GOLDEN = FOLDER / "nted"
FILE = GOLDEN / "epoch_00007_iteration_000495400_checkpoint.pt"
pytestmark = pytest.mark.usefixtures("one_thread")
TINY = (Level(4), Level(6, 3, 3), Level(8, 2, 1))


@needs_golden
@torch.inference_mode()
def test_textures_and_picture_equal_the_official_ones():
    network, known = import_published("nted", FILE), arrays(GOLDEN / "forward.npz")
    logits = []
    for name, module in network.named_modules():
        if name.endswith("semantic_distribution_filter"):
            module.register_forward_hook(lambda module, given, made: logits.append(made))
    _, textures = network.reference_encoder(known["source"])
    assert len(textures) == 8
    for index, texture in enumerate(textures):
        assert distance(texture, known[f"neural_texture_{index}"]) < TOLERANCE
    made = network(known["source"], known["skeleton"])
    assert distance(made, known["output"]) < TOLERANCE
    for index, map_ in enumerate(logits):
        # Stored in half precision: two digits less.
        assert distance(map_, known[f"semantic_distribution_{index}"]) < 5e-3


@pytest.mark.parametrize(
    ("rows", "parameters", "tensors"), [(256, 42_353_519, 106), (512, 42_612_402, 130)]
)
def test_published_size_and_names(rows, parameters, tensors):
    with torch.device("meta"):
        network = NtedGenerator(PUBLISHED[rows])
    state = network.state_dict()
    assert (sum(p.numel() for p in network.parameters()), len(state)) == (parameters, tensors)
    first, last = PUBLISHED[rows][0].channels, len(PUBLISHED[rows]) - 1
    shapes = {
        "reference_encoder.first.conv.weight": (first, 3, 1, 1),
        "skeleton_encoder.first.conv.weight": (first, 20, 1, 1),
        "skeleton_encoder.convs.0.blur.kernel": (4, 4),
        f"reference_encoder.convs.{last - 1}.extraction_operations.1."
        "semantic_extraction_filter.weight": (16, 512, 1, 1),
        "target_image_renderer.convs.0.conv0.distribution_operation."
        "semantic_distribution_filter.bias": (16,),
        f"target_image_renderer.convs.{last}.conv0.conv.weight": (first, 2 * first, 3, 3),
        f"target_image_renderer.convs.{last}.to_rgb.conv.bias": (3,),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert not any(f"convs.{last}.conv0.distribution" in name for name in state)


def test_averaged_generator_of_a_training_checkpoint_is_taken(tmp_path):
    network = filled(NtedGenerator(TINY))
    content = {
        "net_G": NtedGenerator(TINY).state_dict(), "net_G_ema": network.state_dict(),
        "current_iteration": 7,
    }  # fmt: skip
    torch.save(content, tmp_path / "c.pt")
    read = import_published("nted", tmp_path / "c.pt")
    assert read.levels == TINY
    for name, value in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)


def test_left_over_weights_are_listed(tmp_path):
    state = NtedGenerator(TINY).state_dict()
    torch.save({"net_G_ema": state | {"flow.weight": torch.zeros(1)}}, tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"no nted checkpoint: 1 left over: flow\.weight"):
        import_published("nted", tmp_path / "c.pt")


def test_upsampling_keeps_a_flat_picture_away_from_its_border():
    flat = Upsample()(torch.full((1, 2, 5, 6), 0.7))
    assert flat.shape == (1, 2, 10, 12)
    assert torch.allclose(flat[..., 2:-2, 2:-2], torch.tensor(0.7))


def test_source_and_skeleton_both_matter():
    network = filled(NtedGenerator(TINY), size=1.0)
    source, skeleton = torch.rand(1, 3, 16, 12), torch.rand(1, 20, 16, 12)
    with torch.inference_mode():
        made = network(source, skeleton)
        assert made.shape == (1, 3, 16, 12)
        assert distance(made, network(source.flip(1), skeleton)) > 1e-5
        assert distance(made, network(source, skeleton.flip(1))) > 1e-5


def test_pictures_are_clamped_and_weights_of_another_size_refused(tmp_path):
    levels = (Level(2), Level(2, 2, 3), Level(2, 2, 3), Level(2, 2, 3), Level(2, 2, 1))
    torch.save({"net_G_ema": filled(NtedGenerator(levels)).state_dict()}, tmp_path / "c.pt")
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[:1]
    method = make_baseline("nted", (256, 176), weights=tmp_path / "c.pt")
    assert method.generate(pairs, tmp_path / "run", seed=0) == {}
    path = tmp_path / "run" / "final" / f"{pairs[0].pair_id}.png"
    assert load_picture(Picture(path.name, path)).shape == (256, 176, 3)
    large = make_baseline("nted", (512, 352), weights=tmp_path / "c.pt")
    with pytest.raises(InputError, match=r"does not make pictures of 512x352: .* for 256 rows"):
        large.generate(pairs, tmp_path / "large", seed=0)
    assert RECIPE.picture(np.full((3, 2, 2), 9.0, np.float32), (2, 2)).min() == 255
