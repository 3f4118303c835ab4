"""A command line call in this process, pose files, and a small folder data set."""

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from pcdms_bench.cli import cli
from pcdms_data.images import save_picture


def call(*words: object) -> Result:
    """Run `pcdms-bench` with these words."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def error_line(result: Result) -> str:
    """Return the only line on stderr."""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return lines[0]


def pose_json(shift: float = 0.0) -> str:
    """Return a pose file of a standing figure in a 64 x 32 frame."""
    xy = [[16 + shift + (k % 3 - 1) * 4, 6 + 3 * k] for k in range(18)]
    return json.dumps({"size": [64, 32], "xy": xy, "visible": [True] * 18})


def save_noise(path: Path, seed: int = 0, size: tuple[int, int] = (64, 32)) -> Path:
    """Write a picture of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    save_picture(path, pixels)
    return path


def save_folder_dataset(root: Path, people: int = 2, views: int = 3) -> Path:
    """Write a data set in the plain layout: `people` groups of `views` pictures, split test."""
    from pcdms_data.types import KEYPOINT_NAMES

    header = ["name", "height", "width", "group"]
    header += [f"{name}_{axis}" for name in KEYPOINT_NAMES for axis in "xy"]
    lines = [",".join(header)]
    for person in range(people):
        for view in range(views):
            name = f"p{person}v{view}.png"
            save_noise(root / "pictures" / name, 10 * person + view)
            cells = [name, "64", "32", f"p{person}"]
            for k in range(18):
                cells += [str(16 + view + (k % 3 - 1) * 4), str(6 + 3 * k)]
            lines.append(",".join(cells))
    (root / "keypoints.csv").write_text("\n".join(lines) + "\n")
    return root
