"""The contract of `study.sqlite`: the questions of a user study, its raters and their answers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pcdms_reports.records import RecordError

FILE = "study.sqlite"
VERSION = 1
JUDGE, CHOOSE = "judge", "choose"
"""Parts of a study: is this one picture real, and which method's picture is the best."""
REAL, GENERATED = "real", "generated"
"""What a picture to judge is, and what a rater may say that it is."""

SCHEMA = """
CREATE TABLE study (
    version INTEGER NOT NULL, dataset TEXT NOT NULL, split TEXT NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL, seed INTEGER NOT NULL
);
CREATE TABLE methods (
    place INTEGER PRIMARY KEY, method TEXT NOT NULL UNIQUE, run TEXT NOT NULL, stage TEXT NOT NULL
);
CREATE TABLE questions (
    id TEXT PRIMARY KEY, part TEXT NOT NULL CHECK (part IN ('judge', 'choose')),
    method TEXT NOT NULL, truth TEXT NOT NULL CHECK (truth IN ('real', 'generated', '')),
    pair TEXT NOT NULL
);
CREATE TABLE pictures (
    id TEXT PRIMARY KEY, question TEXT NOT NULL REFERENCES questions (id),
    role TEXT NOT NULL CHECK (role IN ('judged', 'source', 'pose', 'candidate')),
    method TEXT NOT NULL
);
CREATE TABLE raters (name TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE);
CREATE TABLE screens (
    rater TEXT NOT NULL REFERENCES raters (name), place INTEGER NOT NULL,
    question TEXT NOT NULL REFERENCES questions (id), pictures TEXT NOT NULL,
    PRIMARY KEY (rater, place), UNIQUE (rater, question)
);
CREATE TABLE answers (
    rater TEXT NOT NULL REFERENCES raters (name), question TEXT NOT NULL REFERENCES questions (id),
    answer TEXT NOT NULL, answered_at TEXT NOT NULL, PRIMARY KEY (rater, question)
);
"""
"""A question of part `judge` belongs to the round of a `method` and has one picture; `truth` is
what it is. A question of part `choose` has a source, a pose and a candidate per method. `screens`
is the order in which a rater sees the questions, from 0, and the blank-separated picture ids that
can be chosen on each, in the order shown. An `answer` is `real`, `generated` or a picture id."""


@dataclass(frozen=True)
class Judgement:
    """One rater on one picture of one method's round."""

    rater: str
    question: str
    method: str
    real: bool
    """Whether the picture is a real one."""
    said_real: bool


@dataclass(frozen=True)
class Choice:
    """One rater on one case: the method whose picture was preferred."""

    rater: str
    question: str
    method: str


@dataclass(frozen=True)
class StudyAnswers:
    """Everything that was answered in a study."""

    dataset: str
    split: str
    frame: tuple[int, int]
    """(H, W) of the pictures in pixels."""
    methods: tuple[str, ...]
    progress: dict[str, tuple[int, int]]
    """Rater -> number of questions answered, and asked."""
    judgements: tuple[Judgement, ...]
    choices: tuple[Choice, ...]


def read_study(folder: Path) -> StudyAnswers:
    """Return the answers stored in the study folder `folder`; a server may be running on it.

    Raises RecordError where there is no study, or one of another version or with wrong content.
    """
    path = folder / FILE
    if not path.is_file():
        raise RecordError(f"{folder} holds no {FILE}, expected a folder of `study make`")
    try:
        # Not read-only: after a server that was killed SQLite first has to bring back its log.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
            return _read(database, path)
    except sqlite3.Error as error:
        raise RecordError(f"{path} cannot be read as a study: {error}") from None


def check_version(database: sqlite3.Connection, path: Path) -> None:
    """Raise RecordError unless `database` is a study of this version."""
    (version,) = database.execute("SELECT version FROM study").fetchone() or (None,)
    if version != VERSION:
        raise RecordError(f"{path} has version {version}, expected {VERSION}: make the study anew")


def progress_of(database: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return {rater: (questions answered, questions asked)} in the order the raters were added."""
    rows = database.execute(
        "SELECT name, (SELECT count(*) FROM answers WHERE rater = name),"
        " (SELECT count(*) FROM screens WHERE rater = name) FROM raters ORDER BY raters.rowid"
    )
    return {str(name): (int(done), int(asked)) for name, done, asked in rows}


def _read(database: sqlite3.Connection, path: Path) -> StudyAnswers:
    check_version(database, path)
    dataset, split, height, width = database.execute(
        "SELECT dataset, split, height, width FROM study"
    ).fetchone()
    judged = database.execute(
        "SELECT rater, questions.id, method, truth, answer FROM answers"
        " JOIN questions ON questions.id = question WHERE part = 'judge'"
        " ORDER BY rater, questions.rowid"
    ).fetchall()
    chosen = database.execute(
        "SELECT rater, questions.id, pictures.method, role, answer FROM answers"
        " JOIN questions ON questions.id = answers.question"
        " LEFT JOIN pictures ON pictures.id = answer AND pictures.question = questions.id"
        " WHERE part = 'choose' ORDER BY rater, questions.rowid"
    ).fetchall()
    wrong = [row for row in judged if row[4] not in (REAL, GENERATED)]
    wrong += [row for row in chosen if row[3] != "candidate"]
    if wrong:
        raise RecordError(
            f"{path}: {wrong[0][0]} answered {wrong[0][4]!r} to question {wrong[0][1]}, expected "
            "real, generated or the id of a candidate"
        )
    methods = database.execute("SELECT method FROM methods ORDER BY place")
    return StudyAnswers(
        dataset=dataset,
        split=split,
        frame=(height, width),
        methods=tuple(str(row[0]) for row in methods),
        progress=progress_of(database),
        judgements=tuple(
            Judgement(rater, question, method, truth == REAL, answer == REAL)
            for rater, question, method, truth, answer in judged
        ),
        choices=tuple(Choice(rater, question, method) for rater, question, method, _, _ in chosen),
    )
