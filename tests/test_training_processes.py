"""Training in processes of its own: equal weights of all rows, and nothing lost when it dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_worker import (
    EPOCHS,
    ROWS,
    SETTINGS,
    STEPS,
    flat,
    network,
    noisy_loss,
    plain_loss,
    plain_network,
)

from pcdms.training.loop import train
from pcdms_data.types import InputError

WORKER = Path(__file__).parent / "training_worker.py"


def start(words, processes=0):
    command = [sys.executable]
    if processes:
        command += [
            # `--cpu` would start a single process; the loop itself asks for the CPU (gloo).
            "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes),
            "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
            "--main_process_port", "0",
        ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*command, str(WORKER), *(str(word) for word in words)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done


@pytest.mark.parametrize(
    ("processes", "batch", "accumulation"),
    [(2, 16, 3), pytest.param(3, 8, 1, marks=pytest.mark.slow)],
)
def test_every_pair_weighs_one_per_epoch_on_any_number_of_processes(
    processes, batch, accumulation, tmp_path
):
    """1,000 pairs; the batch does not divide by the processes, nor the epoch by the batch."""
    done = start(["weights", tmp_path, batch, accumulation], processes)
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("rank*.json"))]
    assert len(ranks) == processes
    for rank in ranks:
        assert rank["weight"] == pytest.approx([EPOCHS] * ROWS, abs=1e-4)
    draws = [draw for rank in ranks for draw in rank["draws"]]
    assert len(draws) == EPOCHS * ROWS // batch * accumulation * processes
    assert len(set(draws)) == len(draws), "no two shares draw the same noise"


def test_sharded_weights_train_to_the_same_end_and_continue_exactly(tmp_path, one_thread):
    done = start(["sharded", tmp_path], 2)
    assert done.returncode == 0, done.stderr[-2000:]
    ends = json.loads((tmp_path / "ends.json").read_text())
    assert ends["resumed"] == ends["straight"]
    alone = plain_network()
    train(alone, plain_loss, 50, SETTINGS, tmp_path / "alone")
    assert ends["straight"] == pytest.approx(flat(alone).tolist(), abs=1e-5)
    assert sorted(ends["scores"]) == ["10", "20"]
    assert ends["scores"]["20"] == pytest.approx(float(flat(alone).norm()), abs=1e-5)
    shards = sorted(path.name for path in (tmp_path / "a" / "checkpoint").iterdir())
    assert "ema-1.pt" in shards, "each process keeps its part of the average"
    with pytest.raises(InputError, match="sharded weights"):
        train(plain_network(), plain_loss, 50, SETTINGS, tmp_path / "a")


def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path, one_thread):
    """20 steps straight equal 10 + kill + 10, to the bit, drop-out included."""
    straight, resumed = network(), network()
    train(straight, noisy_loss, 50, SETTINGS, tmp_path / "straight")
    done = start(["killed", tmp_path / "killed"])
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"] == 10
    seen = []
    train(
        resumed, noisy_loss, 50, SETTINGS, tmp_path / "killed",
        progress=lambda step, *_: seen.append(step),
    )  # fmt: skip
    assert seen == list(range(11, STEPS + 1))
    for left, right in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(left, right)
    logs = [(tmp_path / name / "loss.csv").read_text() for name in ("straight", "killed")]
    steps = [[line.rsplit(",", 1)[0] for line in log.splitlines()] for log in logs]
    assert steps[0] == steps[1]


def test_a_terminated_training_saves_the_step_it_is_in(tmp_path):
    done = start(["stopped", tmp_path])
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 11
