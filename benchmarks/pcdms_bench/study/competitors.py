"""Which methods a study compares: finished run folders whose pictures may stand side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcdms_bench.comparing import SAME
from pcdms_bench.generation import generated_stages
from pcdms_bench.rescoring import stored_pairs
from pcdms_bench.run_folder import SAMPLES, RunStatus, missing_pictures, run_folders, sample_name
from pcdms_bench.selection import scored_samples
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.types import InputError, Pair, Picture


@dataclass(frozen=True)
class Competitor:
    """The pictures of one run's last stage."""

    method: str
    """Name in the study: the method's, with the run's hash where two runs share it."""
    folder: Path
    spec: RunSpec
    stage: str
    samples: dict[str, int] | None
    """{pair_id: sample} where the run chose one of several; None for the first of each pair."""

    def picture(self, pair_id: str) -> Picture:
        """Return the handle of the picture made for a pair; nothing is read."""
        sample = 0 if self.samples is None else self.samples.get(pair_id, 0)
        name = sample_name(pair_id, sample)
        return Picture(name, self.folder / SAMPLES / self.stage / name)

    def missing(self, pair_ids: Sequence[str]) -> list[str]:
        """Return the pairs without a picture."""
        needed = 1 if self.samples is None else self.spec.samples
        lacking = missing_pictures(self.folder, self.stage, pair_ids, needed)
        unchosen = [i for i in pair_ids if self.samples is not None and i not in self.samples]
        return [i for i in pair_ids if i in lacking or i in unchosen]


def find_competitors(
    places: Sequence[Path], root: Path | None = None
) -> tuple[list[Competitor], list[Pair]]:
    """Return the runs at `places` (run folders, or folders that hold some), and their pairs.

    `root` replaces the stored dataset folder. Raises InputError where there is no run, one has no
    pictures, or two differ in data, frame or pairs, so that they cannot be asked about together.
    """
    folders: dict[Path, None] = {}
    for place in places:
        found = run_folders(place) if place.is_dir() else []
        if not found:
            raise InputError(f"{place} holds no run folder (no spec.json), expected finished runs")
        folders.update(dict.fromkeys(folder.resolve() for folder in found))
    states = {folder: RunStatus.read(folder) for folder in folders}
    specs = {folder: read_spec(folder / "spec.json") for folder in folders}
    first = next(iter(folders))
    for folder in folders:
        _check_pictures(folder, specs[folder], states[folder])
        _check_same(first, folder, specs, states)
    used = root or (Path(states[first].root) if states[first].root else None)
    pairs = stored_pairs(first, specs[first], states[first], used)
    found_all = [_competitor(folder, specs[folder], pairs) for folder in folders]
    often = Counter(one.method for one in found_all)
    named = [
        replace(one, method=f"{one.method} [{one.folder.name}]") if often[one.method] > 1 else one
        for one in found_all
    ]
    return named, pairs


def _competitor(folder: Path, spec: RunSpec, pairs: Sequence[Pair]) -> Competitor:
    stage = generated_stages(spec.stages)[-1]
    return Competitor(spec.method, folder, spec, stage, scored_samples(folder, spec, stage, pairs))


def _check_pictures(folder: Path, spec: RunSpec, status: RunStatus) -> None:
    """Raise InputError unless the run ended with a stage that leaves pictures."""
    if status.state in ("failed", "unavailable"):
        raise InputError(f"{folder}: the run is {status.state}: {status.reason}")
    stages = generated_stages(spec.stages)
    if not stages or stages[-1] == "prior":
        raise InputError(
            f"{folder}: stages {spec.stages} leave no picture, expected a picture stage"
        )


def _check_same(
    first: Path, other: Path, specs: dict[Path, RunSpec], states: dict[Path, RunStatus]
) -> None:
    """Raise InputError unless both runs made pictures of the same pairs in the same frame."""
    both = f"{first} and {other}"
    for name in SAME:
        one, two = getattr(specs[first], name), getattr(specs[other], name)
        if one != two:
            raise InputError(
                f"{both} differ in {name} ({one} and {two}): raters could tell them apart by it"
            )
    if states[first].root != states[other].root:
        raise InputError(
            f"{both} differ in the dataset's folder ({states[first].root} and "
            f"{states[other].root}), expected one dataset"
        )
    mine, theirs = set(states[first].pair_ids), set(states[other].pair_ids)
    if mine != theirs:
        raise InputError(
            f"{both} hold different pairs ({len(mine)} and {len(theirs)}, {len(mine & theirs)} in "
            "both): run both with the same --limit"
        )
