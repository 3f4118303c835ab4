"""Generated training pictures: those of finished runs on the training split, each with its person.

A pair's generated picture shows the person of its source. It is used with a share of the real
pictures only if its source is among them. What the generator itself learned from is another matter:
a network trained on the whole training split has seen the pictures that a share leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.generation import generated_stages
from pcdms_bench.run_folder import SAMPLES, RunStatus, run_folders, sample_name
from pcdms_bench.selection import ORACLE, scored_samples
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.pairs import load_pairs
from pcdms_data.persons import PersonPicture
from pcdms_data.seeds import pair_seed
from pcdms_data.types import InputError, Pair, Picture, flat_stem

RULES = ("all", "rest")
"""Which generated pictures join a share: all whose source is kept, or one in the place of each real
picture that is left out."""

TRAIN = "train"


@dataclass(frozen=True)
class GeneratedPicture:
    """A generated picture, its person, and the stems of the pair's two real pictures."""

    picture: Picture
    pair_id: str
    person: str
    source: str
    target: str


@dataclass(frozen=True)
class GeneratedSet:
    """The pictures of one run, its `method`, the `run` (hash8) and `stage` they come from.

    `peeked` says how the pictures depend on the true targets, empty where they do not.
    """

    method: str
    run: str
    stage: str
    peeked: str
    pictures: tuple[GeneratedPicture, ...]


@dataclass(frozen=True)
class Origin:
    """What the runs must be of: a dataset, its size (empty on disk), and its training pictures."""

    dataset: str
    size: str
    root: Path | None
    train: tuple[PersonPicture, ...]


def read_runs(folders: Sequence[Path], origin: Origin) -> list[GeneratedSet]:
    """Return the generated pictures of every run folder in `folders`, one set per method.

    Raises:
        InputError: no run folder, a run of other pictures or of another split, an unfinished one,
            one whose pictures belong to no pair, or two runs of one method.
    """
    places = [place for folder in folders for place in _places(folder)]
    specs = {place: read_spec(place / "spec.json") for place in places}
    for place, spec in specs.items():
        _check_origin(place, spec, origin)
    methods: dict[str, Path] = {}
    for place, spec in specs.items():
        if methods.setdefault(spec.method, place) != place:
            raise InputError(
                f"{methods[spec.method]} and {place} are both of method {spec.method}: give one of "
                "them, and the other with another --out"
            )
    if not places:
        return []
    pairs = _training_pairs(origin)
    return [_read_run(place, spec, pairs, origin) for place, spec in specs.items()]


def used_pictures(
    made: GeneratedSet, kept: Sequence[PersonPicture], rule: str, seed: int
) -> tuple[GeneratedPicture, ...]:
    """Return the generated pictures that join the `kept` real ones, in the run's order.

    `all`: every one whose source is kept. `rest`: for each picture that is not kept, one of those
    in its pose whose source is kept, drawn by `seed`; where the run has none, none. The second is
    what the published table describes (IMAGPose, table 4: the rest of the pictures is generated).
    """
    there = {flat_stem(one.picture.name) for one in kept}
    usable = [one for one in made.pictures if one.source in there]
    if rule == "all":
        return tuple(usable)
    chosen: dict[str, GeneratedPicture] = {}
    for one in usable:
        best = chosen.get(one.target)
        if one.target not in there and (best is None or _draw(one, seed) < _draw(best, seed)):
            chosen[one.target] = one
    ids = {one.pair_id for one in chosen.values()}
    return tuple(one for one in usable if one.pair_id in ids)


def _draw(one: GeneratedPicture, seed: int) -> int:
    return pair_seed(seed, one.pair_id, "reid", 0)


def _places(folder: Path) -> list[Path]:
    found = run_folders(folder) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} holds no run folder (no spec.json), expected a finished run")
    return found


