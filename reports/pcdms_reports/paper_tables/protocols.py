"""`table protocols`: what each published script does, choice by choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pcdms_reports.table_model import Column, Row, Table, words

BY = "published by"


def protocols_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], sources: Mapping[str, str]
) -> Table:
    """Return the table of `rows`, each a choice and what every protocol does about it.

    `head` = the title of the choices, then the protocols; `sources` = {protocol: the scripts it
    was read from}, which become the footnotes of a row of their own.
    """
    names = list(head[1:])
    known = [sources[name] for name in names if sources.get(name)]
    numbers = {name: known.index(sources[name]) + 1 for name in names if sources.get(name)}
    scripts = Row(
        BY,
        tuple(
            words("scripts", notes=(numbers[name],)) if name in numbers else words("–")
            for name in names
        ),
    )
    return Table(
        "protocols",
        "What each evaluation protocol does; numbers of two columns that differ in any row are not "
        "comparable",
        head[0],
        tuple(Column(name, numeric=False) for name in names),
        (*(Row(row[0], tuple(words(text) for text in row[1:])) for row in rows), scripts),
        footnotes=tuple(known),
    )
