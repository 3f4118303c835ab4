"""What is wrong with a dataset that is to be prepared: every finding, not only the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pcdms_data.types import InputError


@dataclass(frozen=True)
class Problem:
    """One finding; `kind` is a short noun by which findings are grouped, `text` one line."""

    kind: str
    text: str


class UnfitError(InputError):
    """A dataset that cannot be prepared; `problems` holds every finding."""

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        counts = Counter(problem.kind for problem in problems)
        found = ", ".join(f"{count} x {kind}" for kind, count in counts.items())
        super().__init__(f"{where} cannot be prepared: {found}; the first: {problems[0].text}")


def listing(problems: Sequence[Problem], most: int) -> str:
    """Return the findings as lines grouped by kind, at most `most` of each kind."""
    groups: dict[str, list[str]] = {}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem.text)
    lines = []
    for kind, texts in groups.items():
        lines.append(f"{kind}: {len(texts)}")
        lines += [f"  {text}" for text in texts[:most]]
        if len(texts) > most:
            lines.append(f"  ... and {len(texts) - most} more")
    return "\n".join(lines)
