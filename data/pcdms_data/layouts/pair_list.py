"""Pair lists of the PATN family: CSV files with the header `from,to`, one ordered pair a row.

`pcdms_data.pair_rule.pair_list_text` writes what is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairRows
from pcdms_data.tables import read_lines
from pcdms_data.types import InputError

HEADER = "from,to"


def read_pair_list(path: Path, position: Mapping[str, int], listed_in: Path) -> PairRows:
    """Return the pairs (N, 2) of a list (`.gz` is unpacked), in file order.

    `position` gives the place in the gallery by name; a DeepFashion name in another form is looked
    up by its flat form. `listed_in` is the file those names come from, for messages.
    Raises InputError with file and line on a malformed row, on a name that is not listed, and on a
    file without pairs.
    """
    rows: list[tuple[int, int]] = []
    for line, text in enumerate(read_lines(path, f"rows of {HEADER}"), start=1):
        names = [name.strip() for name in text.rstrip(", \t").split(",")]
        if names == [""] or (line == 1 and names == ["from", "to"]):
            continue
        if len(names) != 2:
            raise InputError(
                f"{path} line {line} has {len(names)} cells, expected rows of {HEADER}"
            )
        try:
            rows.append((position[names[0]], position[names[1]]))
        except KeyError:
            rows.append((_place(names[0], position, path, line, listed_in),
                         _place(names[1], position, path, line, listed_in)))  # fmt: skip
    if not rows:
        raise InputError(f"{path} holds no pair, expected rows of {HEADER}")
    return np.array(rows, dtype=np.int32).reshape(-1, 2)


def _place(name: str, position: Mapping[str, int], path: Path, line: int, listed_in: Path) -> int:
    if name in position:
        return position[name]
    parsed = parse_fashion(name)
    if parsed is None or parsed.flat not in position:
        raise InputError(f"{path} line {line}: {name!r} is not listed in {listed_in}")
    return position[parsed.flat]
