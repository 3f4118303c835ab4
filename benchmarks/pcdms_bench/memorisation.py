"""Does a method repeat its training pictures? The nearest one of each generated picture.

Distances are Euclidean between features of EfficientNet-Lite0. A small one alone says little, since
people in front of a plain backdrop resemble each other; so every row also holds the distance of the
pair's true target, a picture no method was trained on, to its nearest training picture. A generated
picture that is nearer than nearly all true targets deserves a look: that is what the grid is for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.embedded_inputs import embed_inputs
from pcdms_bench.generation import generated_stages
from pcdms_bench.metric_inputs import Seen
from pcdms_bench.metrics.neighbours import nearest_rows
from pcdms_bench.metrics.networks import FeatureNetwork, feature_network
from pcdms_bench.picture_content import PictureSource
from pcdms_bench.picture_views import Side, view_for
from pcdms_bench.progress import Progress
from pcdms_bench.protocols import Protocol, protocol_for
from pcdms_bench.rescoring import stored_pairs
from pcdms_bench.result_store import ResultStore, open_store
from pcdms_bench.run_folder import SAMPLES, RunStatus, sample_name, write_text
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.images import load_picture, save_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Pair, Picture, PictureError

if TYPE_CHECKING:
    import pandas as pd

NETWORK = "fd_efficientnet_lite0"
COLUMNS = ("pair", "stage", "nearest", "distance", "target_nearest", "target_distance")
"""Columns of `memorisation.csv`; `nearest` is the name of a training picture."""
TABLE, GRID = "memorisation.csv", "memorisation.png"
QUANTILE = 0.01
"""A picture nearer than this share of the true targets is counted as suspect."""
GRID_ROWS = 8
GAP = 4
"""White pixels between the pictures of the grid."""


@dataclass(frozen=True)
class Memorisation:
    """The rows of one run folder, nearest first, and what they add up to.

    `table` has the columns `COLUMNS`; `threshold` is the distance below which a picture is suspect,
    the `QUANTILE` of the true targets' distances; `suspects` counts such pictures by stage.
    """

    table: pd.DataFrame
    threshold: float
    suspects: dict[str, int]
    extractor: str


@dataclass(frozen=True, eq=False)
class _Near:
    """Of some pictures: nearest training picture and distance, NaN where one cannot be read."""

    index: NDArray[np.int64]
    distance: NDArray[np.float64]


def check_memorisation(
    folder: Path,
    root: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Memorisation:
    """Compare the pictures of every stage of the run in `folder` with the training pictures.

    Leaves `memorisation.csv` and `memorisation.png` in `folder`; the picture shows the
    `GRID_ROWS` generated pictures that come nearest: generated, its nearest training picture, the
    true target, and the target's nearest training picture. `root` replaces the stored dataset
    folder. Raises InputError for a folder that is no run, or has no pictures or training split.
    """
    import pandas as pd

    spec, status = read_spec(folder / "spec.json"), RunStatus.read(folder)
    used = root or (Path(status.root) if status.root else None)
    pairs = stored_pairs(folder, spec, status, used)
    training = _training_pictures(spec, used)
    protocol = protocol_for("standard", spec.dataset, spec.frame)
    network = feature_network(NETWORK, device)
    stages = [stage for stage in generated_stages(spec.stages) if stage != "prior"]
    made = {stage: _generated(folder, stage, pairs) for stage in stages}
    with open_store() as store:
        known = _Training(training, protocol, network, store, progress or Progress(silent=True))
        targets = known.near([pair.target for pair in pairs], "target", "true targets")
        found = {s: known.near(made[s], "generated", f"pictures of stage {s}") for s in stages}
    if not any(np.isfinite(near.distance).any() for near in found.values()):
        raise InputError(f"{folder} holds no pictures to compare with the training pictures")
    rows = [
        (
            pair.pair_id, stage, known.name(near.index[i]), near.distance[i],
            known.name(targets.index[i]), targets.distance[i],
        )
        for stage, near in found.items()
        for i, pair in enumerate(pairs)
        if np.isfinite(near.distance[i])
    ]  # fmt: skip
    table = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
    table = table.sort_values(["distance", "stage", "pair"], ignore_index=True)
    threshold = float(np.nanquantile(targets.distance, QUANTILE))
    below = table[table["distance"] < threshold].groupby("stage").size()
    suspects = {stage: int(below.get(stage, 0)) for stage in stages}
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    write_text(folder / TABLE, text)
    _save_grid(folder, table, {pair.pair_id: pair for pair in pairs}, known, protocol)
    return Memorisation(table, threshold, suspects, network.label)


def _training_pictures(spec: RunSpec, root: Path | None) -> Sequence[Picture]:
    """Return the pictures of the training split, each once, in name order."""
    gallery = load_pairs(
        spec.dataset, root=root, split="train", resolution=spec.frame, size=spec.size or "mini",
        seed=spec.data_seed, limit=1,
    ).gallery  # fmt: skip
    if not gallery.pictures:
        raise InputError(f"{spec.dataset} has no training pictures to compare with")
    return sorted(gallery.pictures, key=lambda picture: (picture.name, picture.row))


def _generated(folder: Path, stage: str, pairs: Sequence[Pair]) -> list[Picture]:
    """Return where the first sample of every pair is."""
    names = [sample_name(pair.pair_id, 0) for pair in pairs]
    return [Picture(name, folder / SAMPLES / stage / name) for name in names]


class _Training:
    """The training pictures and their features."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        protocol: Protocol,
        network: FeatureNetwork,
        store: ResultStore,
        progress: Progress,
    ) -> None:
        self._protocol, self._network, self._store = protocol, network, store
        self._progress = progress
        kept, self._features = self._embed(pictures, "reference", "training pictures")
        self.pictures = [pictures[number] for number in kept]
        if not self.pictures:
            raise InputError("none of the training pictures can be read")

    def name(self, index: int) -> str:
        """Return the name of a training picture; '' for none."""
        return self.pictures[index].name if index >= 0 else ""

    def picture(self, name: str) -> Picture | None:
        """Return the training picture of a name."""
        return next((picture for picture in self.pictures if picture.name == name), None)

    def near(self, pictures: Sequence[Picture], side: Side, title: str) -> _Near:
        """Return the nearest training picture of each picture."""
        index = np.full(len(pictures), -1)
        distance = np.full(len(pictures), np.nan)
        kept, features = self._embed(pictures, side, title)
        if kept:
            index[kept], distance[kept] = nearest_rows(features, self._features)
        return _Near(index, distance)

    def _embed(
        self, pictures: Sequence[Picture], side: Side, title: str
    ) -> tuple[list[int], NDArray[np.float32]]:
        view = view_for(self._protocol, side, "metric")
        inputs = [Seen(PictureSource(picture), view) for picture in pictures]
        with self._progress.task(title, len(inputs)) as advance:
            return embed_inputs(inputs, self._network, self._store, advance)


def _save_grid(
    folder: Path,
    table: pd.DataFrame,
    pairs: dict[str, Pair],
    known: _Training,
    protocol: Protocol,
) -> None:
    """Write the nearest rows as one picture; a picture that cannot be shown stays grey."""
    height, width = protocol.frame
    shown = table.head(GRID_ROWS)
    grid = np.full((len(shown) * (height + GAP) + GAP, 4 * (width + GAP) + GAP, 3), 255, np.uint8)
    for row, one in enumerate(shown.itertuples(index=False)):
        name = sample_name(str(one.pair), 0)
        handles = (
            Picture(name, folder / SAMPLES / str(one.stage) / name),
            known.picture(str(one.nearest)),
            pairs[str(one.pair)].target,
            known.picture(str(one.target_nearest)),
        )
        for column, handle in enumerate(handles):
            tile = np.full((height, width, 3), 128, np.uint8)
            if handle is not None:
                with contextlib.suppress(PictureError):
                    tile = load_picture(handle, protocol.frame)
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            grid[top : top + height, left : left + width] = tile
    save_picture(folder / GRID, grid)
