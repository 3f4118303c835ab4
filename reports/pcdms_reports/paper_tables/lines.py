"""The rows of a comparison: published methods with their measurements, then what stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcdms_reports.paper_tables.measured_rows import MeasuredRow
from pcdms_reports.paper_tables.published_cells import REFERENCES
from pcdms_reports.stage_model import BOUND_SIGN

WHOLE = ("final", "final+refine", "prior+inpaint+refine")
"""Stages that a label need not name."""
ORACLE = "oracle-ssim"


@dataclass(frozen=True)
class Line:
    """One row to be: a method's published name (empty without one) and a measurement, if any."""

    method: str
    measured: MeasuredRow | None

    @property
    def bound(self) -> bool:
        """Return whether the row uses the target itself: shown, never ranked."""
        return self.method in REFERENCES or (self.measured is not None and self.measured.bound)

    @property
    def block(self) -> int:
        """Return which block the row stands in: published, measured only, oracle, bounds."""
        if self.bound:
            return 3
        if self.oracle:
            return 2
        return 0 if self.method else 1

    @property
    def oracle(self) -> bool:
        """Return whether the sample that counts was chosen by the true target."""
        return self.measured is not None and self.measured.selection == ORACLE


def lines_of(methods: Sequence[str], measured: Sequence[MeasuredRow]) -> list[Line]:
    """Return a line for each published method and measurement of it, in the order of `methods`.

    A method that was not measured has one line; measured ones that nobody published follow.
    """
    lines: list[Line] = []
    taken: list[MeasuredRow] = []
    for method in methods:
        own = [row for row in measured if _letters(row.method) == _letters(method)]
        found = [Line(method, row) for row in own]
        # An oracle's rows stand apart, so a method needs a row of its own among the others.
        free = [line for line in found if not line.oracle]
        lines += [*(free or [Line(method, None)]), *(line for line in found if line.oracle)]
        taken += own
    rest = [Line("", row) for row in measured if row not in taken]
    return sorted([*lines, *rest], key=lambda line: line.block)


def label_of(line: Line, lines: Sequence[Line]) -> str:
    """Return the shortest name that tells the row from the others."""
    sign = BOUND_SIGN if line.bound else ""
    row = line.measured
    if row is None:
        return line.method + sign
    label = line.method or row.method
    if row.stages not in WHOLE:
        label += f" ({row.stages})"
    label += ", oracle" if line.oracle else ""
    own = row.method, row.stages, row.making
    others = [other.measured for other in lines if other.measured is not None]
    if sum((other.method, other.stages, other.making) == own for other in others) > 1:
        label += f" [{row.run}]"
    return label + sign


def _letters(name: str) -> str:
    """Return what two spellings of a method have in common: case and dashes aside."""
    return "".join(sign for sign in name.lower() if sign.isalnum())
