"""Requests to the study's server: what is refused, and what no answer ever gives away."""

from __future__ import annotations

import random
import re
import shutil
import socket
import sys
from collections import Counter
from contextlib import closing
from urllib.parse import urlencode

import pytest
from study_fixture import (
    ANSWERS,
    FORM,
    METHODS,
    ask,
    make_runs,
    make_study,
    post,
    question_of,
    rows,
    serving,
)

from pcdms_bench.study.routes import StudyRoutes, form_fields
from pcdms_bench.study.server import DRAINED, HEADERS, LARGEST_BODY


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def made(runs, tmp_path_factory):
    return make_study(runs, tmp_path_factory.mktemp("made") / "study")


@pytest.fixture
def folder(made, tmp_path):
    """A fresh study without raters."""
    return shutil.copytree(made, tmp_path / "study")


BODIES = [
    b"", b"question", b"question=a", b"answer=real", b"question=a&answer=real&answer=generated",
    b"question=a&answer=real&more=1", b"question=a;answer=real", b"\xff\xfe",
    b"question=%ff&answer=%ff", b"question=a&question=b", b"&&&&",
    b'{"question": "a", "answer": "real"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_answer_is_refused(body):
    assert form_fields(body) is None


def test_malformed_and_oversized_posts_are_refused_and_the_server_lives_on(folder):
    with serving(folder) as (server, (token, _)):
        place = f"/{token}/answer"
        question, _ = question_of(ask(server, "GET", f"/{token}/question")[2])
        good = urlencode({"question": question, "answer": "real"}).encode()
        for body in BODIES:
            assert ask(server, "POST", place, body, Content_Type=FORM)[0] == 400
        for kind in ("", "text/plain", "multipart/form-data; boundary=x", "application/json"):
            assert ask(server, "POST", place, good, Content_Type=kind)[0] == 415
        for size in (LARGEST_BODY + 1, 1 << 16, DRAINED):
            body = good + b"&" + b"x" * (size - len(good) - 1)
            assert ask(server, "POST", place, body, Content_Type=FORM)[0] == 413
        for length in ("-1", "1e3", "0x10", "+5", "²", ""):
            assert raw(server, f"POST {place} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n") == 411
        for length in ("9" * 20, "0" * 30 + "9" * 10):
            head = f"POST {place} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
            assert raw(server, head, end=True) == 413
        chunked = (
            f"POST {place} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
        )
        assert raw(server, chunked + "0\r\n\r\n") == 411
        assert raw(server, "\x00\x01\x02\r\n\r\n") == 400
        assert raw(server, f"GET /{'a' * 70000} HTTP/1.1\r\n\r\n", end=True) == 414
        assert raw(server, f"GET /{'a' * 300} HTTP/1.1\r\n\r\n") == 414
        assert rows(folder, ANSWERS) == []
        assert post(server, token, question, "real") == 303


def raw(server, text, end=False):
    """Send `text` as it is; returns the status. With `end` nothing more will come."""
    with closing(socket.create_connection(server.server_address[:2], 20)) as connection:
        connection.sendall(text.encode("latin-1"))
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while got := connection.recv(1 << 16):
            answer += got
    return int(answer.split()[1])


def test_only_get_and_post_of_known_addresses_exist(folder):
    with serving(folder) as (server, (token, _)):
        for method in ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get"):
            status, headers, _ = ask(server, method, f"/{token}/question")
            assert (status, headers["Allow"]) == (405, "GET, POST")
        for path in (f"/{token}", f"/{token}/question", "/study.css", "/", "/answer"):
            assert post_to(server, path) == 404
        assert ask(server, "GET", f"/{token}/answer")[0] == 404


def post_to(server, path):
    return ask(server, "POST", path, b"question=a&answer=real", Content_Type=FORM)[0]


def test_a_token_that_is_not_a_raters_opens_nothing_and_every_refusal_looks_alike(folder):
    with serving(folder) as (server, (token, _)):
        picture = rows(folder, "SELECT id FROM pictures")[0][0]
        swapped = token[:-1] + ("A" if token[-1] != "A" else "B")
        answers = set()
        for wrong in ("", "x", swapped, token[:-1], token + "A", token.swapcase(), "A" * 32):
            for rest in ("", "/question", f"/picture/{picture}"):
                status, _, text = ask(server, "GET", f"/{wrong}{rest}")
                answers.add((status, text))
            assert post_to(server, f"/{wrong}/answer") == 404
        assert len(answers) == 1
        assert answers.pop()[0] == 404
        assert ask(server, "GET", f"/{token}/picture/{picture}")[0] == 200


def test_every_response_forbids_storing_framing_and_foreign_content(folder):
    with serving(folder) as (server, (token, _)):
        question, _ = question_of(ask(server, "GET", f"/{token}/question")[2])
        picture = rows(folder, "SELECT id FROM pictures")[0][0]
        good = urlencode({"question": question, "answer": "real"}).encode()
        responses = [
            ask(server, "GET", path)
            for path in (f"/{token}", f"/{token}/question", f"/{token}/picture/{picture}",
                         "/study.css", "/study.js", "/none")
        ]  # fmt: skip
        responses.append(ask(server, "POST", f"/{token}/answer", good, Content_Type=FORM))
        responses.append(ask(server, "POST", f"/{token}/answer", b"", Content_Type=FORM))
        responses.append(ask(server, "PUT", "/"))
    assert [status for status, _, _ in responses] == [200] * 5 + [404, 303, 400, 405]
    for _, headers, _ in responses:
        assert headers.items() >= HEADERS.items()
        assert headers["Server"].strip() == "pcdms-study"
        assert "Set-Cookie" not in headers
    assert HEADERS["Cache-Control"] == "no-store"
    assert HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


OPENED: list[str] | None = None


def _note_opened(event, arguments):
    if OPENED is not None and event in ("open", "os.listdir", "os.scandir", "sqlite3.connect"):
        OPENED.append(str(arguments[0]))


def test_no_path_of_a_request_ever_reaches_the_file_system(folder):
    global OPENED
    sys.addaudithook(_note_opened)
    draw = random.Random(0)
    parts = [
        "..", ".", "", "%2e%2e", "%2e%2e%2f", "..%5c", "..\\", "study.sqlite", "etc", "passwd",
        "pictures", "picture", "question", "file:", "C:", "~", "%00", "\x7f", "*", "?q=1", "#a",
    ]  # fmt: skip
    with serving(folder) as (server, (token, _)):
        picture = rows(folder, "SELECT id FROM pictures")[0][0]
        routes = StudyRoutes(folder)
        parts += [token, picture, f"{picture}.png", picture.upper(), f"{picture}%00"]
        paths = ["/".join(["", *draw.choices(parts, k=draw.randint(1, 6))]) for _ in range(3000)]
        paths += [f"/{token}/picture/{bad}" for bad in (
            "../study.sqlite", "..%2fstudy.sqlite", "/etc/passwd", f"{picture}/../{picture}",
            f"{picture}.png", picture.upper(), f"{picture}\n", f"{picture}/", "0" * 16, str(folder),
        )]  # fmt: skip
        known = {f"/{token}", f"/{token}/question", f"/{token}/picture/{picture}"}
        paths = [path for path in paths if path not in known]
        OPENED = []
        try:
            statuses = {routes.get(path).status for path in paths}
            statuses |= {
                routes.post(path, FORM, b"question=a&answer=real").status for path in paths
            }
            refused = list(OPENED)
            assert routes.get(f"/{token}/picture/{picture}").status == 200
            sent = [path for path in paths if not re.search(r"[\s\x7f]", path)]
            # The standard library makes one slash of several at the beginning.
            sent = [path for path in sent if "/" + path.lstrip("/") not in known]
            served = {ask(server, "GET", path)[0] for path in sent[-200:]}
            opened = set(OPENED)
        finally:
            OPENED = None
    assert statuses == served == {404}
    assert refused == []
    assert opened == {str(folder / "pictures" / f"{picture}.png")}


def test_no_page_says_what_a_picture_is_or_who_made_it(folder, runs):
    pages: dict[str, Counter] = {}
    heads = set()
    with serving(folder, raters=1) as (server, (token,)):
        start = ask(server, "GET", f"/{token}")[2]
        while True:
            _, headers, page = ask(server, "GET", f"/{token}/question")
            question, answers = question_of(page)
            if not question:
                break
            truth = rows(folder, "SELECT part, truth, method FROM questions WHERE id = ?", question)
            plain = re.sub(r"[0-9a-f]{16}", "ID", page)
            plain = re.sub(r"Question \d+ of", "Question N of", plain)
            plain = re.sub(r'value="\d+"', 'value="N"', plain)
            pages.setdefault(truth[0][0], Counter())[plain] += 1
            sizes = set(re.findall(r'<img [^>]*width="(\d+)" height="(\d+)"', page))
            assert sizes == {("32", "64")}
            heads.add(tuple(name for name in headers))
            assert post(server, token, question, answers[0]) == 303
    assert {part: len(texts) for part, texts in pages.items()} == {"judge": 1, "choose": 1}
    assert len(heads) == 1
    text = start + "".join(plain for texts in pages.values() for plain in texts)
    secrets = [*METHODS, "final", "inpaint", "refine", "p0v0", "folder", "sqlite", str(runs)]
    secrets += [path.name for path in runs.glob("*/*/*/")]
    assert [word for word in secrets if word in text] == []


def test_a_client_that_says_nothing_is_dropped(folder, monkeypatch):
    monkeypatch.setattr("pcdms_bench.study.server._Handler.timeout", 0.2)
    with serving(folder) as (server, (token, _)):
        for start in (
            "",
            "GET /",
            f"POST /{token}/answer HTTP/1.1\r\nContent-Length: 50\r\n\r\na=b",
        ):
            with closing(socket.create_connection(server.server_address[:2], 20)) as connection:
                connection.sendall(start.encode())
                assert connection.recv(100) == b""