def _check_origin(place: Path, spec: RunSpec, origin: Origin) -> None:
    mine, wanted = f"{spec.dataset} {spec.size}".strip(), f"{origin.dataset} {origin.size}".strip()
    if mine != wanted or spec.data_seed != 0:
        raise InputError(f"{place} is a run on {mine}, expected one on {wanted}")
    if spec.split != TRAIN:
        raise InputError(
            f"{place} is a run on split {spec.split!r}, expected {TRAIN!r}: the network is tested "
            "on other persons than it learns from (`pcdms-bench run --split train`)"
        )


def _training_pairs(origin: Origin) -> dict[str, Pair]:
    """Return the pairs of the training split by id."""
    pairs = load_pairs(
        origin.dataset, root=origin.root, split=TRAIN, size=origin.size or "mini",
    )  # fmt: skip
    return {pair.pair_id: pair for pair in pairs}


def _read_run(
    place: Path, spec: RunSpec, pairs: Mapping[str, Pair], origin: Origin
) -> GeneratedSet:
    status = RunStatus.read(place)
    if not status.pair_ids or status.state not in ("complete", "partial"):
        why = f": {status.reason}" if status.reason else ""
        raise InputError(f"{place} is not finished (state {status.state}{why}), run it again")
    stage = [name for name in generated_stages(spec.stages) if name != "prior"][-1:]
    if not stage:
        raise InputError(f"{place} has only the stage prior, which leaves no pictures")
    folder = place / SAMPLES / stage[0]
    there = {path.name for path in folder.glob("*.png")} if folder.is_dir() else set()
    _check_names(there, [*status.pair_ids], pairs, folder, origin)
    wanted = [pairs[name] for name in status.pair_ids if name not in status.failed]
    chosen = scored_samples(place, spec, stage[0], wanted) or {}
    persons = {flat_stem(one.picture.name): one.person for one in origin.train}
    found = []
    for pair in wanted:
        name = sample_name(pair.pair_id, chosen.get(pair.pair_id, 0))
        if name not in there:
            raise InputError(f"{folder / name} is missing: the run is not finished, run it again")
        found.append(_generated(pair, folder / name, persons))
    return GeneratedSet(
        spec.method, spec.hash8, stage[0], _peeked(spec), tuple(found)
    )  # fmt: skip


def _check_names(
    there: set[str], ids: Sequence[str], pairs: Mapping[str, Pair], folder: Path, origin: Origin
) -> None:
    """Refuse pairs and pictures that the training split does not know."""
    lost = [name for name in ids if name not in pairs]
    if lost:
        raise InputError(
            f"{folder.parents[1]}: {len(lost)} of its pairs are not in {origin.dataset} {TRAIN}, "
            f"the first is {lost[0]}"
        )
    for name in sorted(there):
        stem = flat_stem(name)
        sample = stem.rpartition(".")
        if stem not in pairs and not (sample[2].isdigit() and sample[0] in pairs):
            raise InputError(
                f"{folder / name}: its name is no pair of {origin.dataset} {TRAIN}, expected "
                "<source>_to_<target>.png"
            )


def _generated(pair: Pair, path: Path, persons: Mapping[str, str]) -> GeneratedPicture:
    source, target = flat_stem(pair.source.name), flat_stem(pair.target.name)
    person = persons.get(source)
    if person is None or persons.get(target) != person:
        other = source if person is None else target
        raise InputError(
            f"{path}: nothing is known of the person of {other}, expected a pair of two training "
            "pictures of one person"
        )
    return GeneratedPicture(Picture(path.name, path), pair.pair_id, person, source, target)


def _peeked(spec: RunSpec) -> str:
    """Return how a run's pictures depend on the true targets, which a share may leave out."""
    from pcdms_baselines.methods import entry_of

    entry = entry_of(spec.method)
    if (entry is not None and entry.kind == "ceiling") or "-group" in spec.method:
        return f"{spec.method} hands out real pictures, also those that the share leaves out"
    if "truth" in spec.stages.split("+"):
        return "generated from the embeddings of the true targets"
    if spec.selection == ORACLE:
        return "samples chosen by likeness to the true targets"
    return ""
