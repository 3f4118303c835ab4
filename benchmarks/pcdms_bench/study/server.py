"""The study's web server: the standard library's, with limits on what it accepts."""

from __future__ import annotations

import ipaddress
import socket
import sqlite3
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from pcdms_bench.study.routes import Response, StudyRoutes, problem

LONGEST_PATH = 200
LARGEST_BODY = 1024
"""Bytes; an answer has about 60."""
DRAINED = 1 << 20
"""Bytes of a refused body that are still read, so that the sender gets to see the refusal."""
PATIENCE_S = 15.0
"""Seconds without a byte after which a connection is closed."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
"""Of every response. The token stands in the address, so no address may leave by a referrer."""


class StudyServer(ThreadingHTTPServer):
    """Serves one study; a thread for each connection, which ends after one response."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.routes = StudyRoutes(folder)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the server."""
        return ipaddress.ip_address(str(self.server_address[0])).is_loopback

    def address(self, token: str) -> str:
        """Return the link of a rater."""
        host, port = str(self.server_address[0]), self.server_address[1]
        if ipaddress.ip_address(host).is_unspecified:
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{token}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Note an error, but no client that went away; a trace could hold a token."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            sys.stderr.write(f"a request failed: {type(error).__name__}\n")


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    server_version = "pcdms-study"
    sys_version = ""
    timeout: ClassVar[float] = PATIENCE_S

    def do_GET(self) -> None:
        """Send a page or a picture."""
        if self._allowed():
            self._answer(lambda: self.server.routes.get(self.path))

    def do_POST(self) -> None:
        """Take an answer."""
        if not self._allowed():
            return
        body = self._body()
        if body is not None:
            kind = self.headers.get("Content-Type", "")
            self._answer(lambda: self.server.routes.post(self.path, kind, body))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a refusal of the standard library in our words; nothing of the request returns."""
        status = 405 if code == HTTPStatus.NOT_IMPLEMENTED else int(code)
        self.close_connection = True
        self.request_version = "HTTP/1.0"  # unset where the first line is nonsense
        self._send(problem(status, "The server does not understand this request."))

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the standard log would hold the tokens."""

    def _answer(self, make: Callable[[], Response]) -> None:
        try:
            response = make()
        except (sqlite3.Error, OSError) as error:
            sys.stderr.write(f"the study cannot be read: {error}\n")
            response = problem(503, "The study cannot be read at the moment. Please try again.")
        self._send(response)

    def _allowed(self) -> bool:
        if len(self.path) <= LONGEST_PATH:
            return True
        self._send(problem(414, "This address is too long."))
        return False

    def _body(self) -> bytes | None:
        """Return the body of a request; None after a refusal."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._send(problem(411, "An answer needs a Content-Length."))
            return None
        size = int(length) if len(length) < 8 else DRAINED
        if size > LARGEST_BODY:
            self._drain(size)
            self._send(problem(413, "An answer is not that long."))
            return None
        return self.rfile.read(size)

    def _drain(self, length: int) -> None:
        left = min(length, DRAINED)
        while left > 0 and (got := self.rfile.read(min(left, 1 << 16))):
            left -= len(got)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if response.location:
            self.send_header("Location", response.location)
        if response.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, POST")
        self.send_header("Content-Type", response.kind)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content)
