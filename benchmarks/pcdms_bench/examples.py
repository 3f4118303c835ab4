"""The first pairs of a data set as pictures (source, pose, target), for the report's grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcdms_data.images import load_picture, save_picture
from pcdms_data.pose_drawing import draw_pose
from pcdms_data.types import Pair, PictureError

COUNT = 16


def write_examples(folder: Path, pairs: Sequence[Pair], size: tuple[int, int]) -> None:
    """Leave `folder/{source,pose,target}/<pair_id>.png` of the first 16 pairs, at `size` (H, W).

    Pictures already there are kept; an undecodable one is left out (its pair fails in every run).
    """
    for index in range(min(COUNT, len(pairs))):
        pair = pairs[index]
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
