"""Progress of long work: a bar on a terminal, otherwise one line a minute. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

import rich.console
import rich.progress

LINE_EVERY_S = 60.0


class State(Protocol):
    """Called with how many items of how many are finished, and a short note to show."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show the state of one task."""


class Advance(Protocol):
    """Called with the number of items finished since the last call."""

    def __call__(self, count: int = 1) -> None:
        """Count `count` more items as finished."""


class Progress:
    """Context that shows tasks one after another; `silent` shows nothing at all."""

    def __init__(self, silent: bool = False) -> None:
        self._silent = silent
        self._bar: _Bar | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        """Open the bar where stderr is a terminal."""
        if not self._silent and sys.stderr.isatty():
            self._bar = _Bar()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar and leave its last state on the screen."""
        if self._bar:
            self._bar.close()

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        """Show one task of `total` items; yields the function that counts them."""
        state = self.follow(title)
        done = 0
        state(0, total)

        def advance(count: int = 1) -> None:
            nonlocal done
            done += count
            state(done, total)

        yield advance

    def follow(self, title: str) -> State:
        """Return a function to call with (done, total); its task appears at the first call."""
        started = time.monotonic()
        number: int | None = None

        def state(done: int, total: int, note: str = "") -> None:
            nonlocal number
            now = time.monotonic()
            if self._bar:
                number = self._bar.start(title, total) if number is None else number
                self._bar.move(number, done, total, now - started, note)
            elif not self._silent and now - self._last_line >= LINE_EVERY_S:
                self._last_line = now
                self._write(state_line(title, done, total, now - started, note))

        return state

    @staticmethod
    def _write(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def silence_libraries() -> None:
    """Switch off the progress bars of transformers and diffusers: ours is the only one."""
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def state_line(title: str, done: int, total: int, elapsed: float, note: str = "") -> str:
    """Return `title: done/total, rate, time left, note` for `elapsed` seconds of work."""
    rate = done / elapsed if elapsed > 0 else 0.0
    left = f"{(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
    return ", ".join(
        part for part in (f"{title}: {done}/{total}", f"{rate:.2f}/s", left, note) if part
    )


class _Bar:
    """The bars on the terminal: title, bar, count, rate, time left."""

    def __init__(self) -> None:
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<28}"),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(),
            console=rich.console.Console(stderr=True),
        )
        self._progress.start()

    def start(self, title: str, total: int) -> int:
        return int(self._progress.add_task(title, total=total, rate=""))

    def move(self, number: int, done: int, total: int, elapsed: float, note: str) -> None:
        rate = f"{done / elapsed:.1f}/s" if elapsed > 0 and done else ""
        self._progress.update(
            rich.progress.TaskID(number),
            completed=done,
            total=total,
            rate=" ".join((rate, note)).strip(),
        )
        if done >= total:
            self._progress.stop_task(rich.progress.TaskID(number))

    def close(self) -> None:
        self._progress.stop()
