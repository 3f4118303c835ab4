"""Key points of many pictures as the text of a file: the plain layout's table, or PATN's rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from pcdms_data.layouts.annotation import annotation_text
from pcdms_data.layouts.folder import KEYPOINT_COLUMNS, keypoint_cells
from pcdms_data.types import Keypoints

Poses = Mapping[str, Keypoints]
"""Picture name -> key points in the picture's own pixels."""


def folder_text(poses: Poses) -> str:
    """Return `keypoints.csv` of the layout `folder`: name, height, width, x and y of each joint."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "height", "width", *KEYPOINT_COLUMNS))
    writer.writerows((name, *map(str, p.size), *keypoint_cells(p)) for name, p in poses.items())
    return text.getvalue()


def patn_text(poses: Poses) -> str:
    """Return rows of `name: [18 y]: [18 x]` in whole pixels, -1 in both where missing."""
    return annotation_text(list(poses), poses.values())


FORMATS: dict[str, Callable[[Poses], str]] = {"folder": folder_text, "patn": patn_text}
"""Name on the command line -> text of the file."""
