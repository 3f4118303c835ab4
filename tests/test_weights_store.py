"""Weight files: found, fetched, checked; and nothing but `fetch` touches the network."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bench_fixture import call, save_folder_dataset

from pcdms_bench import weights_store
from pcdms_bench.weights_download import TRIES, fetch, fetch_given
from pcdms_bench.weights_store import FETCH_COMMAND, find_weights, weights_states
from pcdms_data.types import InputError

CONTENT = b"weights of a network" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at /good (with ranges) and /plain (without), /changed with another byte.

    /cut is a whole answer of half the file; /broken loses its connection after a quarter of it,
    and answers ranges, so that it takes several connections; /stuck breaks before the first byte.
    """

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        bodies = {
            "/good": CONTENT,
            "/plain": CONTENT,
            "/broken": CONTENT,
            "/stuck": CONTENT,
            "/changed": b"X" + CONTENT[1:],
            "/cut": CONTENT[: len(CONTENT) // 2],
        }
        body = bodies.get(self.path)
        start = 0
        if self.path in ("/good", "/broken") and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if body is None or start >= len(body):
            self.send_response(404 if body is None else 416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = {"/broken": start + len(body) // 4, "/stuck": start}.get(self.path, len(body))
        self.wfile.write(body[start:end])

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.asked = []
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        served.url = f"http://127.0.0.1:{served.server_port}"
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def known(monkeypatch, tmp_path):
    """A cache of its own, and one known file whose address a test sets."""
    monkeypatch.setenv("PCDMS_CACHE", str(tmp_path / "cache"))
    for entry in weights_store.KNOWN.values():
        monkeypatch.delenv(entry.variable, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def at(url, prefix=DIGEST[:8]):
        entry = replace(weights_store.KNOWN["fid"], url=url, prefix=prefix)
        monkeypatch.setitem(weights_store.KNOWN, "fid", entry)
        return tmp_path / "cache" / "weights" / entry.file

    return at


def test_a_missing_file_names_the_command_that_gets_it(known):
    known("http://127.0.0.1:1/none")
    with pytest.raises(InputError, match="not found") as caught:
        find_weights("fid")
    assert f"{FETCH_COMMAND} fid`" in str(caught.value)
    assert "PCDMS_WEIGHTS_FID" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fetch_stores_the_file_records_its_digest_and_finds_it_again(known, server):
    path = known(f"{server.url}/good")
    (found,) = fetch(["fid"])
    assert (found.path, found.sha256) == (path, DIGEST)
    assert path.read_bytes() == CONTENT
    assert json.loads((path.parent / "digests.json").read_text()) == {path.name: DIGEST}
    assert find_weights("fid") == found
    known("http://127.0.0.1:1/none")  # there already: no second download
    assert fetch(["fid"]) == [found]
    assert sorted(f.name for f in path.parent.iterdir()) == sorted(["digests.json", path.name])


@pytest.mark.parametrize("what", ["changed", "cut", "absent"])
def test_a_download_that_is_not_the_file_is_refused_and_leaves_nothing(known, server, what):
    path = known(f"{server.url}/{what}")
    with pytest.raises(InputError):
        fetch(["fid"])
    assert list(path.parent.iterdir()) == []


def test_a_broken_connection_is_continued_where_it_stopped(known, server):
    path = known(f"{server.url}/broken")
    seen = []
    with pytest.raises(InputError, match="continues there"):
        fetch(["fid"], lambda done, total: seen.append((done, total)))
    quarter = len(CONTENT) // 4
    assert [place for _, place in server.asked] == [
        None, *(f"bytes={k * quarter}-" for k in range(1, TRIES))
    ]  # fmt: skip
    assert not path.exists()
    assert [file.stat().st_size for file in path.parent.iterdir()] == [TRIES * quarter]
    fetch(["fid"], lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {len(CONTENT)}
    assert sorted(f.name for f in path.parent.iterdir()) == sorted(["digests.json", path.name])


@pytest.mark.parametrize("place", ["good", "plain"])
def test_what_an_earlier_command_left_is_continued_or_replaced(known, server, place):
    path = known(f"{server.url}/{place}")
    partial = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True)
    for left in (CONTENT[:1000], CONTENT, b"of another file" + CONTENT[15:1000], CONTENT + b"more"):
        path.unlink(missing_ok=True)
        partial.write_bytes(left)
        (found,) = fetch(["fid"])
        assert found.path.read_bytes() == CONTENT
        assert not partial.exists()
    assert server.asked[0] == (f"/{place}", "bytes=1000-")


def test_a_connection_that_brings_nothing_is_given_up(known, server):
    path = known(f"{server.url}/stuck")
    with pytest.raises(InputError, match="0 bytes are kept"):
        fetch(["fid"])
    assert len(server.asked) == TRIES
    assert not path.exists()


def test_two_processes_do_not_fetch_one_file(known, server):
    from filelock import FileLock

    path = known(f"{server.url}/good")
    path.parent.mkdir(parents=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with lock, pytest.raises(InputError, match="another process"):
        fetch(["fid"])
    assert not path.exists()
    fetch(["fid"])
    assert path.read_bytes() == CONTENT


def test_a_given_file_is_checked_and_copied_without_a_connection(known, monkeypatch, tmp_path):
    path = known("http://127.0.0.1:1/none")

    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    own = tmp_path / "mine.pth"
    own.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"mine\.pth has SHA-256"):
        fetch_given("fid", own)
    assert own.read_bytes() == b"something else"
    with pytest.raises(InputError, match="no such file"):
        fetch_given("fid", tmp_path / "absent")
    own.write_bytes(CONTENT)
    result = call("weights", "fetch", "fid", "--file", own)
    assert result.exit_code == 0, result.output
    assert str(path) in result.output
    assert find_weights("fid").sha256 == DIGEST
    assert own.read_bytes() == CONTENT
    assert call("weights", "fetch", "fid", "lpips", "--file", own).exit_code == 2


def test_the_command_downloads_and_tells_the_digest(known, server):
    path = known(f"{server.url}/good")
    result = call("weights", "fetch", "fid")
    assert result.exit_code == 0, result.output
    assert f"{path} SHA-256 {DIGEST}" in result.output


def test_a_file_changed_after_its_first_fetch_is_refused_and_kept(known, server, monkeypatch):
    path = known(f"{server.url}/good")
    fetch(["fid"])
    changed = CONTENT + b"!"
    # A first half of a digest is no proof: even with a fitting prefix the recorded one counts.
    known(f"{server.url}/good", hashlib.sha256(changed).hexdigest()[:0])
    path.write_bytes(changed)
    with pytest.raises(InputError, match="SHA-256"):
        find_weights("fid")
    with pytest.raises(InputError, match="SHA-256"):
        fetch(["fid"])
    assert path.read_bytes() == changed


def test_a_users_own_file_is_checked_and_never_removed(known, server, monkeypatch, tmp_path):
    known(f"{server.url}/good")
    own = tmp_path / "mine.pth"
    own.write_bytes(CONTENT)
    monkeypatch.setenv("PCDMS_WEIGHTS_FID", str(own))
    assert find_weights("fid").path == own
    own.write_bytes(b"something else")
    with pytest.raises(InputError, match="expected"):
        find_weights("fid")
    assert own.read_bytes() == b"something else"


def test_the_state_of_every_file_is_told(known, server):
    path = known(f"{server.url}/good")
    states = {state.known.name: state for state in weights_states()}
    assert set(states) == set(weights_store.KNOWN)
    assert not states["fid"].present
    assert "weights fetch fid" in states["fid"].problem
    fetch(["fid"])
    (state,) = weights_states(["fid"])
    assert (state.present, state.sha256, state.problem) == (True, DIGEST, "")
    path.write_bytes(b"changed")
    (state,) = weights_states(["fid"])
    assert "SHA-256" in state.problem


def test_the_list_of_files_stands_in_columns():
    lines = call("weights", "list").output.splitlines()
    names, width = list(weights_store.KNOWN), max(map(len, weights_store.KNOWN)) + 2
    assert [line[:width].strip() for line in lines] == [w for n in names for w in (n, "")]
    assert all(line[width] != " " for line in lines)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'lpips'"):
        fetch(["lpip"])


def test_only_the_download_module_can_open_a_connection():
    """Nothing that scores, runs or reports imports it."""
    package = Path(weights_store.__file__).parent
    places = [
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"bench\.weights_download|\burllib\.request|\bhttp\.client", file.read_text())
    ]
    assert sorted(places) == ["commands/weights.py", "weights_download.py"]


def test_a_run_opens_no_socket(known, monkeypatch, tmp_path):
    """A run whose networks are missing says so; it asks for no address and connects nowhere."""
    known("http://127.0.0.1:1/none")

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    root = save_folder_dataset(tmp_path / "data")
    words = ("--dataset", "folder", "--root", root, "--methods", "copy-source", "--out", tmp_path)
    result = call("run", *words, "--metrics", "ssim,lpips,fid", "--device", "cpu", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["metric"]: row for row in json.loads(result.stdout)["runs"][0]["scores"]}
    assert rows["ssim"]["status"] == "ok"
    for name in ("lpips", "fid"):
        assert (rows[name]["value"], rows[name]["status"]) == (None, "unavailable")
        assert f"{FETCH_COMMAND} {name}`" in rows[name]["reason"]


def test_looking_for_weights_opens_no_socket(known, monkeypatch):
    known("http://127.0.0.1:1/none")

    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(InputError):
        find_weights("fid")
    weights_states()


def test_published_names_carry_the_prefix_that_is_checked():
    for entry in weights_store.KNOWN.values():
        assert len(entry.prefix) == 8
        assert entry.prefix in entry.file
        assert entry.url.startswith("https://")
        assert entry.url.endswith(entry.file)
