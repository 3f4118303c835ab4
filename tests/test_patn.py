"""PATN: the published network to the last digit, files of torch 0.3, and its two kinds of maps."""

import numpy as np
import pytest
import torch
from baseline_files import FOLDER, TOLERANCE, arrays, distance, filled, needs_golden
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines import import_published
from pcdms_baselines.methods import make_baseline
from pcdms_baselines.patn.discriminator import PatnDiscriminator
from pcdms_baselines.patn.network import PatnGenerator
from pcdms_baselines.patn.sampling import RECIPE
from pcdms_data.images import load_picture
from pcdms_data.types import InputError, Picture

GOLDEN = FOLDER / "patn"
pytestmark = pytest.mark.usefixtures("one_thread")


@needs_golden
@torch.inference_mode()
def test_generator_equals_the_official_one():
    network = import_published("patn", GOLDEN / "instance_latest_net_netG.pth")
    known, seen = arrays(GOLDEN / "instance_forward.npz"), {}
    for index in (0, 8):
        network.model.att[index].register_forward_hook(
            lambda module, given, made, index=index: seen.update({index: made[0]})
        )
    made = network(known["source"], known["pose_source"], known["pose_target"])
    assert distance(made, known["output"]) < TOLERANCE
    assert distance(seen[0], known["att_0"]) < TOLERANCE
    assert distance(seen[8], known["att_8"]) < TOLERANCE


@needs_golden
@torch.inference_mode()
def test_discriminator_equals_the_official_one():
    network = import_published("patn", GOLDEN / "instance_latest_net_netD_PB.pth")
    known = arrays(GOLDEN / "instance_forward.npz")
    scores = network(known["output"], known["pose_target"])
    assert distance(scores, known["disc_pb"]) < TOLERANCE


@pytest.mark.parametrize(
    ("norm", "parameters", "tensors"), [("instance", 41_358_019, 90), ("batch", 41_365_763, 221)]
)
def test_published_size_and_names(norm, parameters, tensors):
    with torch.device("meta"):
        network = PatnGenerator(norm=norm)
    state = network.state_dict()
    assert (sum(p.numel() for p in network.parameters()), len(state)) == (parameters, tensors)
    shapes = {
        "model.stream2_down.1.weight": (64, 36, 7, 7),
        "model.att.0.conv_block_stream2.6.weight": (256, 256, 3, 3),
        "model.att.8.conv_block_stream2.1.weight": (512, 512, 3, 3),
        "model.att.8.conv_block_stream2.6.weight": (256, 512, 3, 3),
        "model.stream1_up.0.weight": (256, 128, 3, 3), "model.stream1_up.7.bias": (3,),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_discriminators_have_the_published_size():
    with torch.device("meta"):
        pose, person = PatnDiscriminator(21), PatnDiscriminator(6)
    assert [sum(p.numel() for p in net.parameters()) for net in (pose, person)] == [
        3_975_424, 3_928_384,
    ]  # fmt: skip


def test_statistics_of_instance_norms_change_nothing(tmp_path):
    network = filled(PatnGenerator(4, blocks=2))
    torch.save(network.state_dict(), tmp_path / "new.pth")
    noise = {f"model.stream1_down.2.running_{kind}": torch.rand(4) for kind in ("mean", "var")}
    torch.save(network.state_dict() | noise, tmp_path / "old.pth")
    states = [import_published("patn", tmp_path / n).state_dict() for n in ("new.pth", "old.pth")]
    assert states[0].keys() == states[1].keys() == network.state_dict().keys()


def test_batch_norm_file_without_counters_is_read_with_its_statistics(tmp_path):
    network = filled(PatnGenerator(4, blocks=2, norm="batch"))
    network.model.stream1_up[1].running_mean.fill_(0.5)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("_tracked")}
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    read = import_published("patn", tmp_path / "old.pth")
    assert read.norm == "batch"
    assert read.model.stream1_up[1].running_mean.tolist() == [0.5] * 8
    given = torch.rand(1, 3, 16, 12), torch.rand(1, 18, 16, 12), torch.rand(1, 18, 16, 12)
    with torch.inference_mode():
        assert distance(read(*given), network(*given)) < 1e-6


def test_weights_of_another_method_are_refused_with_names(tmp_path):
    torch.save({"PTM.decoder.norm.weight": torch.zeros(4)}, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"no patn checkpoint: lacks model\.stream1_down"):
        import_published("patn", tmp_path / "g.pth")
    state = PatnGenerator(4, blocks=2).state_dict()
    del state["model.att.1.conv_block_stream2.6.bias"]
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(InputError, match=r"1 missing: model\.att\.1\.conv_block_stream2\.6\.bias"):
        import_published("patn", tmp_path / "g.pth")


def test_fashion_poses_are_pixels_and_market_poses_are_gaussians(tmp_path):
    for frame in ((256, 176), (128, 64)):
        pair = make_pairs(make_gallery(tmp_path / str(frame[0]), size=frame))[0]
        pixels = load_picture(pair.source)
        source, own, _ = RECIPE.inputs(pixels, pair.source_pose, pair.target_pose, frame)
        assert source.shape == (3, *frame)
        assert np.abs((source.transpose(1, 2, 0) + 1) * 127.5 - pixels).max() < 1e-3
        bright = (own > 0.5).sum(axis=(1, 2))[pair.source_pose.visible]
        assert set(np.unique(own)) == {0, 1} if frame[0] == 256 else bright.max() > 40


@pytest.mark.parametrize(
    ("norm", "frame", "reason"),
    [("batch", (256, 176), "Market-1501"), ("instance", (128, 64), "DeepFashion")],
)
def test_weights_of_the_other_dataset_are_refused(norm, frame, reason, tmp_path):
    torch.save(PatnGenerator(2, blocks=1, norm=norm).state_dict(), tmp_path / "g.pth")
    pairs = make_pairs(make_gallery(tmp_path / "data", size=frame))[:1]
    with pytest.raises(InputError, match=f"does not make pictures of .*{reason}"):
        make_baseline("patn", frame, weights=tmp_path / "g.pth").generate(pairs, tmp_path, seed=0)


def test_pictures_are_written_at_the_published_frame_only(tmp_path):
    torch.save(filled(PatnGenerator(2, blocks=1)).state_dict(), tmp_path / "g.pth")
    assert (
        "not of 96x64" in make_baseline("patn", (96, 64), weights=tmp_path / "g.pth").unavailable()
    )
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(256, 176)))[:1]
    method = make_baseline("patn", (256, 176), weights=tmp_path / "g.pth")
    assert method.generate(pairs, tmp_path / "run", seed=0) == {}
    path = tmp_path / "run" / "final" / f"{pairs[0].pair_id}.png"
    assert load_picture(Picture(path.name, path)).shape == (256, 176, 3)
