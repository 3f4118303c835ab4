"""Dropped conditions in both modes, minimum-SNR weights, and rows fetched ahead of their step."""

import pytest
import torch
from test_training_losses import CANVAS, CLEAN, COARSE, MASKED, PAIRS, PICTURES, ROWS, drawn
from torch import nn

from pcdms.schedulers import LatentSchedule, training_scheduler
from pcdms.training.conditions import Dropout, NullConditions
from pcdms.training.diffusion import snr_weights
from pcdms.training.losses import InpaintLoss, PriorLoss
from pcdms.training.refine_loss import RefineLoss

pytestmark = pytest.mark.usefixtures("one_thread")
NULL = NullConditions(
    tokens=drawn(3, 6, seed=20).half(),
    embedding=drawn(7, seed=21),
    coarse=torch.cat([drawn(4, 4, 2, seed=22), torch.full((4, 4, 2), 0.1)]),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def share(mask):
    return float(mask.float().mean())


def test_the_trained_null_of_the_prior_is_the_encoded_zero_picture():
    source, pose = drawn(4000, 7, seed=1), drawn(4000, 36, seed=2)
    out = Dropout(0.1, NULL).prior(source, pose, pose + 1, generator())
    gone = (out[0] == NULL.embedding).all(1)
    zero = [(value == 0).all(1) for value in out[1:]]
    assert [share(mask) for mask in (gone, *zero)] == pytest.approx([0.1] * 3, abs=0.015)
    assert share(gone & zero[0]) == pytest.approx(0.01, abs=0.006), "independent of each other"
    assert torch.equal(out[0][~gone], source[~gone])


def test_the_trained_null_of_inpaint_drops_tokens_and_embedding_independently():
    tokens, embedding = drawn(4000, 3, 6, seed=1).half(), drawn(4000, 7, seed=2)
    out_tokens, out_embedding, rows = Dropout(0.1, NULL).inpaint(tokens, embedding, generator())
    assert rows is None, "nothing is zeroed after the projection"
    no_tokens = (out_tokens == NULL.tokens).all(2).all(1)
    no_embedding = (out_embedding == NULL.embedding).all(1)
    assert [share(no_tokens), share(no_embedding)] == pytest.approx([0.1, 0.1], abs=0.015)
    assert share(no_tokens & no_embedding) == pytest.approx(0.01, abs=0.006)
    assert torch.equal(out_tokens[~no_tokens], tokens[~no_tokens])


def test_the_trained_null_of_refine_is_a_draw_of_mid_grey_and_keeps_the_tokens():
    coarse = drawn(4000, 4, 4, 2, seed=1) + 50
    out, rows = Dropout(0.1, NULL).refine(coarse, generator())
    assert rows is None
    gone = out.flatten(1).max(1).values < 25
    assert share(gone) == pytest.approx(0.1, abs=0.015)
    assert torch.equal(out[~gone], coarse[~gone])
    mean, std = NULL.coarse.chunk(2)
    scaled = (out[gone] - mean) / std
    assert [float(scaled.mean()), float(scaled.std())] == pytest.approx([0, 1], abs=0.05)


@pytest.mark.parametrize("null", [None, NULL])
def test_without_dropping_nothing_is_dropped(null):
    tokens, embedding = drawn(50, 3, 6, seed=1), drawn(50, 7, seed=2)
    out = Dropout(0.0, null).inpaint(tokens, embedding, generator())
    assert torch.equal(out[0], tokens)
    assert torch.equal(out[1], embedding)
    assert out[2] is None or not out[2].any()


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_minimum_snr_weighs_the_same_loss_whatever_is_predicted(kind):
    """The error of the clean value is weighed by min(SNR, 5), in all three forms."""
    scheduler = training_scheduler(LatentSchedule(prediction_type=kind))
    time = torch.tensor([0, 50, 300, 999])
    bar = scheduler.alphas_cumprod[time].double()
    clean, noise = drawn(4, 6, seed=1).double(), drawn(4, 6, seed=2).double()
    noisy = bar.sqrt()[:, None] * clean + (1 - bar).sqrt()[:, None] * noise
    guess = clean + 0.3
    a, b = bar.sqrt()[:, None], (1 - bar).sqrt()[:, None]
    guessed_noise = (noisy - a * guess) / b
    error = {
        "sample": guess - clean,
        "epsilon": guessed_noise - noise,
        "v_prediction": (a * guessed_noise - b * guess) - (a * noise - b * clean),
    }[kind]
    weighed = (error**2).mean(1) * snr_weights(scheduler, time, 5.0).double()
    expected = 0.09 * (bar / (1 - bar)).clamp(max=5.0)
    torch.testing.assert_close(weighed, expected, rtol=1e-3, atol=1e-9)


class Zero(nn.Module):
    def __init__(self, like):
        super().__init__()
        self.like = like

    def forward(self, values, *conditions):
        return torch.zeros(self.like(values))


STAGES = {
    "prior": lambda **more: PriorLoss(PICTURES, PAIRS, 0.0, 1.0, **more),
    "inpaint": lambda **more: InpaintLoss(
        PICTURES, PAIRS, CANVAS, MASKED, LatentSchedule(), **more
    ),
    "refine": lambda **more: RefineLoss(PICTURES, PAIRS, CLEAN, COARSE, LatentSchedule(), **more),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("null", [None, NULL])
def test_fetched_rows_give_the_loss_of_row_numbers(stage, null):
    loss = STAGES[stage](null=null)
    module = Zero(lambda values: (len(values), *values.shape[1:]) if stage == "prior" else
                  (len(values), 4, *values.shape[2:]))  # fmt: skip
    assert len(loss) == len(PAIRS.source)
    plain = loss(module, ROWS, generator(3))
    assert torch.equal(plain, loss(module, loss.fetch(ROWS), generator(3)))
    capped = STAGES[stage](null=null, min_snr=1e-4)(module, ROWS, generator(3))
    assert 0 < float(capped) < float(plain)
