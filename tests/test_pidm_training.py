"""Training PIDM: what its rows hold, that it learns, and what it leaves for a run."""

import json

import numpy as np
import pytest
import torch
from baseline_files import filled
from safetensors.torch import load_file
from tiny_pairs import make_gallery, make_pairs

from pcdms.training.loop import train
from pcdms.training.settings import TrainSettings
from pcdms_baselines.methods import make_baseline
from pcdms_baselines.pidm.canvas import drawn_pose, pose_cells, to_pixels
from pcdms_baselines.pidm.diffusion import Diffusion
from pcdms_baselines.pidm.losses import PidmLoss
from pcdms_baselines.pidm.presets import PRESETS, new_network
from pcdms_baselines.pidm.training import NEEDS, prepare
from pcdms_baselines.pidm.training_rows import PairRows
from pcdms_baselines.training import Aids
from pcdms_bench.training import TrainingRun
from pcdms_bench.training_baseline import SETTINGS, train_baseline
from pcdms_data.images import load_picture
from pcdms_data.types import InputError

pytestmark = pytest.mark.usefixtures("one_thread")
FRAME = (48, 32)


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(make_gallery(tmp_path / "data", size=FRAME))[:4]


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_rows_are_the_pairs_in_both_directions(pairs, patch):
    rows = PairRows(pairs, FRAME, FRAME, patch)
    assert len(rows) == 8
    batch = rows.fetch(torch.tensor([1, 5]))
    pair = pairs[1]
    source, target = (
        torch.from_numpy(np.array(load_picture(picture))).permute(2, 0, 1)
        for picture in (pair.source, pair.target)
    )
    for maps, expected in (
        (batch.source, (source, target)), (batch.target, (target, source))
    ):  # fmt: skip
        levels = (to_pixels(maps, patch) + 1) * 127.5
        torch.testing.assert_close(levels, torch.stack(expected).float(), atol=1e-3, rtol=0)
    for row, pose in enumerate((pair.target_pose, pair.source_pose)):
        drawn = pose_cells(torch.from_numpy(drawn_pose(pose, FRAME))[None], patch)[0]
        assert (batch.pose[row] - drawn).abs().max() <= 0.5 / 255 + 1e-6
    again = rows.fetch(torch.tensor([1, 5]))
    assert torch.equal(again.target, batch.target)
    assert torch.equal(again.pose, batch.pose)


def test_small_sets_stay_in_memory_and_large_ones_do_not(pairs, monkeypatch):
    for kept, expected in ((2**30, 16), (1000, 0)):
        monkeypatch.setattr("pcdms_baselines.pidm.training_rows.KEPT_BYTES", kept)
        rows = PairRows(pairs, FRAME, FRAME, 2)
        rows.fetch(torch.arange(8))
        pictures = {p.name for pair in pairs for p in (pair.source, pair.target)}
        assert len(rows._kept) == (2 * len(pictures) if expected else 0)


def test_presets_say_what_the_training_does(pairs):
    assert set(NEEDS) == set(PRESETS) == set(SETTINGS["pidm"]) == {"tiny", "paper"}
    training = prepare("tiny", pairs, FRAME, Aids())
    state, config = training.export(training.module)
    assert sum(tensor.numel() for tensor in state.values()) * 2 < 10 * 10**6
    assert config["canvas"] == FRAME
    assert training.loss.drop == 0.1
    paper = PRESETS["paper"]
    assert (paper.process.prediction, paper.dropout, paper.mirror) == ("noise", 0.1, True)
    with torch.device("meta"):
        network = new_network(paper)
    used = 180_355_718 - 6_882_688 - 5_779_456
    assert used > sum(tensor.numel() for tensor in network.parameters()) > 0.9 * used
    with pytest.raises(InputError, match="pictures of 50x32: expected multiples of 16"):
        prepare("tiny", pairs, (50, 32), Aids())


def test_the_loss_reaches_every_weight(pairs):
    training = prepare("tiny", pairs, FRAME, Aids())
    module = filled(training.module)
    training.loss(module, training.rows.fetch(torch.arange(2)), torch.Generator()).backward()
    still = [name for name, weight in module.named_parameters() if not weight.grad.any()]
    assert still == []


@pytest.mark.slow
def test_four_pairs_are_learned_by_heart(pairs, tmp_path):
    torch.manual_seed(0)
    preset = PRESETS["tiny"]
    module, loss = new_network(preset), PidmLoss(Diffusion(preset.process))
    rows = PairRows(pairs[:2], FRAME, FRAME, 4)
    batch = rows.fetch(torch.arange(4))

    def fixed():
        """The loss of 8 fixed draws of times and noise, nothing dropped."""
        still = PidmLoss(Diffusion(preset.process), drop=0.0)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            return sum(float(still(module.eval(), batch, generator)) for _ in range(8))

    first = fixed()
    settings = TrainSettings(400, 4, 1e-3, weight_decay=0.0, warmup=0, ema_decay=0.0)
    train(module, loss, rows, settings, tmp_path / "t")
    assert fixed() < first / 10


def test_training_leaves_weights_that_a_run_takes(cache, tmp_path):
    out = tmp_path / "mine"
    run = TrainingRun("tiny", "people", out, size="smoke", steps=2, pairs=4, batch_size=2)
    train_baseline("pidm", run)
    method = make_baseline("pidm", (96, 64), weights=out)
    assert method.unavailable() is None
    stored = load_file(out / "model.safetensors")
    assert method.parameters == sum(tensor.numel() for tensor in stored.values())
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert (out / "model.safetensors").stat().st_size < 10 * 10**6
    assert json.loads((out / "config.json").read_text())["prediction"] == "clean"
    assert json.loads((out / "training" / "pidm" / "facts.json").read_text())["steps"] == 2
    again = (out / "model.safetensors").read_bytes()
    train_baseline("pidm", run)
    assert (out / "model.safetensors").read_bytes() == again
