"""Pairs of a data set as pictures (source, pose, target), for the grid and cases of the report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pcdms_data.images import load_picture, save_picture
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Pair, PictureError

COUNT = 16


def write_examples(
    folder: Path, pairs: Sequence[Pair], size: tuple[int, int], more: Collection[str] = ()
) -> None:
    """Leave `folder/{source,pose,target}/<pair_id>.png` of some pairs, at `size` (H, W).

    These are the first 16, and those whose ids are in `more`. Pictures already there are kept; an
    undecodable one is left out (its pair fails in every run).
    """
    for index, pair in enumerate(pairs):
        if index >= COUNT and pair.pair_id not in more:
            continue
        name = f"{pair.pair_id}.png"
        pose = folder / "pose" / name
        if not pose.exists():
            target_pose = pair.target_pose.resized(size)
            save_picture(pose, draw_pose(target_pose.xy, target_pose.visible, size, size))
        for kind, picture in (("source", pair.source), ("target", pair.target)):
            path = folder / kind / name
            if path.exists():
                continue
            try:
                save_picture(path, load_picture(picture, size))
            except PictureError:
                continue
