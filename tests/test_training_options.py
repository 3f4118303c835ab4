"""Options of the loop: each acts as documented, and one that could not act is refused."""

import csv
import sys
import threading
from dataclasses import replace

import pytest
import torch
from accelerate.tracking import GeneralTracker
from micro_model import MICRO
from torch import nn

from pcdms.training.accelerators import agreed_accumulation, agreed_precision, check_tracker
from pcdms.training.loop import Validation, train
from pcdms.training.recompute import recompute_activations
from pcdms.training.settings import TrainSettings, learning_rate_factor
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = 10
SETTINGS = TrainSettings(
    steps=8, batch_size=4, learning_rate=1e-2, warmup=2, ema_decay=0.5, save_every=4, log_every=1
)
INPUTS = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(1))


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))


def loss(module, rows, generator):
    return (module(INPUTS[rows]) - INPUTS[rows].flip(1)).square().mean()


def weights(module):
    return torch.cat([value.detach().flatten() for value in module.state_dict().values()])


def trained(out, settings=SETTINGS, rows=ROWS, using=loss, **options):
    module = model()
    train(module, using, rows, settings, out, **options)
    return weights(module)


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_micro_batches_add_up_to_the_batch(parts, tmp_path):
    """Also where they do not divide it: 4 rows in 3 parts."""
    whole = trained(tmp_path / "whole")
    split = trained(tmp_path / "split", replace(SETTINGS, accumulation=parts))
    torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-5)
    logged = [
        [float(row["loss"]) for row in table(tmp_path / name / "loss.csv")]
        for name in ("whole", "split")
    ]
    assert logged[0] == pytest.approx(logged[1], abs=1e-5)


def test_every_schedule_warms_up_and_then_acts(tmp_path):
    at = {
        name: [
            learning_rate_factor(step, replace(SETTINGS, steps=102, schedule=name))
            for step in (0, 1, 2, 52, 102)
        ]
        for name in ("constant", "linear", "cosine")
    }
    for factors in at.values():
        assert factors[:3] == [0.5, 1.0, 1.0]
    assert at["constant"][3:] == [1.0, 1.0]
    assert at["linear"][3:] == [0.5, 0.0]
    assert at["cosine"][3:] == pytest.approx([0.5, 0.0])
    ends = [
        trained(tmp_path / name, replace(SETTINGS, schedule=name, ema_decay=0.0)) for name in at
    ]
    assert len({tuple(end.tolist()) for end in ends}) == 3


def test_without_an_average_the_last_weights_remain(tmp_path):
    last = []
    module = model()
    settings = replace(SETTINGS, ema_decay=0.0)
    train(
        module, loss, ROWS, settings, tmp_path,
        progress=lambda *_: last.append(weights(module).clone()),
    )  # fmt: skip
    assert torch.equal(weights(module), last[-1])
    assert not torch.equal(weights(module), trained(tmp_path / "averaged"))


class Rows:
    """Fetches rows in the loop's thread of its own."""

    def __init__(self):
        self.threads = set()

    def __len__(self):
        return ROWS

    def fetch(self, rows):
        self.threads.add(threading.get_ident())
        return INPUTS[rows]


def test_a_row_source_is_asked_in_another_thread_and_changes_nothing(tmp_path):
    def fetched_loss(module, batch, generator):
        return (module(batch) - batch.flip(1)).square().mean()

    source = Rows()
    fetched = trained(tmp_path / "fetched", rows=source, using=fetched_loss)
    assert torch.equal(fetched, trained(tmp_path / "plain"))
    assert threading.get_ident() not in source.threads


def test_what_a_row_source_raises_reaches_the_caller(tmp_path):
    class Broken(Rows):
        def fetch(self, rows):
            raise InputError("picture x.png cannot be read")

    with pytest.raises(InputError, match=r"x\.png"):
        trained(tmp_path, rows=Broken())


def test_validation_sees_the_weights_that_would_ship_and_changes_nothing(tmp_path):
    seen = {}

    def run(module, step):
        assert not module.training
        torch.randn(3)
        seen[step] = weights(module).clone()
        return {"norm": float(seen[step].norm()), "step": float(step)}

    with_it = trained(tmp_path / "with", validation=Validation(3, run))
    assert sorted(seen) == [3, 6, 8]
    assert torch.equal(with_it, trained(tmp_path / "without"))
    assert torch.equal(with_it, seen[8])
    rows = table(tmp_path / "with" / "validation.csv")
    assert [(int(row["step"]), row["score"]) for row in rows] == [
        (step, name) for step in (3, 6, 8) for name in ("norm", "step")
    ]
    assert float(rows[-2]["value"]) == pytest.approx(float(with_it.norm()), abs=1e-5)


