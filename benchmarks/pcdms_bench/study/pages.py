"""The pages that a rater sees: one question a screen, plain forms that work without a script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pcdms_bench.study.store import Screen

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_HEIGHT = 384
"""Small pictures are enlarged by a whole factor towards this height, in CSS pixels."""


def style_sheet(frame: tuple[int, int]) -> bytes:
    """Return the style of the pages: that of the reports, and what a question needs beside it.

    All pictures of a study have one `frame` (H, W) and are shown in one size.
    """
    report = files("pcdms_reports").joinpath("templates", "report.css").read_text(encoding="utf-8")
    own = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    height, width = frame
    zoom = max(1, SHOWN_HEIGHT // height)
    size = f":root {{ --picture-width: {width * zoom}px; --ratio: {width / height:.4f}; }}\n"
    return (report + size + own).encode()


def script() -> bytes:
    """Return the script for answering by key."""
    return (TEMPLATES / "study.js").read_bytes()


def start_page(token: str, done: int, total: int, methods: int) -> bytes:
    """Return the page that says what is asked, with a link to the question that comes next."""
    return _render("start.html.j2", token=token, done=done, total=total, choosing=methods > 1)


def question_page(token: str, screen: Screen, frame: tuple[int, int]) -> bytes:
    """Return the page of one question; `frame` is the size (H, W) of its pictures."""
    height, width = frame
    return _render("question.html.j2", token=token, screen=screen, height=height, width=width)


def end_page(total: int) -> bytes:
    """Return the page after the last answer."""
    return _render("end.html.j2", total=total)


def problem_page(message: str) -> bytes:
    """Return the page that says why there is nothing else."""
    return _render("problem.html.j2", message=message)


def _render(name: str, **values: object) -> bytes:
    return _environment().get_template(name).render(values).encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
