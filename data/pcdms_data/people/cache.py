"""Rendered splits of the embedded people, from the user's cache or rendered into it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.cache import cached_entry, file_sha256
from pcdms_data.images import write_atomically
from pcdms_data.names import group_of
from pcdms_data.people.correspondence import ViewKey
from pcdms_data.people.presets import SplitPlan
from pcdms_data.people.rendering import (
    GARMENTS,
    PARTS,
    PICTURES,
    Progress,
    chunk_count,
    chunk_records,
    finished_chunks,
    prepare_arrays,
    render_chunks,
)
from pcdms_data.types import Keypoints, Picture

KIND = "people"
_FORMAT = 1  # raise when the files of an entry change their meaning
_NO_PART_IN_PIXELS = (
    "__init__", "cache", "correspondence", "export", "render_worker", "sheet", "speed", "stats",
)  # fmt: skip
_INDEX, _KEYPOINTS = "index.json", "keypoints.npz"


@dataclass(frozen=True, eq=False)
class RenderedSplit:
    """N pictures on disk and what is known of them, in row order (identity by identity).

    `yaw` (N,) float64 in radians, 0 towards the camera; `identities` (N,) counted from 0 within
    the split; `back_print` (N,) bool: the picture shows a printed back; `xy` (N, 18, 2) float32
    pixels; `visible` (N, 18) bool.
    """

    plan: SplitPlan
    folder: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    framing: tuple[str, ...]
    identities: NDArray[np.int64]
    yaw: NDArray[np.float64]
    back_print: NDArray[np.bool_]
    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, row: int) -> Picture:
        """Return the handle of picture `row`."""
        return Picture(self.names[row], self.folder / PICTURES, row)

    def parts(self, row: int) -> Picture:
        """Return the handle of its body part labels (0 is background)."""
        return Picture(self.names[row], self.folder / PARTS, row)

    def garments(self, row: int) -> Picture:
        """Return the handle of its garment labels (0 is background)."""
        return Picture(self.names[row], self.folder / GARMENTS, row)

    def pose(self, row: int) -> Keypoints:
        """Return its key points in the frame of the picture."""
        return Keypoints(self.xy[row], self.visible[row], self.plan.resolution)


def rendered_split(
    plan: SplitPlan, workers: int | None = None, progress: Progress | None = None
) -> RenderedSplit:
    """Return a split from the cache, rendering what is missing of it first.

    `workers` processes render (None: one per CPU); `progress(done, total)` counts pictures and is
    not called for a split that is there. Raises InputError where the cache cannot be written.
    """

    def fill(folder: Path) -> None:
        prepare_arrays(plan, folder)
        finished = finished_chunks(plan, folder)
        missing = [chunk for chunk in range(chunk_count(plan)) if chunk not in finished]
        render_chunks(plan, folder, missing, workers, progress)
        _write_index(plan, folder)

    return _read(plan, cached_entry(KIND, split_key(plan), fill))


def view_of(picture: Picture) -> ViewKey | None:
    """Return what a picture of the cache is a rendering of; None for any other picture."""
    if picture.path.name != PICTURES or picture.row < 0:
        return None
    try:
        plan = _plan_of(picture.path.parent)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    number, view = divmod(picture.row, plan.views)
    return ViewKey(plan.seed, plan.first + number, view, plan.look, plan.resolution)


@lru_cache(maxsize=8)
def _plan_of(folder: Path) -> SplitPlan:
    fields = json.loads((folder / _INDEX).read_bytes())["plan"]
    return SplitPlan(**{**fields, "resolution": tuple(fields["resolution"])})


def split_key(plan: SplitPlan) -> str:
    """Return the folder name of a split: readable words and a hash of all that decides pixels."""
    from pcdms_data.people.render import RENDERER_VERSION

    decided_by = asdict(plan) | {
        "renderer": str(RENDERER_VERSION),
        "source": _renderer_sha256(),
        "format": _FORMAT,
    }
    digest = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()[:12]
    height, width = plan.resolution
    return f"{plan.dataset}-{plan.split}-{plan.size}-{height}x{width}-{digest}"


@lru_cache(maxsize=1)
def _renderer_sha256() -> str:
    """Hash the mesh and the modules of this folder that have a part in the pixels.

    The version number alone would serve stale pictures to whoever edits the renderer.
    """
    here = Path(__file__).parent
    modules = [path for path in sorted(here.glob("*.py")) if path.stem not in _NO_PART_IN_PIXELS]
    digest = hashlib.sha256()
    for path in [here / "mesh.npz", *modules]:
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _write_index(plan: SplitPlan, folder: Path) -> None:
    """Gather the chunks' records into one index and one array file of key points."""
    records = chunk_records(plan, folder)
    with (folder / _KEYPOINTS).open("wb") as file:
        np.savez(
            file,
            xy=np.array([record.pop("xy") for record in records], dtype=np.float32),
            visible=np.array([record.pop("visible") for record in records], dtype=np.bool_),
        )
    content = {"plan": asdict(plan), "pictures": records}
    write_atomically(folder / _INDEX, json.dumps(content, indent=0).encode())
    shutil.rmtree(folder / "done")


def _read(plan: SplitPlan, folder: Path) -> RenderedSplit:
    records = json.loads((folder / _INDEX).read_bytes())["pictures"]
    with np.load(folder / _KEYPOINTS, allow_pickle=False) as arrays:
        xy, visible = arrays["xy"], arrays["visible"]
    names = tuple(str(record["name"]) for record in records)
    return RenderedSplit(
        plan=plan,
        folder=folder,
        names=names,
        groups=tuple(group_of(plan.dataset, name) for name in names),
        framing=tuple(str(record["framing"]) for record in records),
        identities=np.array([record["identity"] for record in records], dtype=np.int64),
        yaw=np.array([record["yaw"] for record in records], dtype=np.float64),
        back_print=np.array([record["back_print"] for record in records], dtype=np.bool_),
        xy=xy,
        visible=visible,
    )
