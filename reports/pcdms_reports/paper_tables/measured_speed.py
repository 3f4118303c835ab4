"""What `speed sampling` and `speed training` measured of this project, shipped as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pcdms_reports.records import RecordError
from pcdms_reports.table_model import Cell, Column, Footnotes, Number, Row, Table, words

FOLDER = Path(__file__).parents[1] / "measured"
SAMPLING, TRAINING = "sampling", "training of stage "
STYLE = "a loop in the style of the published scripts"
SHARE = "Share of floor: of the time that a bare matrix product of as many operations takes."


def speed_tables(folder: Path = FOLDER) -> list[Table]:
    """Return one table of sampling and one of training, over all measurements in `folder`.

    Measurements of other things are left out. Raises RecordError naming the file where one is no
    JSON or lacks a number.
    """
    sampling: list[Row] = []
    training: list[Row] = []
    sampling_notes, training_notes = Footnotes(), Footnotes()
    for path in sorted(folder.glob("*.json")):
        document = _read(path)
        what = str(document.get("what", ""))
        if what == SAMPLING:
            sampling += _sampling_rows(_Numbers(document, path), len(sampling), sampling_notes)
        elif what.startswith(TRAINING):
            training += _training_rows(_Numbers(document, path), len(training), training_notes)
    tables: list[Table] = []
    columns: tuple[str, ...]
    if sampling:
        columns = ("s per pair", "prior (s)", "inpaint (s)", "refine (s)", "TFLOP/s",
                   "share of floor (%)")  # fmt: skip
        tables.append(
            _table(
                "sampling", "Measured rate of sampling", columns, sampling, [SHARE], sampling_notes
            )
        )
    if training:
        columns = ("s per step", "rows per second", "TFLOP/s", "share of peak (%)")
        caption = "Measured rate of training"
        tables.append(_table("training", caption, columns, training, [], training_notes))
    return tables


class _Numbers:
    """A measurement by path: `numbers["ours", 0, "chunk"]`, with the file in every error."""

    def __init__(self, document: Mapping[str, object], path: Path) -> None:
        self.document, self.path = document, path

    def at(self, *keys: str | int) -> object:
        found: object = self.document
        for key in keys:
            try:
                found = found[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                where = ".".join(map(str, keys))
                raise RecordError(f"{self.path}: no {where!r}, expected a measurement") from None
        return found

    def number(self, *keys: str | int) -> float:
        found = self.at(*keys)
        if isinstance(found, bool) or not isinstance(found, int | float):
            where = ".".join(map(str, keys))
            raise RecordError(f"{self.path}: {where} {found!r}, expected a number")
        return float(found)

    def setup(self) -> str:
        """Return preset, frame and versions in words."""
        frame = self.at("frame")
        size = "x".join(map(str, frame)) if isinstance(frame, list) else str(frame)
        return f"preset {self.at('preset')}, frame {size}, torch {self.at('versions', 'torch')}"


def _sampling_rows(numbers: _Numbers, block: int, footnotes: Footnotes) -> list[Row]:
    ours = numbers.at("ours")
    places: list[tuple[str | int, ...]] = [("official_style",)]
    places += [("ours", place) for place in range(len(ours) if isinstance(ours, list) else 0)]
    note = footnotes.numbers(f"{numbers.setup()}, {numbers.number('pairs'):.0f} pairs")
    rows = []
    for place in places:
        name = STYLE if place == ("official_style",) else "this project"
        cells = [_cell(numbers.number(*place, "seconds_per_pair"), 4)]
        for stage in ("prior", "inpaint", "refine"):
            cells.append(_cell(numbers.number(*place, "stages", stage), 4))
        cells.append(_cell(numbers.number(*place, "tflops"), 3))
        cells.append(_cell(100 * numbers.number(*place, "share_of_floor"), 1))
        label = f"{name}, chunks of {numbers.number(*place, 'chunk'):.0f}"
        device = words(str(numbers.at("device")))
        rows.append(Row(label, (device, *cells), block=block, notes=note))
    return rows


def _training_rows(numbers: _Numbers, block: int, footnotes: Footnotes) -> list[Row]:
    stage = str(numbers.at("what")).removeprefix(TRAINING)
    batch = numbers.number("batch_size")
    note = footnotes.numbers(f"{numbers.setup()}, batches of {batch:.0f}")
    rows = []
    for place, name in (("official_style", STYLE), ("ours", "this project")):
        cells = [
            _cell(numbers.number(place, "seconds_per_step"), 4),
            _cell(numbers.number(place, "rows_per_second"), 2),
            _cell(numbers.number(place, "tflops"), 3),
            _cell(100 * numbers.number(place, "share_of_peak"), 1),
        ]
        device = words(str(numbers.at("device")))
        rows.append(Row(f"{stage}: {name}", (device, *cells), block=block, notes=note))
    return rows


def _table(
    name: str,
    caption: str,
    headings: Sequence[str],
    rows: Sequence[Row],
    legend: Sequence[str],
    footnotes: Footnotes,
) -> Table:
    columns = [Column("device", numeric=False), *(Column(heading) for heading in headings)]
    return Table(
        f"compute-{name}",
        caption,
        "loop",
        tuple(columns),
        tuple(rows),
        legend=tuple(legend),
        footnotes=tuple(footnotes.texts),
    )


def _cell(value: float, digits: int) -> Cell:
    return Cell((Number(f"{value:,.{digits}f}", value),))


def _read(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(document, dict):
        raise RecordError(f"{path}: {type(document).__name__}, expected a measurement")
    return document
