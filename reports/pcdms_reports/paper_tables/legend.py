"""The sentences that explain the signs of a table, for every kind of table alike."""

from __future__ import annotations

from pcdms_reports.stage_model import BOUND, INDICATIVE, INTERVAL, RANKED
from pcdms_reports.table_model import Table

NOT_RECORDED_WORDS = "Not recorded: in none of the sources that were read."


def signs_of(table: Table, within: str = "") -> list[str]:
    """Return a sentence for each sign that `table` uses; `within` limits what was ranked."""
    cells = [cell for row in table.rows for cell in row.cells]
    numbers = [number for cell in cells for number in cell.numbers]
    statuses = {cell.status for cell in cells}
    explained = (
        ("A letter says how a number was made where a column's numbers were not all made alike.",
         bool(table.marks)),
        ("Two numbers in a cell: sources disagree.", any(len(cell.numbers) > 1 for cell in cells)),
        (f"{RANKED[:-1]}{within}.", any(number.rank for number in numbers)),
        (INTERVAL, any(number.spread.startswith("±") for number in numbers)),
        (BOUND, any(row.muted for row in table.rows)),
        (INDICATIVE, any(number.sign == "~" for number in numbers)),
        ("–: not measured here.", "absent" in statuses),
        (NOT_RECORDED_WORDS, "not-recorded" in statuses),
    )  # fmt: skip
    return [sentence for sentence, holds in explained if holds]
