"""A finished table, whatever it is about: rows, columns and cells as every format shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Number:
    """One number as it is printed. Every format shows the same `text`, digit by digit.

    `spread` is its interval in words (`± 0.0110`, or `[-0.12, -0.09]`), `low` and `high` the same
    as numbers; `sign` stands before the digits (`~` for an indicative value). `rank` is 1 (best of
    what may be compared), 2 (second best) or 0. `mark` is a letter of `Table.marks`: by what this
    number was made, where one column holds numbers of several makings. `notes` are numbers into
    `Table.footnotes`.
    """

    text: str
    value: float
    spread: str = ""
    low: float | None = None
    high: float | None = None
    sign: str = ""
    rank: int = 0
    mark: str = ""
    notes: tuple[int, ...] = ()

    @property
    def shown(self) -> str:
        """Return sign, digits and interval in one string."""
        return f"{self.sign}{self.text} {self.spread}".strip()


@dataclass(frozen=True)
class Cell:
    """What stands in one place: numbers (several where sources disagree), or else words.

    `status` says why there is no number: `absent`, `unavailable`, `failed`, `not-recorded`; it is
    empty for numbers and for columns of words. `notes` belong to the words; numbers have their own.
    """

    numbers: tuple[Number, ...] = ()
    text: str = ""
    status: str = ""
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column. `group` is what several neighbouring columns have in common, such as a metric."""

    heading: str
    group: str = ""
    numeric: bool = True
    meaning: str = ""

    @property
    def title(self) -> str:
        """Return group and heading in one string."""
        return f"{self.group} {self.heading}".strip()


@dataclass(frozen=True)
class Row:
    """One row. Rows of another `block` stand apart; a `muted` row is shown but never ranked."""

    label: str
    cells: tuple[Cell, ...]
    block: int = 0
    muted: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """A finished table. `name` is for labels and file names, `head` titles the rows' labels.

    `marks` = (letter, what it stands for); `legend` explains signs; `footnotes[i]` has number
    i + 1.
    """

    name: str
    caption: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    marks: tuple[tuple[str, str], ...] = ()
    legend: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a ragged table, and a mark or footnote number that leads nowhere."""
        letters = {letter for letter, _ in self.marks} | {""}
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"{self.name}: row {row.label!r} has {len(row.cells)} cells, expected "
                    f"{len(self.columns)}"
                )
            if any(cell.numbers and cell.notes for cell in row.cells):
                raise ValueError(f"{self.name}: row {row.label!r}: notes beside a number's own")
            for mark, notes in _led_to(row):
                if mark not in letters or not all(1 <= n <= len(self.footnotes) for n in notes):
                    raise ValueError(
                        f"{self.name}: row {row.label!r}: mark {mark!r} or footnote {notes} leads "
                        "nowhere"
                    )

    def in_reading_order(self) -> Table:
        """Return the table with marks and footnotes numbered as a reader meets them.

        Footnotes that no cell leads to, such as on a column that was left out, come last.
        """
        notes: dict[int, None] = {}
        letters: dict[str, None] = {}
        for row in self.rows:
            for mark, numbers in _led_to(row):
                letters |= dict.fromkeys([mark] if mark else [])
                notes |= dict.fromkeys(numbers)
        notes |= dict.fromkeys(range(1, len(self.footnotes) + 1))
        note = {old: new for new, old in enumerate(notes, start=1)}
        letter = dict(zip(letters, Marks.LETTERS, strict=False)) | {"": ""}
        meanings = dict(self.marks)
        rows = tuple(_renumbered(row, letter, note) for row in self.rows)
        marks = tuple((letter[old], meanings[old]) for old in letters)
        footnotes = tuple(self.footnotes[old - 1] for old in notes)
        return replace(self, rows=rows, marks=marks, footnotes=footnotes)

    def with_row_notes(self) -> Table:
        """Return the table with what is said of every number of a row said at its label."""
        return replace(self, rows=tuple(map(_noted_once, self.rows)))


def _noted_once(row: Row) -> Row:
    numbers = [number for cell in row.cells for number in cell.numbers]
    shared = {number.notes for number in numbers}
    if len(numbers) < 2 or len(shared) > 1:
        return row
    cells = tuple(
        replace(cell, numbers=tuple(replace(number, notes=()) for number in cell.numbers))
        for cell in row.cells
    )
    return replace(row, cells=cells, notes=row.notes + shared.pop())


def _led_to(row: Row) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (mark, footnotes) of everything in a row, from left to right."""
    yield "", row.notes
    for cell in row.cells:
        for number in cell.numbers:
            yield number.mark, number.notes
        yield "", cell.notes


def _renumbered(row: Row, letter: dict[str, str], note: dict[int, int]) -> Row:
    def notes(old: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(note[number] for number in old))

    cells = tuple(
        replace(
            cell,
            notes=notes(cell.notes),
            numbers=tuple(
                replace(number, mark=letter[number.mark], notes=notes(number.notes))
                for number in cell.numbers
            ),
        )
        for cell in row.cells
    )
    return replace(row, cells=cells, notes=notes(row.notes))


_SUPERSCRIPTS = str.maketrans(
    "0123456789abcdefghijklmnoprstuvwxyz", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ"
)


def superscript(text: str) -> str:
    """Return digits and letters as superscript characters."""
    return text.translate(_SUPERSCRIPTS)


def words(text: str, status: str = "", notes: Sequence[int] = ()) -> Cell:
    """Return a cell without a number."""
    return Cell(text=text, status=status, notes=tuple(notes))


ABSENT = Cell(text="–", status="absent")
"""Nobody measured this; the legend of the table says so."""


class Footnotes:
    """Numbers each distinct footnote once, in order of first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """Return the number of `text`."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1

    def numbers(self, *texts: str) -> tuple[int, ...]:
        """Return the numbers of those texts that say something."""
        return tuple(dict.fromkeys(self.number(text) for text in texts if text))


class Marks:
    """Gives each distinct making of a number a letter, in order of first use."""

    # No q: it is the one letter that Unicode has no superscript of.
    LETTERS = "abcdefghijklmnoprstuvwxyz"

    def __init__(self) -> None:
        self.meanings: list[str] = []

    def letter(self, meaning: str) -> str:
        """Return the letter of `meaning`; nothing for an empty one."""
        if not meaning:
            return ""
        if meaning not in self.meanings:
            self.meanings.append(meaning)
        return self.LETTERS[self.meanings.index(meaning)]

    @property
    def listed(self) -> tuple[tuple[str, str], ...]:
        """Return (letter, meaning) of all of them."""
        return tuple(zip(self.LETTERS, self.meanings, strict=False))
