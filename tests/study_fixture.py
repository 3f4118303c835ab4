"""Finished runs of a small folder data set, a study of them, and its server in this process."""

from __future__ import annotations

import http.client
import itertools
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

from bench_fixture import call, save_folder_dataset, save_noise

from pcdms_bench.run_folder import SAMPLES, RunStatus, run_path, sample_name, write_text
from pcdms_bench.spec import RunSpec
from pcdms_bench.study.server import StudyServer
from pcdms_bench.study.store import StudyStore
from pcdms_data import load_pairs

METHODS = {"copy-source": "final", "limb-warp": "final", "pcdms": "inpaint+refine"}
"""Method -> its stages."""
FRAME = (64, 32)
PICTURES = 4
FORM = "application/x-www-form-urlencoded"
ANSWERS = "SELECT rater, question, answer FROM answers ORDER BY rater, question"


def make_runs(folder: Path) -> Path:
    """Leave three finished runs on 36 pairs of 18 pictures, of random pixels; returns their folder.

    `pcdms` has a stage that is not the last one, with other pictures.
    """
    root = save_folder_dataset(folder / "data", people=6, views=3)
    for number, (method, stages) in enumerate(METHODS.items()):
        save_run(folder / "runs", root, method, stages, 1000 * (number + 1))
    return folder / "runs"


def save_run(out: Path, root: Path, method: str, stages: str, seed: int, samples: int = 1) -> Path:
    """Leave one finished run with `samples` pictures of noise per pair and stage."""
    spec = RunSpec(
        dataset="folder", size="", data_seed=0, split="test", resolution="64x32", method=method,
        stages=stages, preset="", weights="", seed=0, samples=samples,
        selection="first" if samples == 1 else "oracle-ssim", steps=None, guidance=None,
        guidance_rescale=None, null="", final_sigma="", dtype="", chunk=None, refine_over="",
    )  # fmt: skip
    place = run_path(out, spec)
    ids = [pair.pair_id for pair in load_pairs("folder", root=root, resolution=FRAME)]
    for stage, pair_id, sample in itertools.product(stages.split("+"), ids, range(samples)):
        path = place / SAMPLES / stage / sample_name(pair_id, sample)
        save_noise(path, seed := seed + 1, FRAME)
    write_text(place / "spec.json", spec.to_json())
    RunStatus("complete", root=str(root), layout="folder", pair_ids=ids).write(place)
    return place


def make_study(runs: Path, out: Path, *more: object) -> Path:
    result = call("study", "make", runs, "--out", out, "--pictures", PICTURES, *more)
    assert result.exit_code == 0, result.output
    return out


def rows(folder: Path, query: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(folder / "study.sqlite")) as database:
        return database.execute(query, values).fetchall()


@contextmanager
def serving(folder: Path, raters: int = 2) -> Iterator[tuple[StudyServer, list[str]]]:
    """Serve a study in a thread; yields the server and the raters' tokens."""
    store = StudyStore(folder)
    store.add_raters(raters)
    server = StudyServer(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, list(store.tokens().values())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(
    server: StudyServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Send one request; returns status, headers and text."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection(*server.server_address[:2], timeout=20)) as connection:
        connection.request(method, path, body, names)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        return response.status, dict(response.getheaders()), text


def post(server: StudyServer, token: str, question: str, answer: str) -> int:
    body = urlencode({"question": question, "answer": answer}).encode()
    return ask(server, "POST", f"/{token}/answer", body, Content_Type=FORM)[0]


def question_of(page: str) -> tuple[str, list[str]]:
    """The question on a page and the answers that it offers; ('', []) at the end."""
    found = re.search(r'name="question" value="(\w+)"', page)
    return (found[1] if found else "", re.findall(r'name="answer" value="(\w+)"', page))
