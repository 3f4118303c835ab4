"""Training CFLD: its loss, its rows, where the published training starts, and that it learns."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_files import filled
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny_pairs import make_gallery, make_pairs
from torch.nn import functional as F

import pcdms
from pcdms.training.loop import train
from pcdms.training.settings import TrainSettings
from pcdms_baselines.cfld.losses import CfldLoss, Drops, cubic_times
from pcdms_baselines.cfld.network import Cfld, ConditionNetwork
from pcdms_baselines.cfld.presets import PRESETS, new_network
from pcdms_baselines.cfld.pretrained_start import SWIN_FILE, UNET_FILE, resized, start_at_pretrained
from pcdms_baselines.cfld.swin import Swin
from pcdms_baselines.cfld.training import prepare
from pcdms_baselines.cfld.training_rows import LatentRows, PictureRows
from pcdms_baselines.cfld.unet import with_queries
from pcdms_baselines.methods import make_baseline
from pcdms_baselines.training import Aids
from pcdms_baselines.vae_roundtrip import load_autoencoder
from pcdms_bench.training import TrainingRun
from pcdms_bench.training_baseline import train_baseline
from pcdms_data.types import InputError

VAE = Path(next(iter(pcdms.__path__))) / "pretrained" / "people-tiny" / "vae"
FRAME = (96, 64)
NOTHING = Drops(tokens=0, flips=0)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return make_pairs(make_gallery(tmp_path_factory.mktemp("data"), size=FRAME))[:4]


@pytest.fixture(scope="module")
def rows(pairs):
    return LatentRows(pairs, FRAME, load_autoencoder(VAE))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return filled(new_network(PRESETS["tiny"], FRAME)).train()


def value(network, rows, drops=NOTHING, seed=0):
    """The loss on fixed draws."""
    return CfldLoss(drops)(network, rows, torch.Generator().manual_seed(seed))


def test_rows_hold_both_targets_under_one_source(pairs, rows):
    batch = rows.fetch(torch.tensor([1, 3]))
    assert batch.source.shape == (2, 3, *FRAME)
    assert batch.poses.shape == (4, 21, *FRAME)
    assert batch.targets.shape == (4, 8, 24, 16)
    plain = PictureRows(pairs, FRAME, FRAME).fetch(torch.tensor([1, 3]))
    assert torch.equal(plain.source, batch.source)
    assert torch.equal(plain.poses, batch.poses)
    assert torch.equal(plain.targets[:2], plain.source)
    vae = load_autoencoder(VAE)
    with torch.no_grad():
        mean = vae.encode(plain.targets).latent_dist.mean * vae.config["scaling_factor"]
    torch.testing.assert_close(batch.targets, mean, atol=1e-4, rtol=1e-4)
    squashed = PictureRows(pairs, (64, 64), (128, 128)).fetch(torch.tensor([0]))
    assert squashed.source.shape == (1, 3, 64, 64)
    assert squashed.targets.shape == (2, 3, 128, 128)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_loss_is_the_error_of_what_the_schedule_names(prediction, network, rows):
    batch = rows.fetch(torch.arange(2))
    for part in (network.model.conv_out.weight, network.model.conv_out.bias):
        torch.nn.init.zeros_(part)  # the network then predicts zero
    network.schedule = type(network.schedule)(prediction, "trailing")
    generator = torch.Generator().manual_seed(0)
    torch.rand(2, generator=generator)
    noise = torch.randn(batch.targets.shape, generator=generator)
    time = (1000 * (1 - torch.rand(4, generator=generator) ** 3)).floor().long()
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bars = (1 - betas).cumprod(0)[time].view(-1, 1, 1, 1)
    wanted = {
        "epsilon": noise,
        "sample": batch.targets,
        "v_prediction": bars.sqrt() * noise - (1 - bars).sqrt() * batch.targets,
    }[prediction]
    found = float(value(network, batch).detach())
    assert found == pytest.approx(float(wanted.square().mean()), rel=1e-5)


def test_late_time_steps_come_more_often():
    times = cubic_times(200_000, torch.Generator().manual_seed(0))
    assert 0 <= int(times.min()) < int(times.max()) == 999
    for below in (100, 500, 900):
        expected = 1 - (1 - below / 1000) ** (1 / 3)
        assert float((times < below).float().mean()) == pytest.approx(expected, abs=5e-3)


def gradient(network, part):
    """Whether anything reaches the weights of a part."""
    grads = [p.grad for p in network.get_submodule(part).parameters() if p.grad is not None]
    return any(bool(grad.any()) for grad in grads)


@pytest.mark.parametrize(
    ("drops", "learned"),
    [
        (NOTHING, {"decoder", "appearance_encoder", "pose_encoder"}),
        (Drops(tokens=1, flips=0), {"appearance_encoder", "pose_encoder"}),
        (Drops(tokens=0, appearance=1, flips=0), {"pose_encoder"}),
        (Drops(tokens=0, pose=1, flips=0), set()),
    ],
)
def test_what_is_dropped_teaches_nothing(drops, learned, network, rows):
    value(network, rows.fetch(torch.arange(2)), drops).backward()
    parts = ("decoder", "appearance_encoder", "pose_encoder")
    assert {part for part in parts if gradient(network, part)} == learned
    nothing = network.learnable_vector.grad  # of the tokens that stand in where some are dropped
    assert (nothing is not None and bool(nothing.any())) == ("decoder" not in learned)


def test_only_the_condition_picture_is_mirrored(network, rows):
    batch = rows.fetch(torch.arange(2))
    mirrored = type(batch)(batch.source.flip(-1), batch.poses, batch.targets)
    flips = Drops(tokens=0, flips=1)
    assert torch.equal(value(network, batch, flips), value(network, mirrored))
    assert not torch.equal(value(network, batch, flips), value(network, batch))


def test_draws_come_from_the_generator_alone(network, rows):
    batch, drops = rows.fetch(torch.arange(2)), PRESETS["tiny"].drops
    first = value(network, batch, drops)
    torch.manual_seed(99)
    assert torch.equal(value(network, batch, drops), first)
    assert not torch.equal(value(network, batch, drops, seed=1), first)


def small_of(window, picture=(64, 64)):
    """Networks of the published proportions, a Swin with this window."""
    from pcdms_baselines.cfld.appearance import AppearanceEncoder, Branch
    from pcdms_baselines.cfld.decoder import Decoder
    from pcdms_baselines.cfld.pose_encoder import PoseEncoder

    tiny = PRESETS["tiny"]
    branches = [Branch(0, 32, 32, 64, 2), Branch(1, 64, 64, 96, 2)]
    swin = Swin(picture, 32, (2, 2, 2), (1, 2, 4), window)
    condition = ConditionNetwork(
        swin, AppearanceEncoder(branches, 1), PoseEncoder(widths=(64, 96)),
        Decoder(4, 96, 16, 128, 1, 3),
    )  # fmt: skip
    return Cfld(condition, with_queries(UNet2DConditionModel(**tiny.unet)))


@pytest.fixture
def pretrained(tmp_path):
    """A folder with a UNet, and a Swin of half the window with the end of a classifier."""
    network = small_of((4, 4), (32, 32))
    (tmp_path / "unet").mkdir()
    (tmp_path / "swin").mkdir()
    save_file(dict(network.model.state_dict()), tmp_path / UNET_FILE)
    classifier = {**network.backbone.state_dict(), "norm.weight": torch.ones(128)}
    classifier["head.weight"] = torch.ones(10, 128)
    torch.save({"model": classifier}, tmp_path / SWIN_FILE)
    return tmp_path, network


def test_published_training_starts_at_both_pretrained_networks(pretrained):
    folder, source = pretrained
    torch.manual_seed(7)
    network = small_of((8, 8))
    index = network.backbone.layers[0].blocks[0].attn.relative_position_index.clone()
    start_at_pretrained(network, folder)
    unet = source.model.state_dict()
    for name, weight in network.model.state_dict().items():
        assert torch.equal(weight, unet[name])
    theirs = source.backbone.layers[0].blocks[0]
    mine = network.backbone.layers[0].blocks[0]
    assert torch.equal(mine.mlp.fc1.weight, theirs.mlp.fc1.weight)
    assert torch.equal(mine.attn.relative_position_index, index)
    table = theirs.attn.relative_position_bias_table.detach()
    square = table.T.reshape(1, 1, 7, 7)
    larger = F.interpolate(square, size=(15, 15), mode="bicubic")[0, 0].flatten()
    assert torch.allclose(mine.attn.relative_position_bias_table[:, 0], larger)
    assert resized(table, 49) is table


def test_a_lacking_or_other_pretrained_network_is_named(pretrained, pairs):
    folder, _ = pretrained
    (folder / SWIN_FILE).rename(folder / "away.pth")
    with pytest.raises(InputError, match=rf"{SWIN_FILE.name}: no such file, expected beside"):
        start_at_pretrained(small_of((8, 8)), folder)
    (folder / "away.pth").rename(folder / SWIN_FILE)
    save_file({"conv_in.weight": torch.zeros(1)}, folder / UNET_FILE)
    with pytest.raises(InputError, match=r"does not fit: \d+ missing: .*1 misshapen: conv_in"):
        start_at_pretrained(small_of((8, 8)), folder)
    with pytest.raises(InputError, match="latents of 8 channels, expected 4"):
        prepare("paper", pairs, (256, 176), Aids(vae=VAE))


def test_frames_that_do_not_divide_are_refused(pairs):
    with pytest.raises(InputError, match="pictures of 100x64: expected multiples of 16"):
        prepare("tiny", pairs, (100, 64), Aids(vae=VAE))


@pytest.mark.slow
def test_four_pairs_are_learned_by_heart(pairs, rows, tmp_path):
    torch.manual_seed(0)
    network = new_network(PRESETS["tiny"], FRAME)
    batch = rows.fetch(torch.arange(4))
    with torch.no_grad():
        first = float(value(network, batch))
    settings = TrainSettings(250, 4, 2e-3, weight_decay=0.0, warmup=20, ema_decay=0.0)
    train(network, CfldLoss(Drops(flips=0)), rows, settings, tmp_path / "t")
    with torch.no_grad():
        assert float(value(network, batch)) < first / 10


def test_training_leaves_weights_that_a_run_takes(cache, pairs, tmp_path):
    out = tmp_path / "mine"
    run = TrainingRun("tiny", "people", out, size="smoke", steps=2, pairs=4, batch_size=2, warmup=1)
    train_baseline("cfld", run)
    method = make_baseline("cfld", FRAME, vae=VAE, weights=out)
    assert method.unavailable() is None
    assert method.parameters == sum(
        p.numel() for p in new_network(PRESETS["tiny"], FRAME).parameters()
    )
    stored = load_file(out / "model.safetensors")
    kinds = {value.dtype for value in stored.values()}
    assert kinds == {torch.float16, torch.int64}
    assert (out / "model.safetensors").stat().st_size <= 10_000_000
    config = json.loads((out / "config.json").read_text())
    assert (config["steps"], config["guidance"]) == (2, 1.0)
    assert method.generate(pairs[:1], tmp_path / "run", seed=0) == {}
    again = (out / "model.safetensors").read_bytes()
    train_baseline("cfld", run)
    assert (out / "model.safetensors").read_bytes() == again


def test_shipped_weights_are_taken_without_being_named(pairs, tmp_path):
    from pcdms_baselines.learned import shipped_weights

    folder = shipped_weights("cfld")
    assert folder is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
    method = make_baseline("cfld", FRAME, vae=VAE, weights=folder)
    assert method.generate(pairs[:1], tmp_path, seed=0) == {}
    assert np.isfinite(method.parameters)
