"""Make a study folder: pictures under names that say nothing, and the questions in SQLite."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.progress import Advance
from pcdms_bench.study.competitors import Competitor
from pcdms_bench.study.questions import Questions
from pcdms_data.images import Pixels, load_picture, save_picture
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import InputError, Pair
from pcdms_reports.study_file import CHOOSE, FILE, GENERATED, JUDGE, REAL, SCHEMA, VERSION

PICTURES = "pictures"


@dataclass(frozen=True)
class _Question:
    """One question before it has a name."""

    part: str
    method: str
    truth: str
    pair: Pair


def picture_count(questions: Questions, competitors: Sequence[Competitor]) -> int:
    """Return how many picture files the study will have."""
    methods = len(competitors)
    return 2 * methods * len(questions.generated) + (2 + methods) * len(questions.cases)


def make_study(
    out: Path,
    competitors: Sequence[Competitor],
    questions: Questions,
    seed: int,
    advance: Advance,
) -> None:
    """Leave `out/study.sqlite` and `out/pictures/<id>.png`; `out` appears only when it is whole.

    Every picture is decoded, brought to the frame of the runs and written anew, so that all have
    one size and one encoder. Ids are random, do not follow from the seed, and no two questions
    share one: neither a name nor a file says what a picture is. Raises InputError where `out` is
    there and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already, expected a new or empty folder for the study")
    spec = competitors[0].spec
    with _whole(out.resolve()) as place:
        (place / PICTURES).mkdir()
        path = place / FILE
        with closing(sqlite3.connect(path)) as database, database:
            path.chmod(0o600)  # it will hold the raters' tokens
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)
            database.execute(
                "INSERT INTO study VALUES (?, ?, ?, ?, ?, ?)",
                (VERSION, spec.dataset, spec.split, *spec.frame, seed),
            )
            database.executemany(
                "INSERT INTO methods VALUES (?, ?, ?, ?)",
                [(i, one.method, one.folder.name, one.stage) for i, one in enumerate(competitors)],
            )
            for question in _questions(competitors, questions):
                _write_question(database, place, question, competitors, advance)


def _questions(competitors: Sequence[Competitor], drawn: Questions) -> Iterator[_Question]:
    for one in competitors:
        for pair in drawn.real[one.method]:
            yield _Question(JUDGE, one.method, REAL, pair)
        for pair in drawn.generated:
            yield _Question(JUDGE, one.method, GENERATED, pair)
    for pair in drawn.cases:
        yield _Question(CHOOSE, "", "", pair)


def _write_question(
    database: sqlite3.Connection,
    place: Path,
    question: _Question,
    competitors: Sequence[Competitor],
    advance: Advance,
) -> None:
    """Store one question and its pictures."""
    name = _new_id()
    database.execute(
        "INSERT INTO questions VALUES (?, ?, ?, ?, ?)",
        (name, question.part, question.method, question.truth, question.pair.pair_id),
    )
    for role, method, pixels in _pictures(question, competitors):
        picture = _new_id()
        save_picture(place / PICTURES / f"{picture}.png", pixels)
        database.execute("INSERT INTO pictures VALUES (?, ?, ?, ?)", (picture, name, role, method))
        advance()


def _pictures(
    question: _Question, competitors: Sequence[Competitor]
) -> Iterator[tuple[str, str, Pixels]]:
    """Yield (role, method, pixels) of the pictures of one question, all in the runs' frame."""
    frame, pair = competitors[0].spec.frame, question.pair
    if question.truth == REAL:
        yield "judged", "", load_picture(pair.target, frame)
        return
    made = [one for one in competitors if question.part == CHOOSE or one.method == question.method]
    if question.part == CHOOSE:
        pose = pair.target_pose.resized(frame)
        yield "source", "", load_picture(pair.source, frame)
        yield "pose", "", draw_pose(pose.xy, pose.visible, frame, frame)
    role = "candidate" if question.part == CHOOSE else "judged"
    for one in made:
        yield role, one.method, load_picture(one.picture(pair.pair_id), frame)


def _new_id() -> str:
    """Return a name of 16 hex digits that nobody can guess or compute."""
    return secrets.token_hex(8)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out` at the end, or goes away after an error."""
    place = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    place.mkdir(parents=True)
    try:
        yield place
        if out.is_dir():
            out.rmdir()  # empty
        place.rename(out)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
