"""The training loop: exact continuation, full coverage of the rows, averaged weights."""

import csv
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from micro_model import MICRO, WIDTH, randomise
from torch import nn

from pcdms.training.loop import train
from pcdms.training.losses import PairTable, PictureTable, PriorLoss
from pcdms.training.rows import batch_rows
from pcdms.training.settings import TrainSettings, learning_rate_factor
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = 22
SETTINGS = TrainSettings(
    steps=14, batch_size=4, learning_rate=1e-2, warmup=3, ema_decay=0.6, save_every=5, log_every=2
)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.0), nn.Tanh(), nn.Linear(5, 2))


INPUTS = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(1))
WANTED = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(2))


def loss(module, rows, generator):
    noise = 0.1 * torch.randn(len(rows), 3, generator=generator)
    return nn.functional.mse_loss(module(INPUTS[rows] + noise), WANTED[rows])


def weights(module):
    return torch.cat([value.detach().flatten() for value in module.state_dict().values()])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, one_thread):
    module = model()
    result = train(module, loss, ROWS, SETTINGS, tmp_path_factory.mktemp("whole"))
    assert (result.steps, module.training) == (SETTINGS.steps, False)
    return weights(module), result


@pytest.mark.parametrize("stop", [2, 5, 9, 13])
def test_an_interrupted_training_ends_at_the_same_weights(stop, uninterrupted, tmp_path):
    def interrupt(step, steps, value):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model(), loss, ROWS, SETTINGS, tmp_path, progress=interrupt)
    seen, module = [], model()
    result = train(
        module, loss, ROWS, SETTINGS, tmp_path, progress=lambda step, steps, _: seen.append(step)
    )
    assert seen[0] == stop + 1, "an interrupt writes the checkpoint"
    assert torch.equal(weights(module), uninterrupted[0])
    assert result.loss == uninterrupted[1].loss


def test_a_finished_training_is_not_trained_again(uninterrupted, tmp_path):
    train(model(), loss, ROWS, SETTINGS, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    module, seen = model(), []
    train(module, loss, ROWS, SETTINGS, tmp_path, progress=lambda *step: seen.append(step))
    assert seen == []
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert torch.equal(weights(module), uninterrupted[0])


def test_other_settings_are_refused_by_name(tmp_path):
    train(model(), loss, ROWS, replace(SETTINGS, steps=4), tmp_path)
    with pytest.raises(InputError, match=r"other settings \(learning_rate, seed, steps\)"):
        train(model(), loss, ROWS, replace(SETTINGS, learning_rate=1.0, seed=5), tmp_path)
    free = replace(SETTINGS, steps=4, save_every=1, log_every=1)
    train(model(), loss, ROWS, free, tmp_path)


def test_the_averaged_weights_remain(tmp_path):
    module, steps = model(), []
    train(
        module, loss, ROWS, SETTINGS, tmp_path,
        progress=lambda *_: steps.append([p.detach().clone() for p in module.parameters()]),
    )  # fmt: skip
    average = steps[0]
    for count, current in enumerate(steps[1:], start=1):
        decay = min((1 + count) / (10 + count), SETTINGS.ema_decay)
        average = [decay * old + (1 - decay) * new for old, new in zip(average, current)]  # noqa: B905
    for left, right in zip(module.parameters(), average, strict=True):
        torch.testing.assert_close(left.detach(), right, atol=1e-6, rtol=1e-5)
    last = torch.cat([p.flatten() for p in steps[-1]])
    assert (torch.cat([p.detach().flatten() for p in module.parameters()]) - last).abs().max() > 0


def test_checkpoints_are_read_without_pickled_code_and_losses_are_logged(tmp_path):
    result = train(model(), loss, ROWS, SETTINGS, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == SETTINGS.steps
    assert state["settings"]["ema_decay"] == 0.6
    with (tmp_path / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10, 12, 14]
    assert float(rows[-1]["loss"]) == pytest.approx(result.loss, abs=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "loss.csv"]


def test_a_loss_that_is_no_number_stops_and_saves_nothing(tmp_path):
    def spoiled(module, rows, generator):
        return loss(module, rows, generator) * math.nan

    with pytest.raises(InputError, match="nan at step 0"):
        train(model(), spoiled, ROWS, SETTINGS, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(("rows", "size"), [(22, 4), (7, 7), (5, 3), (3, 8), (1, 2)])
def test_every_row_comes_exactly_once_per_epoch(rows, size):
    steps = 4 * rows
    stream = torch.cat([batch_rows(rows, size, 3, step) for step in range(steps)])
    epochs = stream[: len(stream) // rows * rows].reshape(-1, rows)
    assert (epochs.sort(dim=1).values == torch.arange(rows)).all()
    if rows > 3:
        assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1, "each epoch has its order"
        assert not torch.equal(
            stream, torch.cat([batch_rows(rows, size, 4, s) for s in range(steps)])
        )


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = replace(SETTINGS, steps=100, warmup=10)
    factors = [learning_rate_factor(step, settings) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0, abs=1e-12)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_a_micro_prior_learns_eight_pairs(tmp_path):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    empty = torch.zeros(8, 1)
    pictures = PictureTable(empty, draw(8, WIDTH), draw(8, 36).sigmoid(), empty, empty)
    pairs = PairTable(torch.arange(8), (torch.arange(8) + 3) % 8)
    prior = PriorLoss(pictures, pairs, 0.0, 1.0, drop=0.0, noise_offset=0.0)
    torch.manual_seed(0)
    module = randomise(MICRO.build_prior(), 1)

    def evaluate():
        with torch.no_grad():
            rows = torch.arange(8).repeat(16)
            return float(prior(module, rows, torch.Generator().manual_seed(9)))

    before = evaluate()
    settings = TrainSettings(steps=80, batch_size=32, learning_rate=1e-2, warmup=10, ema_decay=0.9)
    train(module, prior, 8, settings, tmp_path)
    assert evaluate() < 0.5 * before
