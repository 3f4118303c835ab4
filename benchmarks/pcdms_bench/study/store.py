"""A study that is being answered: its raters, the order of each, and the answers, in SQLite.

Every call opens a connection of its own, so that each thread of the server has one; the write-ahead
log lets raters answer at the same time.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pcdms_data.types import InputError
from pcdms_reports.records import RecordError
from pcdms_reports.study_file import FILE, GENERATED, JUDGE, REAL, check_version, progress_of

NO_ROUND = ""
"""The method of questions that belong to no method's round: the cases to choose in."""
WAIT_S = 10.0
"""How long a thread waits for another one that is writing."""


@dataclass(frozen=True)
class Screen:
    """What a rater sees next. Nothing in it says what a picture is or who made it."""

    question: str
    part: str
    place: int
    """Number of questions answered before."""
    total: int
    choices: tuple[str, ...]
    """Ids of the pictures to judge (one) or to choose from, in this rater's order."""
    source: str = ""
    pose: str = ""


class StudyStore:
    """The study in the folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        if not self.path.is_file():
            raise InputError(f"{folder} holds no {FILE}, expected a folder of `study make`")
        try:
            with self._open() as database:
                check_version(database, self.path)
                height, width = database.execute("SELECT height, width FROM study").fetchone()
        except sqlite3.Error as error:
            raise RecordError(f"{self.path} cannot be read as a study: {error}") from None
        self.frame: tuple[int, int] = (height, width)

    def picture_ids(self) -> list[str]:
        """Return the ids of all pictures."""
        with self._open() as database:
            return [str(row[0]) for row in database.execute("SELECT id FROM pictures")]

    def method_count(self) -> int:
        """Return how many methods the study compares."""
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM methods").fetchone()[0])

    def add_raters(self, count: int) -> None:
        """Make sure of at least `count` raters; each new one gets a token and an own order."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            there = database.execute("SELECT count(*) FROM raters").fetchone()[0]
            for number in range(there + 1, count + 1):
                _add_rater(database, f"rater-{number}")
            database.execute("COMMIT")

    def tokens(self) -> dict[str, str]:
        """Return {rater: token} in the order in which the raters were added."""
        with self._open() as database:
            rows = database.execute("SELECT name, token FROM raters ORDER BY rowid")
            return {str(name): str(token) for name, token in rows}

    def progress(self) -> dict[str, tuple[int, int]]:
        """Return {rater: (questions answered, questions asked)}."""
        with self._open() as database:
            return progress_of(database)

    def screen(self, rater: str) -> Screen | None:
        """Return the first question that a rater has not answered; None at the end."""
        with self._open() as database:
            return _next_screen(database, rater)

    def answer(self, rater: str, question: str, answer: str) -> Literal["new", "known", "refused"]:
        """Store an answer to the question that the rater is at.

        A question answered before keeps its first answer (`known`). Another question than the
        present one, or an answer that it does not offer, is `refused`.
        """
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                state = _store(database, rater, question, answer)
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        return state

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in which transactions are begun and ended by hand."""
        uri = f"{self.path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, WAIT_S, isolation_level=None, uri=True)) as database:
            database.execute("PRAGMA foreign_keys = ON")
            yield database


def _store(
    database: sqlite3.Connection, rater: str, question: str, answer: str
) -> Literal["new", "known", "refused"]:
    known = database.execute(
        "SELECT 1 FROM answers WHERE rater = ? AND question = ?", (rater, question)
    )
    if known.fetchone():
        return "known"
    screen = _next_screen(database, rater)
    if screen is None or screen.question != question or answer not in offered(screen):
        return "refused"
    database.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?)",
        (rater, question, answer, datetime.now(UTC).isoformat(timespec="seconds")),
    )
    return "new"


def offered(screen: Screen) -> tuple[str, ...]:
    """Return the answers that a screen accepts."""
    return (REAL, GENERATED) if screen.part == JUDGE else screen.choices


def _next_screen(database: sqlite3.Connection, rater: str) -> Screen | None:
    row = database.execute(
        "SELECT screens.question, part, pictures FROM screens"
        " JOIN questions ON questions.id = screens.question"
        " LEFT JOIN answers ON answers.rater = screens.rater AND"
        " answers.question = screens.question"
        " WHERE screens.rater = ? AND answers.answer IS NULL ORDER BY place LIMIT 1",
        (rater,),
    ).fetchone()
    if row is None:
        return None
    question, part, pictures = row
    done, total = progress_of(database)[rater]
    given = dict(
        database.execute(
            "SELECT role, id FROM pictures WHERE question = ? AND role IN ('source', 'pose')",
            (question,),
        ).fetchall()
    )
    return Screen(question, part, done, total, tuple(pictures.split()), **given)


def _add_rater(database: sqlite3.Connection, name: str) -> None:
    database.execute("INSERT INTO raters VALUES (?, ?)", (name, secrets.token_urlsafe(24)))
    rows = database.execute(
        "SELECT questions.id, questions.method, pictures.id FROM questions"
        " JOIN pictures ON pictures.question = questions.id"
        " WHERE role IN ('judged', 'candidate') ORDER BY questions.rowid, pictures.rowid"
    ).fetchall()
    screens = _shuffled(rows)
    database.executemany(
        "INSERT INTO screens VALUES (?, ?, ?, ?)",
        [(name, place, question, shown) for place, (question, shown) in enumerate(screens)],
    )


def _shuffled(rows: Sequence[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return (question, its pictures as shown) in a new order, from (question, method, id).

    The methods' rounds come one after another in any order, shuffled within, then the cases: these
    show sources, which are real, and so have to come last. The order is drawn from the system and
    not from the seed: nobody who knows seed and code can tell what comes when.
    """
    draw = random.SystemRandom()
    rounds: dict[str, dict[str, list[str]]] = {}
    for question, method, picture in rows:
        group = rounds.setdefault(method, {})
        group.setdefault(question, []).append(picture)
    cases = rounds.pop(NO_ROUND, {})
    groups = list(rounds.values())
    draw.shuffle(groups)
    screens = []
    for group in (*groups, cases):
        questions = list(group)
        draw.shuffle(questions)
        for question in questions:
            shown = group[question]
            draw.shuffle(shown)
            screens.append((question, " ".join(shown)))
    return screens