def test_fresh_begins_anew(tmp_path):
    steps = []
    trained(tmp_path, replace(SETTINGS, learning_rate=0.5))
    again = trained(tmp_path, fresh=True, progress=lambda step, *_: steps.append(step))
    assert steps == list(range(1, SETTINGS.steps + 1))
    assert torch.equal(again, trained(tmp_path / "other"))
    assert len(table(tmp_path / "loss.csv")) == SETTINGS.steps


class Tracker(GeneralTracker):
    name = "kept"
    requires_logging_directory = False

    def __init__(self):
        super().__init__()
        self.config, self.values, self.ended = None, [], False

    @property
    def tracker(self):
        return None

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None, **more):
        self.values.append((step, values))

    def finish(self):
        self.ended = True


def test_a_tracker_gets_settings_losses_rates_and_scores(tmp_path):
    kept = Tracker()
    trained(tmp_path, tracker=kept, validation=Validation(8, lambda module, step: {"ssim": 0.5}))
    assert kept.config["learning_rate"] == SETTINGS.learning_rate
    losses = [(step, values) for step, values in kept.values if "loss" in values]
    assert [step for step, _ in losses] == list(range(1, 9))
    assert losses[0][1]["learning_rate"] == pytest.approx(0.5e-2)
    assert (8, {"validation/ssim": 0.5}) in kept.values
    assert kept.ended


def test_trackers_that_are_unknown_or_not_installed_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"'paper'.*tensorboard"):
        check_tracker("paper")
    monkeypatch.setitem(sys.modules, "aim", None)
    with pytest.raises(InputError, match=r"'aim'.*not installed"):
        check_tracker("aim")
    check_tracker(None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 0}, "steps 0"),
        ({"learning_rate": 0.0}, r"learning_rate 0\.0"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"ema_decay": 1.0}, r"ema_decay 1\.0"),
        ({"schedule": "exponential"}, "'exponential'.*cosine, linear, constant"),
        ({"mixed_precision": "fp16"}, "'fp16' needs a GPU"),
        ({"mixed_precision": "int8"}, "'int8'"),
        ({"warmup": 8}, "warm-up of 8 in 8 steps"),
        ({"accumulation": 5}, "batch size 4 is less than 1 processes x 5"),
        ({"recompute": True}, "Sequential has nothing"),
    ],
)
def test_settings_that_could_not_act_are_refused(change, named, tmp_path):
    with pytest.raises(InputError, match=named):
        trained(tmp_path, replace(SETTINGS, **change))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        trained(tmp_path)


def test_the_launcher_and_the_command_line_agree_or_one_of_them_is_silent(monkeypatch):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.delenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", raising=False)
    assert (agreed_precision(None), agreed_accumulation(None)) == ("no", 1)
    assert (agreed_precision("bf16"), agreed_accumulation(4)) == ("bf16", 4)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "2")
    assert (agreed_precision(None), agreed_accumulation(None)) == ("bf16", 2)
    assert (agreed_precision("bf16"), agreed_accumulation(2)) == ("bf16", 2)
    with pytest.raises(InputError, match="'fp16' contradicts the launcher's 'bf16'"):
        agreed_precision("fp16")
    with pytest.raises(InputError, match="accumulation 4 contradicts the launcher's 2"):
        agreed_accumulation(4)


@pytest.mark.parametrize("part", ["image_encoder", "source_encoder", "vae"])
def test_encoders_and_the_autoencoder_can_recompute_too(part):
    module = getattr(MICRO, f"build_{part}")()
    recompute_activations(module)
    assert any(getattr(child, "gradient_checkpointing", False) for child in module.modules())


@pytest.mark.parametrize("stage", ["prior", "inpaint", "refine"])
def test_recomputed_activations_give_the_same_gradients(stage):
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(4))  # noqa: E731
    time = torch.tensor([3, 700])
    inputs = {
        "prior": (draw(2, 16), time, draw(2, 16), draw(2, 36), draw(2, 36)),
        "inpaint": (draw(2, 9, 8, 8), time, draw(2, 5, 12), draw(2, 16), draw(2, 3, 32, 32)),
        "refine": (draw(2, 8, 8, 4), time, draw(2, 5, 12)),
    }[stage]
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        module = getattr(MICRO, f"build_{stage}")().train()
        kept = []
        if recompute:
            recompute_activations(module)
        hook = lambda tensor, kept=kept: (kept.append(tensor.numel()), tensor)[1]  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(hook, lambda tensor: tensor):
            value = module(*inputs).square().mean()
        value.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
        gradients.append(sum(kept))
    torch.testing.assert_close(gradients[2], gradients[0], atol=1e-6, rtol=1e-4)
    assert gradients[3] < 0.8 * gradients[1], "fewer activations are kept"
