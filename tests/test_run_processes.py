"""One run command in several processes: the same files as from one, and no share is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench_fixture import call

from pcdms_bench.planning import prepare
from pcdms_bench.processes import Processes, device_of_process, launched
from pcdms_bench.progress import Progress
from pcdms_bench.request import RunRequest
from pcdms_bench.run_folder import read_table
from pcdms_bench.runner import execute
from pcdms_data.types import InputError
from pcdms_reports.scores import load_scores

WORKER = Path(__file__).parent / "run_worker.py"
pytestmark = [
    # The library's own UniPC scheduler turns a tensor into an array in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
COST = {"seconds_per_picture", "peak_memory_mb"}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    from micro_model import pipeline

    weights = tmp_path_factory.mktemp("weights")
    pipeline().save_pretrained(weights)
    return [
        "run", "--size", "smoke", "--limit", "5", "--methods", "pcdms,mean-image,limb-warp",
        "--weights", str(weights), "--samples", "2", "--selection", "oracle-ssim", "--chunk", "4",
        "--metrics", "ssim,cosine,seconds_per_picture", "--device", "cpu",
        "--refine-over", "limb-warp",
    ]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCDMS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def single(words, cache, one_thread, tmp_path_factory):
    out = tmp_path_factory.mktemp("single")
    result = call(*words, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def start(words, fatal, log, **more):
    with log.open("w") as handle:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", str(WORKER), str(fatal), *words],
            env=os.environ | more, stdout=handle, stderr=subprocess.STDOUT,
        )  # fmt: skip


def start_all(words, fatal, logs):
    """Start one process per entry of `fatal` as a launcher would; return them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": str(len(fatal)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        start(words, number, logs / f"{rank}.log", RANK=str(rank), LOCAL_RANK=str(rank), **group)
        for rank, number in enumerate(fatal)
    ]


def same_files(left, right):
    """Every file that does not tell the time is equal; tables may have their rows in any order."""
    for out in (left, right):
        assert not list(out.rglob("shares"))
        assert not list(out.rglob("*.tmp"))
    found = [
        {
            path.relative_to(out): sorted(path.read_bytes().splitlines())
            for pattern in ("*.png", "embeddings.safetensors", "spec.json", "status.json",
                            "selection.csv", "pairs.csv")
            for path in out.rglob(pattern)
            if "tables" not in path.parts
        }
        for out in (left, right)
    ]  # fmt: skip
    assert found[0].keys() == found[1].keys()
    assert [name for name in found[0] if found[0][name] != found[1][name]] == []
    frames = [load_scores(out / "scores.csv") for out in (left, right)]
    frames = [frame[~frame["metric"].isin(COST)].reset_index(drop=True) for frame in frames]
    assert frames[0].equals(frames[1])


def times(pictures):
    """Return {(stage, name): when the picture was written}."""
    return {(path.parent.name, path.name): path.stat().st_mtime_ns for path in pictures}


def test_two_launched_processes_leave_what_one_leaves(words, single, tmp_path):
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        "--main_process_port", "0", "-m", "pcdms_bench", *words, "--out", str(tmp_path),
    ]  # fmt: skip
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, env=quiet, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("report:") == 1, "the main process alone reports"
    same_files(single, tmp_path)
    folder = next(tmp_path.glob("*/pcdms/*"))
    record = json.loads((folder / "environment.json").read_text())
    assert record["processes"] == 2
    assert record["stages"]["refine"]["pictures"] == 10
    assert len(read_table(folder / "selection.csv", ("stage", "pair", "sample", "ssim"))) == 10


def test_a_rerun_finishes_the_share_of_a_killed_process(words, single, tmp_path):
    out = tmp_path / "runs"
    words = [*words, "--out", str(out)]
    processes = start_all(words, (0, 2), tmp_path)
    assert processes[1].wait(300) == -signal.SIGKILL
    try:  # a launcher ends the others; without one they notice the lost connection
        processes[0].wait(60)
    except subprocess.TimeoutExpired:
        processes[0].kill()
        processes[0].wait()
    folder = next(out.glob("*/pcdms/*"))
    left = times(folder.glob("shares/*/samples/*/*.png"))
    assert left
    assert not (folder / "scores.csv").exists()
    assert call(*words).exit_code == 0
    same_files(single, out)
    now = times(folder.glob("samples/*/*.png"))
    assert {name: now[name] for name in left} == left, "finished pictures were not made again"


@dataclass(frozen=True)
class Threads(Processes):
    """Threads in place of processes: what is shared goes through files alone."""

    barrier: threading.Barrier | None = None

    def wait(self):
        self.barrier.wait(120)


def test_more_processes_add_only_what_is_missing(words, single, tmp_path):
    few = [*words, "--out", tmp_path, "--limit", 2]
    assert call(*few).exit_code == 0
    before = times(tmp_path.glob("*/pcdms/*/samples/*/*.png"))
    assert before
    barrier, outcomes = threading.Barrier(3), {}
    request = RunRequest(
        size="smoke", limit=5, methods="pcdms,mean-image,limb-warp", samples=2, chunk=4,
        weights=Path(words[words.index("--weights") + 1]), selection="oracle-ssim",
        metrics="ssim,cosine,seconds_per_picture", device="cpu", out=tmp_path,
        refine_over="limb-warp",
    )  # fmt: skip

    def work(index):
        with Progress(silent=True) as progress:
            plan = prepare(request, progress)
            outcomes[index] = execute(plan, progress, Threads(index, 3, barrier))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert outcomes[0].exit_code == 0
    assert outcomes[1] is outcomes[2] is None
    same_files(single, tmp_path)
    now = times(tmp_path.glob("*/pcdms/*/samples/*/*.png"))
    assert {name: now[name] for name in before} == before


def test_without_a_launcher_a_command_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with launched() as processes:
        assert (processes.index, processes.count, processes.main) == (0, 1, True)
        processes.wait()
    assert device_of_process("cuda") == "cuda"


@pytest.mark.parametrize(
    ("variables", "words"), [({"RANK": "2"}, "RANK 2"), ({"WORLD_SIZE": "two"}, "'two'")]
)
def test_variables_of_a_launcher_that_do_not_fit_are_one_clear_line(variables, words, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words), launched():
        pass
