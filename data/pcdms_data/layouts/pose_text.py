"""Pose text: 18 lines of "x y", one file a picture, in two codings.

`padded` (NTED, PIDM): pixels of the 256x256 picture, whose columns 40 to 216 are the content, -1
for a missing joint, written as NumPy does by default (900 bytes when no joint is missing).
`normalised` (PCDMs): parts of the width and height of the content. What PCDMs divided by and how it
marks a missing joint is not published; x / 176, y / 256 and -1 are this project's choice, and a
`PoseCoding` says otherwise.

A joint is missing where both of its numbers have the mark. The loaders of NTED and PIDM test each
number alone: a joint that is seen but has an x of exactly -1 is missing for them, not here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.tables import read_lines
from pcdms_data.types import LARGEST_PLACE, InputError, K, Keypoints

CONTENT = (256, 176)
"""Frame (H, W) of the key points: the content of the padded picture."""
PADDING = 40
"""Columns of the padded picture left of its content."""
CODING_FILE = "pose_coding.json"
EXPECTED = f"{K} lines of x y"
_NUDGE = 1e-9  # lost again in float32, except where the mark is the place 0


@dataclass(frozen=True)
class PoseCoding:
    """How coordinates of the 256x176 frame become numbers: (x + left) / width, y / height.

    `missing` stands in both numbers of a missing joint.
    """

    width: float = 176.0
    height: float = 256.0
    left: float = 0.0
    missing: float = -1.0


PADDED = PoseCoding(width=1.0, height=1.0, left=float(PADDING))
NORMALISED = PoseCoding()


def read_coding(path: Path) -> PoseCoding:
    """Return the coding a JSON file states, such as `{"missing": 0}`; `NORMALISED` without one.

    Keys `width`, `height`, `left`, `missing`, each a number and optional. Raises InputError on
    others.
    """
    if not path.exists():
        return NORMALISED
    expected = f"a JSON object with numbers for some of {', '.join(asdict(NORMALISED))}"
    text = "\n".join(read_lines(path, expected))
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON, expected {expected}") from error
    known = isinstance(given, dict) and set(given) <= set(asdict(NORMALISED))
    if not known or not all(type(value) in (int, float) for value in given.values()):
        raise InputError(f"{path} holds something else than {expected}")
    coding = PoseCoding(**given)
    if (
        not all(abs(value) <= LARGEST_PLACE for value in asdict(coding).values())
        or min(coding.width, coding.height) <= 0
    ):
        raise InputError(
            f"{path}: width and height must be above 0, and no number beyond {LARGEST_PLACE:g}"
        )
    return coding


def coding_text(coding: PoseCoding) -> str:
    """Return the content of the file that `read_coding` reads."""
    return json.dumps(asdict(coding), indent=1) + "\n"


def read_pose(path: Path, coding: PoseCoding) -> Keypoints:
    """Return the key points of a file in the frame `CONTENT`.

    Raises InputError with the line on a file of other than 18 lines of two numbers.
    """
    return parse_pose(read_lines(path, EXPECTED), str(path), coding)


def parse_pose(lines: list[str], where: str, coding: PoseCoding) -> Keypoints:
    """Return the key points of 18 lines; `where` names their file in messages."""
    values = _values(lines, where)
    visible = ~(values == coding.missing).all(axis=1)
    xy = values * (coding.width, coding.height) - (coding.left, 0.0)
    return Keypoints(np.where(visible[:, None], xy, 0).astype(np.float32), visible, CONTENT)


def pose_text(pose: Keypoints, coding: PoseCoding) -> str:
    """Return the text that `read_pose` reads back to the same float32 coordinates.

    A visible joint whose two numbers would both be the mark is moved by a billionth.
    """
    scale = (CONTENT[1] / pose.size[1], CONTENT[0] / pose.size[0])
    content = pose.xy.astype(np.float64) * scale
    values = (content + np.array((coding.left, 0.0))) / (coding.width, coding.height)
    values[(values == coding.missing).all(axis=1)] += _NUDGE
    values[~pose.visible] = coding.missing
    return "".join(f"{x:.18e} {y:.18e}\n" for x, y in values)


def _values(lines: list[str], where: str) -> NDArray[np.float64]:
    rows = [text.split() for text in lines]
    while rows and not rows[-1]:
        rows.pop()
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if values.shape == (K, 2) and (np.abs(values) <= LARGEST_PLACE).all():
        return values
    for line, cells in enumerate(rows, start=1):
        if len(cells) != 2 or not all(_is_place(cell) for cell in cells):
            raise InputError(f"{where} line {line}: {' '.join(cells)[:40]!r}, expected two numbers")
    raise InputError(f"{where} has {len(rows)} lines, expected {EXPECTED}")


def _is_place(cell: str) -> bool:
    try:
        return abs(float(cell)) <= LARGEST_PLACE
    except ValueError:
        return False
