"""Key points of many pictures as the text of a file: the plain layout's table, or PATN's rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

import numpy as np

from pcdms_data.layouts.folder import KEYPOINT_COLUMNS
from pcdms_data.types import Keypoints

Poses = Mapping[str, Keypoints]
"""Picture name -> key points in the picture's own pixels."""


def folder_text(poses: Poses) -> str:
    """Return `keypoints.csv` of the layout `folder`: name, height, width, x and y of each joint.

    Both cells of a missing joint are empty; numbers read back to the same float32.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "height", "width", *KEYPOINT_COLUMNS))
    for name, pose in poses.items():
        cells: list[str] = []
        for (x, y), seen in zip(pose.xy, pose.visible, strict=True):
            cells += [str(x), str(y)] if seen else ["", ""]
        writer.writerow((name, *map(str, pose.size), *cells))
    return text.getvalue()


def patn_text(poses: Poses) -> str:
    """Return rows of `name: [18 y]: [18 x]` after PATN's header; -1 in both where missing.

    Numbers are whole pixels inside the picture, as the field's loaders expect, so that -1 is never
    a place. Source: specification of the datasets, sections 1 and 5.2.
    """
    lines = ["name:keypoints_y:keypoints_x"]
    for name, pose in poses.items():
        highest = np.array([pose.size[1], pose.size[0]]) - 1
        whole = np.clip(np.rint(pose.xy), 0, highest).astype(int)
        coded = np.where(pose.visible[:, None], whole, -1)
        lines.append(f"{name}: {coded[:, 1].tolist()}: {coded[:, 0].tolist()}")
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Poses], str]] = {"folder": folder_text, "patn": patn_text}
"""Name on the command line -> text of the file."""
