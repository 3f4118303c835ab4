"""Published numbers as cells: one source first, others where they disagree, and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pcdms_reports.metric_words import MetricWords
from pcdms_reports.published import NOT_RECORDED, UNKNOWN, PublishedValue
from pcdms_reports.ranking import ranks
from pcdms_reports.table_model import Cell, Footnotes, Marks, Number, words

Making = tuple[str, str]
"""Source and protocol: what a published number shares with those beside it."""


LEADING = "IMAGPose (NeurIPS 2024) Table 1"
"""The one source with PCDMs and its rivals in one table: it leads wherever it has a number."""
REFERENCES = ("Real data",)
"""Published rows that bound the scale and are never ranked."""


@dataclass(frozen=True)
class PublishedCells:
    """The published side of a table.

    `leads[metric]` is the making most numbers of the column share, `kept[method, metric]` the
    values of a cell, the lead's first, `words[making]` a making in words.
    """

    leads: Mapping[str, Making]
    kept: Mapping[tuple[str, str], tuple[PublishedValue, ...]]
    words: Mapping[Making, str]

    def value_for(self, method: str, metric: str, protocol: str) -> PublishedValue | None:
        """Return what a measurement under `protocol` is compared with.

        The value published under that protocol if there is one, else the first of the cell.
        """
        values = self.kept.get((method, metric), ())
        same = [value for value in values if value.protocol == protocol]
        return next(iter([*same, *values]), None)

    def column(
        self,
        metric: str,
        shown: MetricWords,
        notes: Mapping[str, str],
        marks: Marks,
        footnotes: Footnotes,
    ) -> dict[str, Cell]:
        """Return {method: cell} of one metric. `notes` = {method: one more footnote}.

        A number that was not made like the column's lead carries a mark. Best and second best are
        found among the lead's values alone: numbers of two sources, or of two protocols, are never
        ranked against each other.
        """
        lead = self.leads.get(metric)
        own = {method: values for (method, name), values in self.kept.items() if name == metric}
        leading = {
            method: values[0].value
            for method, values in own.items()
            if making_of(values[0]) == lead and method not in REFERENCES
        }
        places = ranks(shown.direction, shown.digits, leading)
        cells = {}
        for method, values in own.items():
            numbers = []
            for place, value in enumerate(values, start=1):
                making = making_of(value)
                mark = "" if making == lead else marks.letter(self.words[making])
                last = notes.get(method, "") if place == len(values) else ""
                notes_of = footnotes.numbers(value.note, last)
                numbers.append(Number(value.text, value.value, mark=mark, notes=notes_of))
            if method in places:
                numbers[0] = replace(numbers[0], rank=places[method])
            cells[method] = Cell(tuple(numbers))
        return cells

    def lead_words(self, titles: Mapping[str, str]) -> str:
        """Return which source leads; `titles` = {metric: heading}, named where sources differ."""
        groups: dict[Making, list[str]] = {}
        for metric, making in self.leads.items():
            groups.setdefault(making, []).append(titles.get(metric, metric))
        if len(groups) == 1:
            return "".join(self.words[making] for making in groups)
        return "; ".join(f"{', '.join(names)}: {self.words[m]}" for m, names in groups.items())


def published_cells(
    values: Sequence[PublishedValue], names: Mapping[str, Sequence[str]]
) -> PublishedCells:
    """Return the cells of `values`; `names` = {metric: what sources call it}.

    A further value of a method stands beside the first only where the two disagree: where the less
    precise one is no rounding of the other, or the protocol is another one.
    """
    leads: dict[str, Making] = {}
    kept: dict[tuple[str, str], tuple[PublishedValue, ...]] = {}
    for metric, spellings in names.items():
        own = [value for value in values if value.metric in spellings]
        if not own:
            continue
        counts = Counter(making_of(value) for value in own)
        lead = max(counts, key=lambda making: (making[0] == LEADING, counts[making]))
        leads[metric] = lead
        for value in sorted(own, key=lambda value: making_of(value) != lead):
            before = kept.get((value.method, metric), ())
            if not any(agree(value, other) for other in before):
                kept[value.method, metric] = (*before, value)
    makings = dict.fromkeys(making_of(value) for value in values)
    known = {making: making_words([v for v in values if making_of(v) == making])
             for making in makings}  # fmt: skip
    return PublishedCells(leads, kept, known)


def not_recorded(footnotes: Footnotes, note: str = "") -> Cell:
    """Return the cell of a number that no source read gives."""
    return words(NOT_RECORDED, "not-recorded", footnotes.numbers(note))


def making_of(value: PublishedValue) -> Making:
    """Return source and protocol of a value."""
    return value.source, value.protocol


def making_words(values: Sequence[PublishedValue]) -> str:
    """Return in words where values of one making come from, and under which protocol."""
    source, protocol = making_of(values[0])
    known = {value.verified for value in values}
    own = dict.fromkeys(value.method for value in values if value.verified == "paper")
    if known == {"thread"}:
        source = f"issue thread {source}"
    elif known == {"repo"}:
        source = f"repository file {source}"
    elif "re-reported" in known:
        source += f", re-reported except for {', '.join(own)}" if own else ", re-reported"
    named = "protocol unknown" if protocol == UNKNOWN else f"protocol {protocol}"
    return f"{source}, {named}"


def agree(first: PublishedValue, second: PublishedValue) -> bool:
    """Return whether two values say the same: one is the other, rounded, under one protocol."""
    a, b = Decimal(first.text), Decimal(second.text)
    step = Decimal(1).scaleb(max(_exponent(a), _exponent(b)))
    return first.protocol == second.protocol and abs(a - b) <= step / 2


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
