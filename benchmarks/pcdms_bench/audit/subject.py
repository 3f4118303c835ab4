"""What is audited: the pictures of one stage of one run, or of two plain folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcdms_bench.audit.choices import Files
from pcdms_bench.audit.files import generated_source, stored, target_source
from pcdms_bench.generation import generated_stages
from pcdms_bench.measuring import Task
from pcdms_bench.picture_content import PersonMask
from pcdms_bench.rescoring import stored_pairs
from pcdms_bench.result_folder import one_size, picture_files
from pcdms_bench.run_folder import SAMPLES, RunStatus, run_folders, sample_name
from pcdms_bench.spec import read_spec
from pcdms_bench.suggestions import check_choice
from pcdms_data.pairs import load_pairs
from pcdms_data.types import InputError, Keypoints, Picture


@dataclass(frozen=True, eq=False)
class AuditedPair:
    """One pair: its samples, its target, and the target's person where that is known."""

    pair_id: str
    samples: tuple[Picture, ...]
    target: Picture
    mask: Picture | None = None
    pose: Keypoints | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A set of generated pictures with their targets and the training pictures."""

    run: str
    method: str
    stage: str
    dataset: str
    split: str
    resolution: tuple[int, int]
    """Frame (H, W) of the run, or of the first target."""
    pairs: tuple[AuditedPair, ...]
    training: Callable[[], Sequence[Picture]]
    """The pictures that set metrics compare with; empty where there are none."""
    refuses_broken: bool = False
    """Whether a picture that cannot be scored is an error; in a run it is a failed pair."""

    @property
    def samples(self) -> int:
        """Return how many samples every pair has."""
        return min(len(pair.samples) for pair in self.pairs)

    def tasks(self, files: Files) -> list[Task]:
        """Return the pairs to measure, after what happened to their files."""
        return [
            Task(
                pair.pair_id,
                [generated_source(stored(sample), files) for sample in pair.samples],
                target_source(stored(pair.target), files),
                PersonMask(pair.mask, pair.pose),
            )
            for pair in self.pairs
        ]


def run_subject(folder: Path, stage: str | None, root: Path | None, limit: int | None) -> Subject:
    """Return a stage (default: the last) of the run folder `folder`, or of the one run below it.

    Pairs without a picture are left out. Raises InputError when there is no run, more than one, or
    no picture.
    """
    found = run_folders(folder)
    if not found:
        raise InputError(
            f"{folder} holds no run folder (no spec.json): give --targets DIR for plain pictures"
        )
    if len(found) > 1:
        runs = ", ".join(str(path) for path in found[:6])
        raise InputError(f"{folder} holds {len(found)} runs, expected one of them: {runs}")
    place = found[0]
    spec, status = read_spec(place / "spec.json"), RunStatus.read(place)
    stages = [name for name in generated_stages(spec.stages) if name != "prior"]
    chosen = check_choice("stage", stage, stages) if stage else stages[-1]
    used_root = root or (Path(status.root) if status.root else None)
    pairs = []
    for pair in stored_pairs(place, spec, status, used_root)[:limit]:
        names = [sample_name(pair.pair_id, k) for k in range(spec.samples)]
        samples = [Picture(name, place / SAMPLES / chosen / name) for name in names]
        samples = [picture for picture in samples if picture.path.is_file()]
        if samples:
            pairs.append(
                AuditedPair(
                    pair.pair_id, tuple(samples), pair.target, pair.target_mask, pair.target_pose
                )
            )
    if not pairs:
        raise InputError(f"{place / SAMPLES / chosen} holds no picture of this run's pairs")

    def training() -> Sequence[Picture]:
        try:
            pair_set = load_pairs(
                spec.dataset, root=used_root, split="train", resolution=spec.frame,
                size=spec.size or "mini", seed=spec.data_seed, limit=1,
            )  # fmt: skip
        except InputError:
            return ()
        return pair_set.gallery.pictures

    return Subject(
        spec.hash8,
        spec.method,
        chosen,
        spec.dataset,
        spec.split,
        spec.frame,
        tuple(pairs),
        training,
    )


def folder_subject(
    generated: Path, targets: Path, masks: Path | None, reference: Path | None, limit: int | None
) -> Subject:
    """Return two folders of pictures, paired by name without extension.

    Raises InputError on folders without pictures or with pictures of several sizes, and lists names
    that do not pair up.
    """
    made, true = _pictures(generated, "pictures"), _pictures(targets, "targets")
    odd = sorted(set(made) ^ set(true))
    if odd:
        raise InputError(
            f"{generated} and {targets} do not pair up: {', '.join(odd[:10])}"
            + (f" and {len(odd) - 10} more" if len(odd) > 10 else "")
        )
    one_size(made, f"pictures in {generated}")
    persons = _pictures(masks, "masks") if masks else {}
    lost = [name for name in made if masks and name not in persons]
    if lost:
        raise InputError(f"{masks} lacks {', '.join(lost[:5])}")
    pairs = [
        AuditedPair(name, (made[name],), true[name], persons.get(name))
        for name in list(made)[:limit]
    ]
    known = tuple(_pictures(reference, "reference").values()) if reference else ()
    return Subject(
        "", generated.resolve().name, "final", "folder", "",
        one_size(true, f"targets in {targets}"), tuple(pairs), lambda: known, refuses_broken=True,
    )  # fmt: skip


def _pictures(folder: Path, what: str) -> dict[str, Picture]:
    """Return {stem: picture} of a folder, sorted by name."""
    found: dict[str, Picture] = {}
    for file in picture_files(folder, what):
        if file.stem in found:
            raise InputError(f"{folder}: {file.name} and {found[file.stem].name} share a name")
        found[file.stem] = Picture(file.name, file)
    return found
