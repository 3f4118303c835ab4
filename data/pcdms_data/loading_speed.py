"""Measures how fast a prepared dataset of the size of DeepFashion's test split opens."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcdms_data.pair_set import PairSet, ordered_pairs
from pcdms_data.preparing.prepare import prepare
from pcdms_data.preparing.shards import Recipe
from pcdms_data.types import Gallery, K, Keypoints, Picture

GROUPS = {1: 894, 2: 68, 3: 265, 4: 502, 5: 41}
"""Pictures of a group -> how many groups: those of the published test split; 8,570 pairs."""
RESOLUTION = (256, 176)
SECONDS_TARGET = 1.0
MEMORY_TARGET_MB = 300.0

_PROGRAM = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from pcdms_data.pairs import load_pairs
imported = time.perf_counter()
pairs = load_pairs("deepfashion", root=sys.argv[1])
first, last = pairs[0], pairs[-1]
done = time.perf_counter()
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss would count the parent that forked this process
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    peak = int(line.split()[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "pairs": len(pairs), "pictures": len(pairs.gallery.pictures),
    "seconds": done - imported, "seconds_with_imports": done - start,
    "peak": peak,
}))
"""


@dataclass(frozen=True)
class LoadingSpeed:
    """One opening in a fresh process: seconds of `load_pairs`, and the process's peak memory."""

    pairs: int
    pictures: int
    seconds: float
    seconds_with_imports: float
    memory_mb: float
    seconds_target: float = SECONDS_TARGET
    memory_target_mb: float = MEMORY_TARGET_MB


def loading_speed() -> LoadingSpeed:
    """Prepare 4,038 made-up pictures with 8,570 pairs in a temporary folder and open them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "prepared"
        recipe = Recipe((RESOLUTION,), "png", "pil-bicubic-u8")
        prepare([_made_up(Path(folder))], root, recipe, 2, lambda title: lambda done, total: None)
        answer = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(root)], check=True, capture_output=True, text=True
        ).stdout
    found = json.loads(answer)
    return LoadingSpeed(memory_mb=found.pop("peak") / 2**20, **found)


def _made_up(folder: Path) -> PairSet:
    """Return a split of the published numbers of pictures and groups, of one plain picture."""
    pixels = folder / "picture.npy"
    np.save(pixels, np.full((1, *RESOLUTION, 3), 128, dtype=np.uint8))
    random = np.random.default_rng(0)
    pictures, groups = [], []
    sizes = [size for size, count in GROUPS.items() for _ in range(count)]
    for item, size in enumerate(sizes):
        for number in range(size):
            name = f"fashionWOMENDressesid{item:08d}01_{number + 1}front.jpg"
            pictures.append(Picture(name, pixels, 0))
            groups.append(name.rpartition("_")[0])
    xy = random.uniform(0, 176, (len(pictures), K, 2)).astype(np.float32)
    poses = tuple(Keypoints(one, np.ones(K, dtype=np.bool_), RESOLUTION) for one in xy)
    rows = ordered_pairs(groups, np.ones((len(pictures), K), dtype=np.bool_))
    gallery = Gallery(tuple(pictures), poses, tuple(groups))
    return PairSet("deepfashion", "test", RESOLUTION, gallery, rows)
