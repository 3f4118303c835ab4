"""One cell of the table: a network trained on a share of the real pictures, kept with its scores.

`OUT/<share>-<method>-seed<seed>/` holds `cell.json` (row of `reid.csv`, further scores, key),
`network.safetensors`, `queries.csv` (a row per query) and `loss.csv`. The key stands for all that
decides the network: pictures by content, recipe, start weights, seed. A finished cell of the same
key is not trained again, an interrupted one goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import save

from pcdms.training.checkpoint import NAME as CHECKPOINT
from pcdms.training.loop import train
from pcdms.training.losses import Table
from pcdms_bench.device import describe_device
from pcdms_bench.environment import git_state, package_versions
from pcdms_bench.intervals import Values, mean_interval
from pcdms_bench.picture_content import PictureSource
from pcdms_bench.reid.evaluation import RANKS, Embedded, QueryScores, score_queries
from pcdms_bench.reid.generated import GeneratedPicture
from pcdms_bench.reid.losses import ReidLoss
from pcdms_bench.reid.network import ReidNetwork, embed, make_network
from pcdms_bench.reid.recipe import ReidRecipe
from pcdms_bench.run_folder import read_json, table_text, write_json, write_text
from pcdms_bench.training_pictures import decoded_pictures
from pcdms_data.images import write_atomically
from pcdms_data.persons import PersonPicture
from pcdms_data.types import InputError, Picture
from pcdms_reports.reid_results import NONE, ReidRow

CELL, NETWORK, QUERIES = "cell.json", "network.safetensors", "queries.csv"
RESAMPLES = 1000
VERSION = 1
"""Part of every key: raised when the training or the scores change their meaning."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What one network learns from: `real` and `generated` pictures, drawn by `seed`.

    `method` is `none` and `run` empty where no picture is generated; `peeked` as in GeneratedSet.
    """

    method: str
    run: str
    fraction: int
    seed: int
    real: Sequence[PersonPicture]
    generated: Sequence[GeneratedPicture] = ()
    peeked: str = ""

    @property
    def name(self) -> str:
        """Name of the folder, such as `020-limb-warp-seed0`."""
        return f"{self.fraction:03d}-{self.method}-seed{self.seed}"

    @property
    def pictures(self) -> list[tuple[str, Picture]]:
        """Person and handle of every picture, the real ones first."""
        real = [(one.person, one.picture) for one in self.real]
        return real + [(one.person, one.picture) for one in self.generated]


@dataclass(frozen=True, eq=False)
class Searched:
    """Pictures of the test, uint8 (N, 3, H, W) in the recipe's frame, and what each shows."""

    pixels: Table
    shown: Sequence[PersonPicture]


@dataclass(frozen=True, eq=False)
class Setting:
    """What all cells of a table share.

    `label` names network and start weights, `persons` (all of the training split) are the classes,
    `query` and `gallery` the test pictures, `tested` a digest of their content.
    """

    dataset: str
    label: str
    recipe: ReidRecipe
    start: Path | None
    started: str
    """SHA-256 of the start weights, empty for a random start."""
    persons: Sequence[str]
    query: Searched
    gallery: Searched
    tested: str
    askable: int
    """Queries that have a match by another camera."""
    out: Path
    device: str


@dataclass(frozen=True)
class CellResult:
    """The row of `reid.csv`, the rate at each of `RANKS` in percent, and what the cell took.

    `rates` and `seconds` are empty and 0 for a cell without a network; `trained` tells whether
    this call trained it.
    """

    row: ReidRow
    rates: dict[int, float]
    seconds: float
    trained: bool


def finish_cell(
    cell: Cell, setting: Setting, progress: Callable[[int, int, float], None] | None = None
) -> CellResult:
    """Train, score and store a cell, as far as that is not done, and return what came of it.

    Raises:
        InputError: a picture that cannot be read, or a training that went wrong.
    """
    folder = setting.out / cell.name
    if cell.method != NONE and not cell.generated:
        row = _row(cell, setting, None)
        write_json(folder / CELL, {"run": cell.run, "row": asdict(row)})
        return CellResult(row, {}, 0.0, False)
    key = cell_key(cell, setting)
    stored = read_json(folder / CELL)
    if stored.get("key") == key and "row" in stored and (folder / NETWORK).is_file():
        return CellResult(
            ReidRow(**stored["row"]),
            {int(rank): value for rank, value in stored["rates"].items()},
            stored["seconds"],
            False,
        )
    pixels = decoded_pictures([picture for _, picture in cell.pictures], setting.recipe.frame)
    network = make_network(
        setting.recipe.network, len(setting.persons), setting.start, cell.seed
    )  # fmt: skip
    write_json(folder / CELL, {"key": key, "run": cell.run})
    started = time.perf_counter()
    numbers = {person: number for number, person in enumerate(setting.persons)}
    shown = [numbers[person] for person, _ in cell.pictures]
    result = train(
        network, ReidLoss(pixels, shown, setting.recipe), len(setting.persons),
        setting.recipe.settings, folder, setting.device, progress,
        fresh=stored.get("key") != key,
    )  # fmt: skip
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    write_atomically(folder / NETWORK, save(state))
    scores = score_network(network, setting)
    seconds = result.seconds_total + time.perf_counter() - started - result.seconds
    return _store(cell, setting, key, scores, seconds)


