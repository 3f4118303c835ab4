"""Training DPTN: what each term of its loss holds still, and that the whole learns."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_pairs import make_gallery, make_pairs

from pcdms.training.loop import train
from pcdms.training.settings import TrainSettings
from pcdms_baselines.dptn.discriminator import DptnDiscriminator
from pcdms_baselines.dptn.features import CONTENT, STYLE, Vgg19, load_vgg19
from pcdms_baselines.dptn.losses import DptnLoss, DptnTraining, Weights, fooling, gram, judging
from pcdms_baselines.dptn.network import DptnGenerator
from pcdms_baselines.dptn.presets import PRESETS, new_networks
from pcdms_baselines.dptn.training_rows import PairRows
from pcdms_baselines.methods import make_baseline
from pcdms_bench.training import TrainingRun
from pcdms_bench.training_baseline import train_baseline
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def rows(tmp_path):
    pairs = make_pairs(make_gallery(tmp_path / "data", size=(48, 32)))[:4]
    return PairRows(pairs, (48, 32), (48, 32))


class Flat(torch.nn.Module):
    """Stands for a feature network: every layer is the picture."""

    def forward(self, pictures):
        return dict.fromkeys(CONTENT + STYLE, pictures)


def test_terms_add_up_to_the_published_sum(rows):
    torch.manual_seed(0)
    networks = DptnTraining(DptnGenerator((4, 8), middle_blocks=1), None)
    batch = rows.fetch(torch.arange(2))
    loss = DptnLoss(Weights(adversary=0, target_share=0.8), Flat())
    value = loss(networks, batch, torch.Generator())
    with torch.no_grad():
        made, rebuilt = networks.generator.both_tasks(
            batch.source, batch.pose_source, batch.pose_target
        )

        def part(one, two):
            grams = [torch.einsum("bchw,bdhw->bcd", x, x) / (3 * 48 * 32) for x in (one, two)]
            style = (grams[0] - grams[1]).abs().mean()
            return (5 + 5 * 0.5) * (one - two).abs().mean() + 500 * 4 * style

        expected = 0.8 * part(made, batch.target) + 0.2 * part(rebuilt, batch.source)
    torch.testing.assert_close(value.detach(), expected)


def test_each_adversary_term_teaches_one_network_only():
    torch.manual_seed(0)
    judge, made = DptnDiscriminator((4, 8)), torch.rand(2, 3, 16, 16, requires_grad=True)
    fooling(judge, made).backward()
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judge.parameters())
    made.grad = None
    judging(judge, torch.rand(2, 3, 16, 16), made).backward()
    assert made.grad is None
    assert all(parameter.grad is not None for parameter in judge.parameters())


def test_with_an_adversary_both_networks_change(rows, tmp_path):
    torch.manual_seed(0)
    generator = DptnGenerator((4, 8), middle_blocks=1)
    networks = DptnTraining(generator, DptnDiscriminator((4, 8)))
    before = {name: value.clone() for name, value in networks.named_parameters()}
    settings = TrainSettings(2, 2, 1e-3, warmup=0, ema_decay=0.0)
    train(networks, DptnLoss(), rows, settings, tmp_path / "t")
    moved = {name for name, value in networks.named_parameters() if not value.equal(before[name])}
    assert {name.split(".")[0] for name in moved} == {"generator", "discriminator"}
    assert len(moved) > 0.9 * len(before)


def test_gram_matrix_of_equal_channels_is_their_mean_square():
    features = torch.full((1, 2, 4, 4), 3.0)
    assert torch.allclose(gram(features), torch.full((1, 2, 2), 9.0 / 2))


def test_vgg19_has_the_layers_of_torchvision(tmp_path):
    from torchvision.models import vgg19

    with torch.device("meta"):
        theirs, ours = vgg19().state_dict(), Vgg19().state_dict()
    wanted = {k: tuple(v.shape) for k, v in theirs.items() if k.startswith("features.")}
    assert {k: tuple(v.shape) for k, v in ours.items()} == wanted
    assert len(Vgg19().places) == 9
    assert Vgg19().places[1] == "1_1"
    assert Vgg19().places[30 + 1] == "5_2"
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "vgg.pth")
    with pytest.raises(InputError, match="no VGG-19 of torchvision: 31 missing"):
        load_vgg19(tmp_path / "vgg.pth")


@pytest.mark.slow
def test_four_pairs_are_learned_by_heart(rows, tmp_path):
    torch.manual_seed(0)
    preset = PRESETS["tiny"]
    networks, loss = new_networks(preset), DptnLoss(preset.weights)
    batch = rows.fetch(torch.arange(4))
    with torch.no_grad():
        first = float(loss(networks, batch, torch.Generator()))
        settings = TrainSettings(170, 4, 2e-3, weight_decay=0.0, warmup=0, ema_decay=0.0)
    train(networks, loss, rows, settings, tmp_path / "t")
    with torch.no_grad():
        assert float(loss(networks, batch, torch.Generator())) < first / 10


def test_training_leaves_weights_that_a_run_takes(cache, tmp_path):
    out = tmp_path / "mine"
    run = TrainingRun("tiny", "people", out, size="smoke", steps=2, pairs=4, batch_size=2)
    train_baseline("dptn", run)
    method = make_baseline("dptn", (96, 64), weights=out)
    assert method.unavailable() is None
    assert method.parameters == 2_466_211
    stored = load_file(out / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert json.loads((out / "training" / "dptn" / "facts.json").read_text())["steps"] == 2
    again = (out / "model.safetensors").read_bytes()
    train_baseline("dptn", run)
    assert (out / "model.safetensors").read_bytes() == again


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"drop": 0.1}, "--drop acts on pcdms"),
        ({"recompute": True}, "--gradient-checkpointing acts on pcdms"),
        ({"preset": "paper"}, "--perceptual vgg19"),
    ],
)
def test_options_without_effect_are_refused(changes, reason, tmp_path):
    run = TrainingRun(**{"preset": "tiny", "dataset": "people", "out": tmp_path, **changes})
    with pytest.raises(InputError, match=reason):
        train_baseline("dptn", run)
    with pytest.raises(InputError, match="method to train"):
        train_baseline("patn", run)
