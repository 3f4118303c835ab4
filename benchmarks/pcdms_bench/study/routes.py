"""What the study's server answers to a request; knows no sockets.

Only the addresses in this file exist. A request names a rater by the token in its path and a
picture by its id: both are looked up in tables that are filled once, and no text of a request ever
becomes part of a file name.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from pcdms_bench.study.making import PICTURES
from pcdms_bench.study.pages import (
    end_page,
    problem_page,
    question_page,
    script,
    start_page,
    style_sheet,
)
from pcdms_bench.study.store import StudyStore
from pcdms_data.types import InputError

HTML, CSS, SCRIPT, PNG = (
    "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8",
    "image/png",
)  # fmt: skip
FORM = "application/x-www-form-urlencoded"
PLACE = re.compile(r"/(?P<token>[A-Za-z0-9_-]{32})(?P<rest>/[a-z]+)?(?:/(?P<id>[0-9a-f]{16}))?")


@dataclass(frozen=True)
class Response:
    """One answer of the server; `location` is the address of a redirection."""

    status: int
    kind: str
    content: bytes
    location: str = ""


class StudyRoutes:
    """The study in `folder`, for the raters that it has now."""

    def __init__(self, folder: Path) -> None:
        self._store = StudyStore(folder)
        self._raters = [(token.encode(), rater) for rater, token in self._store.tokens().items()]
        self._pictures = {
            name: folder / PICTURES / f"{name}.png" for name in self._store.picture_ids()
        }
        lost = [path for path in self._pictures.values() if not path.is_file()]
        if lost:
            raise InputError(f"{len(lost)} pictures of the study are gone, the first is {lost[0]}")
        self._files = {
            "/study.css": Response(200, CSS, style_sheet(self._store.frame)),
            "/study.js": Response(200, SCRIPT, script()),
        }
        self._methods = self._store.method_count()

    def get(self, path: str) -> Response:
        """Answer a GET request for `path`, as it stands in the request."""
        if path in self._files:
            return self._files[path]
        place, rater = self._find(path)
        if place is None or rater is None:
            return not_found()
        rest, picture = place["rest"], place["id"]
        if rest == "/picture" and picture in self._pictures:
            return Response(200, PNG, self._pictures[picture].read_bytes())
        if picture is not None:
            return not_found()
        if rest is None:
            done, total = self._store.progress()[rater]
            page = start_page(place["token"], done, total, self._methods)
            return Response(200, HTML, page if done < total else end_page(total))
        if rest == "/question":
            return self._question(place["token"], rater)
        return not_found()

    def post(self, path: str, kind: str, body: bytes) -> Response:
        """Answer a POST request: an answer of a rater, then on to the next question."""
        place, rater = self._find(path)
        if place is None or rater is None or place["rest"] != "/answer" or place["id"]:
            return not_found()
        if kind.partition(";")[0].strip().lower() != FORM:
            return problem(415, "An answer comes as a form.")
        fields = form_fields(body)
        if fields is None:
            return problem(400, "This is no answer to a question.")
        if self._store.answer(rater, fields["question"], fields["answer"]) == "refused":
            return problem(400, "This question is not the present one, or it has no such answer.")
        return Response(303, HTML, b"", f"/{place['token']}/question")

    def _question(self, token: str, rater: str) -> Response:
        screen = self._store.screen(rater)
        if screen is None:
            return Response(200, HTML, end_page(self._store.progress()[rater][1]))
        return Response(200, HTML, question_page(token, screen, self._store.frame))

    def _find(self, path: str) -> tuple[re.Match[str] | None, str | None]:
        """Return the parts of `path` and the rater of its token, None where there is none.

        All tokens are compared, each in constant time: how long it takes says nothing.
        """
        place = PLACE.fullmatch(path)
        if place is None:
            return None, None
        given = place["token"].encode()
        found = [rater for token, rater in self._raters if hmac.compare_digest(token, given)]
        return place, found[0] if found else None


def form_fields(body: bytes) -> dict[str, str] | None:
    """Return the fields `question` and `answer` of a form, None unless it has these two once."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=2,
        )  # fmt: skip
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(pairs) == 2 and fields.keys() == {"question", "answer"} else None


def not_found() -> Response:
    """Return the answer to every address that does not exist, whatever is wrong with it."""
    return problem(404, "This address does not exist. Use the link that you were given.")


def problem(status: int, message: str) -> Response:
    """Return a page that says what is wrong; nothing of the request stands in it."""
    return Response(status, HTML, problem_page(message))
