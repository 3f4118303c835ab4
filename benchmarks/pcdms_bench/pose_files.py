"""The key points of a picture that a user names: a pose file, or one known for the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pcdms_data.types import InputError, K, Keypoints

FORM = '{"size": [H, W], "xy": [[x, y], ...], "visible": [true, ...]} with 18 joints'


def known_pose(path: Path, option: str) -> Keypoints:
    """Return the key points that `path` stands for.

    A `.json` file holds them. For a picture they are read from the `.json` of the same name beside
    it, else from `keypoints.csv` of the `folder` layout it lies in. Raises InputError when there
    are none, naming `option` as the way to give them.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a picture or a pose .json")
    if path.suffix.lower() == ".json":
        return read_pose(path)
    sidecar = path.with_suffix(".json")
    if sidecar.is_file():
        return read_pose(sidecar)
    listed = path.resolve().parent.parent / "keypoints.csv"
    if listed.is_file():
        from pcdms_data.layouts.folder import read_keypoints

        found = read_keypoints(listed).get(path.name)
        if found is not None:
            return found
    raise InputError(
        f"no key points are known for {path}: give {option} FILE.json, put {sidecar.name} beside "
        f"the picture, {FORM}, or find them with `pcdms-bench data pose`"
    )


def read_pose(path: Path) -> Keypoints:
    """Return the key points of a pose `.json`; raises InputError on any other content."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        height, width = (int(side) for side in value["size"])
        xy = np.array(value["xy"], dtype=np.float32)
        visible = np.array(value["visible"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a pose file, expected {FORM}: {error}") from error
    if xy.shape != (K, 2) or visible.shape != (K,) or visible.dtype != np.bool_:
        raise InputError(f"{path} is not a pose file, expected {FORM}")
    if height < 1 or width < 1 or not np.isfinite(xy[visible]).all():
        raise InputError(f"{path}: size and visible joints must be finite and positive")
    return Keypoints(xy, visible, (height, width))


def write_pose(path: Path, pose: Keypoints) -> None:
    """Write key points as a pose `.json` that `read_pose` reads back equal."""
    value = {
        "size": list(pose.size),
        "xy": [[float(x), float(y)] for x, y in pose.xy],
        "visible": [bool(seen) for seen in pose.visible],
    }
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")
