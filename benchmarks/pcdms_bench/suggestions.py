"""Names a user may give: refuse an unknown one in a single line that helps."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """Return the choice most like `value`, or None when nothing is close."""
    found = get_close_matches(value.lower(), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(what: str, value: str, choices: Iterable[str], where: str = "") -> str:
    """Return the one line that refuses `value`: what it is, the choices and the nearest of them."""
    names = list(choices)
    close = nearest(value, names)
    hint = f" (did you mean {close!r}?)" if close else ""
    place = f" in {where}" if where else ""
    return f"unknown {what} {value!r}{place}{hint}: expected one of {', '.join(names)}"


def check_choice(what: str, value: str, choices: Iterable[str], where: str = "") -> str:
    """Return `value` when it is one of `choices`; raises InputError with one line otherwise."""
    names = list(choices)
    if value in names:
        return value
    from pcdms_data.types import InputError  # here, so that the command line starts without NumPy

    raise InputError(unknown(what, value, names, where))


def split_names(
    what: str, text: str, choices: Iterable[str], usual: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Return the comma-separated names of `text`, each once, in order.

    `all`, alone or among names, means the `usual` choices; by default all of them.
    """
    names = list(choices)
    every = names if usual is None else list(usual)
    given = [part.strip() for part in text.split(",") if part.strip()]
    parts = [name for part in given for name in (every if part == "all" else [part])]
    if not parts:
        from pcdms_data.types import InputError

        raise InputError(f"no {what} given: expected one or more of {', '.join(names)}, or all")
    return tuple(dict.fromkeys(check_choice(what, part, names) for part in parts))
