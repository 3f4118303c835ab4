"""Running somebody's program: its own environment, limits in time, and the whole group at the end.

The program writes into a file and not into a pipe, so that neither a full pipe nor a process of it
that lives on can block us. It leads a session of its own: at a limit, at an interrupt and after its
end every process of that session is ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PATIENCE = 1800.0
"""Seconds without output and without a new picture after which a program counts as hanging."""
GRACE = 5.0
"""Seconds between the request to end and the end by force."""
LOOK_EVERY, LONGEST_PAUSE = 2.0, 0.25
"""Seconds between two looks at the pictures, and at most between two looks at the program."""
TAIL_LINES, TAIL_LETTERS = 5, 600
_DROPPED = re.compile(
    r"PYTHON.*|VIRTUAL_ENV.*|__PYVENV_LAUNCHER__|UV|UV_.*|GIT_.*|"
    r"(?:GLOBAL_|GROUP_|LOCAL_|ROLE_|NODE_)?RANK|(?:GROUP_|LOCAL_|ROLE_)?WORLD_SIZE|"
    r"MASTER_(?:ADDR|PORT)|TORCHELASTIC_.*|ACCELERATE_.*"
)
"""Variables that would lead the program to our packages, or make it one of our processes."""
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, or the reason `stopped` for which it was stopped."""

    code: int | None
    stopped: str
    tail: str
    """Its last lines of output, as one line."""

    @property
    def text(self) -> str:
        """How it ended, in words."""
        how = self.stopped or f"ended with exit code {self.code}"
        return f"{how}; its last lines: {self.tail or 'none'}"


class StopChildError(Exception):
    """Raised by the function that looks after a program: it is to be stopped, for this reason."""


def run_child(
    command: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    limit: float | None,
    watch: Callable[[], int],
    patience: float = PATIENCE,
) -> Ended:
    """Run a program in `folder` until it ends, its output in the file `log`; return how it ended.

    `watch` is called again and again meanwhile and returns how many pictures are there; it may
    raise `StopChildError`. `limit` seconds end the program, and so do `patience` seconds in which
    neither the log nor that number grows. Whatever happens, an interrupt included, no process of
    the program's session is left. Raises OSError where it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, _ended_by_signals():
        child = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            stopped = _look_after(child, log, limit, patience, watch)
        finally:
            _end_group(child)
    return Ended(child.returncode, stopped, last_lines(log))


def _look_after(
    child: subprocess.Popen[bytes],
    log: Path,
    limit: float | None,
    patience: float,
    watch: Callable[[], int],
) -> str:
    """Wait for the end; return "" or why the program is to be stopped."""
    started = moved = looked = time.monotonic()
    seen, pause = (0, 0), 0.02
    while not _has_ended(child):
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
        now = time.monotonic()
        if limit is not None and now - started >= limit:
            return f"was stopped after {limit:g} s"
        if now - looked < LOOK_EVERY and now - moved < patience:
            continue
        looked = now
        try:
            found = (log.stat().st_size, watch())
        except StopChildError as stop:
            return f"was stopped: {stop}"
        if found != seen:
            seen, moved = found, now
        elif now - moved >= patience:
            return f"was stopped after {patience:g} s without output or a new picture"
    return ""


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Tell whether the child itself has ended, and leave its number taken: the group needs it."""
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End every process of the child's session: a running child politely first."""
    if not _has_ended(child):
        _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not _has_ended(child):
            time.sleep(0.02)
    _signal_group(child, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # a process may hang inside a driver
        child.wait(GRACE)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn the signal to terminate into an exit during the block, so that the child is ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def child_environment(
    interpreter: Path, changes: Mapping[str, str], device: str = ""
) -> dict[str, str]:
    """Return the environment of a program: ours without what belongs to our own interpreter.

    Its interpreter's folder comes first on the path and ours is not on it. `device` `cuda:N` leaves
    it that GPU alone.
    """
    kept = {key: text for key, text in os.environ.items() if not _DROPPED.fullmatch(key)}
    ours = {str(Path(sys.prefix) / "bin"), str(Path(sys.executable).parent)}
    places = [place for place in kept.get("PATH", os.defpath).split(os.pathsep) if place]
    path = [str(interpreter.parent), *(place for place in places if place not in ours)]
    kept |= {"PATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    kind, _, number = device.partition(":")
    if kind == "cuda" and number:
        visible = [part for part in kept.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
        kept["CUDA_VISIBLE_DEVICES"] = visible[int(number)] if visible else number
    return kept | dict(changes)


def last_lines(log: Path) -> str:
    """Return the last lines of a log as one line without control characters, "" where it is empty.

    A progress bar that writes over itself counts with its last state.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16 * TAIL_LETTERS))
        text = _ESCAPE.sub("", file.read().decode("utf-8", "replace"))
    lines = [line.rstrip().rpartition("\r")[2].strip() for line in text.split("\n")]
    shown = ["".join(letter for letter in line if letter.isprintable()) for line in lines if line]
    tail = " | ".join(shown[-TAIL_LINES:])
    return tail if len(tail) <= TAIL_LETTERS else f"...{tail[3 - TAIL_LETTERS :]}"
