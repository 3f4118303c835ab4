"""Weight files: found, fetched, checked; and nothing but `fetch` touches the network."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pcdms_bench import weights_store
from pcdms_bench.weights_store import FETCH_COMMAND, fetch, find_weights, weights_states
from pcdms_data.types import InputError

CONTENT = b"weights of a network" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT at /good, one changed byte at /changed, half of it at /cut."""

    def do_GET(self):
        bodies = {
            "/good": CONTENT,
            "/changed": b"X" + CONTENT[1:],
            "/cut": CONTENT[: len(CONTENT) // 2],
        }
        body = bodies.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
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
    assert FETCH_COMMAND in str(caught.value)
    assert "PCDMS_WEIGHTS_FID" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fetch_stores_the_file_records_its_digest_and_finds_it_again(known, server):
    path = known(f"{server}/good")
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
    path = known(f"{server}/{what}")
    with pytest.raises(InputError):
        fetch(["fid"])
    assert list(path.parent.iterdir()) == []


def test_a_file_changed_after_its_first_fetch_is_refused_and_kept(known, server, monkeypatch):
    path = known(f"{server}/good")
    fetch(["fid"])
    changed = CONTENT + b"!"
    # A first half of a digest is no proof: even with a fitting prefix the recorded one counts.
    known(f"{server}/good", hashlib.sha256(changed).hexdigest()[:0])
    path.write_bytes(changed)
    with pytest.raises(InputError, match="SHA-256"):
        find_weights("fid")
    with pytest.raises(InputError, match="SHA-256"):
        fetch(["fid"])
    assert path.read_bytes() == changed


def test_a_users_own_file_is_checked_and_never_removed(known, server, monkeypatch, tmp_path):
    known(f"{server}/good")
    own = tmp_path / "mine.pth"
    own.write_bytes(CONTENT)
    monkeypatch.setenv("PCDMS_WEIGHTS_FID", str(own))
    assert find_weights("fid").path == own
    own.write_bytes(b"something else")
    with pytest.raises(InputError, match="expected"):
        find_weights("fid")
    assert own.read_bytes() == b"something else"


def test_the_state_of_every_file_is_told(known, server):
    path = known(f"{server}/good")
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


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'lpips'"):
        fetch(["lpip"])


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
