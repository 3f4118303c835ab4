"""Raters at the study's server: orders, answers, going on later, and how it starts and ends."""

from __future__ import annotations

import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from bench_fixture import call, error_line
from study_fixture import (
    ANSWERS,
    METHODS,
    PICTURES,
    ask,
    make_runs,
    make_study,
    post,
    question_of,
    rows,
    serving,
)

from pcdms_bench.study.store import StudyStore

TOTAL = 7 * PICTURES


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


def answer_all(server, token, draw, twice=False):
    """Answer every question of a rater; returns {question: answer}."""
    given = {}
    while True:
        question, answers = question_of(ask(server, "GET", f"/{token}/question")[2])
        if not question:
            return given
        given[question] = draw.choice(answers)
        for _ in range(2 if twice else 1):
            assert post(server, token, question, given[question]) == 303


def test_raters_answer_at_the_same_time_each_in_an_own_order(folder):
    with serving(folder, raters=4) as (server, tokens):
        given = {}

        def rate(number):
            given[number] = answer_all(server, tokens[number], random.Random(number), twice=True)

        threads = [threading.Thread(target=rate, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        page = ask(server, "GET", f"/{tokens[0]}/question")[2]
        assert ask(server, "GET", f"/{tokens[0]}")[2] == page
    assert f"All {TOTAL} answers are stored" in page
    stored = {
        number: {q: a for rater, q, a in rows(folder, ANSWERS) if rater == f"rater-{number + 1}"}
        for number in given
    }
    assert stored == given
    assert all(len(answers) == TOTAL for answers in given.values())
    assert len({tuple(answers) for answers in given.values()}) == 4


def test_the_rounds_come_one_after_another_and_the_cases_last(folder):
    StudyStore(folder).add_raters(20)
    query = (
        "SELECT rater, part, method, truth, question, screens.pictures FROM screens"
        " JOIN questions ON questions.id = question ORDER BY rater, place"
    )
    screens = rows(folder, query)
    firsts, positions = set(), set()
    for rater in {row[0] for row in screens}:
        mine = [row for row in screens if row[0] == rater]
        assert [row[1] for row in mine] == ["judge"] * 6 * PICTURES + ["choose"] * PICTURES
        rounds = list(dict.fromkeys(row[2] for row in mine))
        assert [row[2] for row in mine] == [
            method for method in rounds for _ in range(2 * PICTURES if method else PICTURES)
        ]
        firsts.add((rounds[0], mine[0][3]))
        for row in mine:
            shown = row[5].split()
            assert len(shown) == (1 if row[1] == "judge" else 3)
            makers = [
                rows(folder, "SELECT method FROM pictures WHERE id = ?", name)[0][0]
                for name in shown
            ]
            if row[1] == "choose":
                assert sorted(makers) == sorted(METHODS)
                positions.add(makers.index("pcdms"))
    assert len(firsts) > 3  # 20 raters of 6 possible beginnings
    assert positions == {0, 1, 2}


def test_a_closed_page_and_a_new_server_go_on_where_the_rater_was(folder):
    with serving(folder) as (server, tokens):
        first, _ = question_of(ask(server, "GET", f"/{tokens[0]}/question")[2])
        assert post(server, tokens[0], first, "real") == 303
        second, _ = question_of(ask(server, "GET", f"/{tokens[0]}/question")[2])
    with serving(folder, raters=3) as (server, again):
        assert again[:2] == tokens
        assert question_of(ask(server, "GET", f"/{tokens[0]}/question")[2])[0] == second
        assert f"Go on with question 2 of {TOTAL}" in ask(server, "GET", f"/{tokens[0]}")[2]
        assert ">Start<" in ask(server, "GET", f"/{tokens[1]}")[2]


def test_a_second_answer_changes_nothing(folder):
    with serving(folder) as (server, (token, other)):
        first, _ = question_of(ask(server, "GET", f"/{token}/question")[2])
        for answer in ("real", "real", "generated", "nonsense"):
            assert post(server, token, first, answer) == 303
        assert rows(folder, ANSWERS) == [("rater-1", first, "real")]
        assert question_of(ask(server, "GET", f"/{token}/question")[2])[0] != first
        page = ask(server, "GET", f"/{other}/question")[2]
        assert "Question 1 of" in page


def test_answers_that_were_not_asked_for_are_refused(folder):
    with serving(folder) as (server, (token, _)):
        question, _ = question_of(ask(server, "GET", f"/{token}/question")[2])
        others = [row[0] for row in rows(folder, "SELECT id FROM questions") if row[0] != question]
        picture = rows(folder, "SELECT id FROM pictures WHERE role = 'candidate'")[0][0]
        wrong = [(question, text) for text in ("", "Real", "real ", "1", picture, "x" * 500)]
        wrong += [(other, "real") for other in others]
        wrong += [("", "real"), ("0" * 16, "real"), ("' OR 1=1 --", "real")]
        assert {post(server, token, *pair) for pair in wrong} == {400}
        assert rows(folder, ANSWERS) == []


def test_a_picture_of_another_case_is_no_answer(folder):
    with serving(folder, raters=1) as (server, (token,)):
        draw = random.Random(0)
        while True:
            question, answers = question_of(ask(server, "GET", f"/{token}/question")[2])
            if answers != ["real", "generated"]:
                break
            assert post(server, token, question, draw.choice(answers)) == 303
        query = "SELECT id FROM pictures WHERE question {} ? AND role = 'candidate'"
        own = {row[0] for row in rows(folder, query.format("="), question)}
        assert set(answers) == own
        foreign = [row[0] for row in rows(folder, query.format("<>"), question)]
        source = rows(
            folder, "SELECT id FROM pictures WHERE question = ? AND role = 'source'", question
        )
        for name in (*foreign, source[0][0], "real", "generated"):
            assert post(server, token, question, name) == 400
        assert post(server, token, question, answers[1]) == 303


def test_a_study_that_lost_a_picture_or_is_none_is_refused_in_one_line(folder, tmp_path):
    name = rows(folder, "SELECT id FROM pictures")[0][0]
    (folder / "pictures" / f"{name}.png").unlink()
    result = call("study", "serve", folder)
    assert (result.exit_code, f"{name}.png" in error_line(result)) == (2, True)
    with closing(sqlite3.connect(folder / "study.sqlite")) as database, database:
        database.execute("UPDATE study SET version = 99")
    assert "has version 99, expected 1" in error_line(call("study", "serve", folder))
    (folder / "study.sqlite").write_bytes(b"no database" * 100)
    assert "cannot be read as a study" in error_line(call("study", "serve", folder))
    assert "holds no study.sqlite" in error_line(call("study", "serve", tmp_path))


def test_an_address_that_cannot_be_used_is_refused_in_one_line(folder):
    with serving(folder) as (server, _):
        port = server.server_address[1]
        line = error_line(call("study", "serve", folder, "--port", port))
    assert f"cannot listen on host '127.0.0.1' port {port}" in line
    for host in ("192.0.2.1", "a" * 70):
        result = call("study", "serve", folder, "--host", host)
        assert result.exit_code == 2
        assert f"cannot listen on host {host!r} port 0" in error_line(result)


def test_a_study_that_cannot_be_read_for_a_while_says_so(folder, capsys):
    with serving(folder) as (server, (token, _)):
        path = folder / "study.sqlite"
        hidden = path.rename(folder / "away")
        assert ask(server, "GET", f"/{token}/question")[0] == 503
        hidden.rename(path)
        assert ask(server, "GET", f"/{token}/question")[0] == 200
    errors = capsys.readouterr().err
    assert "the study cannot be read" in errors
    assert token not in errors


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_ends_the_server_cleanly_with_all_answers_kept(folder, way):
    command = [sys.executable, "-m", "pcdms_bench", "study", "serve", str(folder), "--raters", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        links = [process.stdout.readline() for _ in range(3)]
        found = re.match(r"rater-1: http://127\.0\.0\.1:(\d+)/(\S+)  \(0 of 28", links[0])
        assert found, links
        address = ("127.0.0.1", int(found[1]))
        server = type("Address", (), {"server_address": address})
        question, _ = question_of(ask(server, "GET", f"/{found[2]}/question")[2])
        assert post(server, found[2], question, "real") == 303
        with closing(socket.create_connection(address)):  # a browser's idle connection
            process.send_signal(way)
            out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "rater-1: 1 of 28 answered" in out
    assert rows(folder, ANSWERS) == [("rater-1", question, "real")]
    assert {path.name for path in folder.iterdir()} == {"pictures", "study.sqlite"}