def score_network(network: ReidNetwork, setting: Setting) -> QueryScores:
    """Return what comes of every query of the setting with a trained network."""
    query, gallery = setting.query, setting.gallery
    found = _embedded(network, query, setting.recipe)
    return score_queries(
        found, found if gallery is query else _embedded(network, gallery, setting.recipe)
    )


def cell_key(cell: Cell, setting: Setting) -> str:
    """Return a digest of all that decides a cell's network and scores, 64 hex digits."""
    recipe = asdict(setting.recipe)
    for name in ("save_every", "log_every"):
        del recipe["settings"][name]
    decided_by = {
        "version": VERSION, "dataset": setting.dataset, "label": setting.label, "recipe": recipe,
        "start": setting.started, "seed": cell.seed, "persons": list(setting.persons),
        "tested": setting.tested, "pictures": contents(cell.pictures),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()


def contents(pictures: Iterable[tuple[str, Picture]]) -> str:
    """Return a digest of pictures, in their order: names, persons and stored bytes.

    Raises PictureError, naming the file, where one is missing.
    """
    digest = hashlib.sha256()
    for person, picture in pictures:
        digest.update(f"{person}\x1f{picture.name}\x1f".encode())
        digest.update(PictureSource(picture).digest())
    return digest.hexdigest()


def _embedded(network: ReidNetwork, pictures: Searched, recipe: ReidRecipe) -> Embedded:
    vectors = embed(network, pictures.pixels, recipe.chunk)
    persons = [one.person for one in pictures.shown]
    return Embedded(vectors, persons, [one.camera for one in pictures.shown])


def _store(
    cell: Cell, setting: Setting, key: str, scores: QueryScores, seconds: float
) -> CellResult:
    """Write the scores of a trained cell, and delete its checkpoint."""
    folder = setting.out / cell.name
    row = _row(cell, setting, scores)
    rates = {rank: 100 * scores.rate(rank) for rank in RANKS}
    lines = [
        (one.picture.name, None if np.isnan(value) else float(value), int(first))
        for one, value, first in zip(
            setting.query.shown, scores.precision, scores.first, strict=True
        )
    ]
    write_text(
        folder / QUERIES, table_text(("query", "average_precision", "first_match"), lines)
    )  # fmt: skip
    record = {
        "key": key, "run": cell.run, "row": asdict(row), "rates": rates, "seconds": seconds,
        "device": describe_device(setting.device), "packages": package_versions(), **git_state(),
    }  # fmt: skip
    write_json(folder / CELL, record)
    (folder / f"{CHECKPOINT}.pt").unlink(missing_ok=True)
    return CellResult(row, rates, seconds, True)


def _row(cell: Cell, setting: Setting, scores: QueryScores | None) -> ReidRow:
    """Return the row of a cell; without scores it says why there is no network."""
    reason = cell.peeked
    if scores is None:
        kept = f"{cell.fraction} % of the real pictures"
        reason = f"no generated picture of {cell.method} can join {kept}"
    precision = _percent(None if scores is None else scores.precision[scores.scored])
    rank1 = _percent(None if scores is None else (scores.first[scores.scored] == 1) * 1.0)
    return ReidRow(
        dataset=setting.dataset,
        method=cell.method,
        fraction=cell.fraction,
        with_generated=cell.method != NONE,
        real_pictures=len(cell.real),
        generated_pictures=len(cell.generated),
        network=setting.label,
        seed=cell.seed,
        map=precision[0],
        map_low=precision[1],
        map_high=precision[2],
        rank1=rank1[0],
        rank1_low=rank1[1],
        rank1_high=rank1[2],
        n=setting.askable,
        gallery=len(setting.gallery.shown),
        status="unavailable" if scores is None else "indicative" if cell.peeked else "ok",
        reason=reason,
    )


def _percent(values: Values | None) -> tuple[float | None, float | None, float | None]:
    """Return mean and ends of its 95 % interval over queries in percent; None without values."""
    if values is None:
        return None, None, None
    low, high = mean_interval(values, RESAMPLES) or (None, None)
    scaled = [None if end is None else 100 * float(end) for end in (values.mean(), low, high)]
    return scaled[0], scaled[1], scaled[2]


def stored_row(folder: Path) -> tuple[str, ReidRow] | None:
    """Return the run and row of a cell's folder, None where the cell is not finished.

    Raises InputError on a `cell.json` that does not hold one.
    """
    stored = read_json(folder / CELL)
    if "row" not in stored:
        return None
    try:
        return str(stored["run"]), ReidRow(**stored["row"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / CELL}: holds no row of a table ({error})") from None
