"""Score what lies on disk already: run folders again, or a folder of somebody's pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pcdms_bench.progress import Progress
from pcdms_bench.run_folder import RunStatus, rebuild_scores, run_folders
from pcdms_bench.run_scores import score_run
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.images import load_picture
from pcdms_data.pairs import load_pairs
from pcdms_data.types import Gallery, InputError, Pair, Picture, PictureError
from pcdms_reports.records import ScoreRow

SUFFIXES = (".png", ".jpg", ".jpeg")


def rescore_runs(
    folder: Path,
    root: Path | None,
    protocols: Sequence[str],
    metrics: Sequence[str],
    device: str,
    progress: Progress,
) -> tuple[list[ScoreRow], bool]:
    """Score every run folder below `folder` again; returns the rows and whether all pairs scored.

    The pairs are those of each run's last command. `root` replaces the stored dataset folder.
    Raises InputError where there is no run, or its pairs are not in the dataset any more.
    """
    found = run_folders(folder)
    if not found:
        raise InputError(
            f"{folder} holds no run folder (no spec.json): give --targets DIR to score pictures"
        )
    rows: list[ScoreRow] = []
    whole = True
    for place in found:
        spec, status = read_spec(place / "spec.json"), RunStatus.read(place)
        used = root or (Path(status.root) if status.root else None)
        pairs = stored_pairs(place, spec, status, used)
        gallery = _train_gallery(spec, used)
        rows += score_run(place, spec, pairs, gallery, protocols, metrics, device, progress)
        after = RunStatus.read(place)
        whole = whole and not after.failed and after.state == "complete"
    out = found[0].parents[2]
    if (out / "scores.csv").is_file():
        rebuild_scores(out)
    return rows, whole


def stored_pairs(place: Path, spec: RunSpec, status: RunStatus, root: Path | None) -> list[Pair]:
    """Return the pairs of a run folder's last command, in its order."""
    if not status.pair_ids:
        raise InputError(f"{place / 'status.json'} names no pairs: the run was never generated")
    every = load_pairs(
        spec.dataset, root=root, split=spec.split, resolution=spec.frame,
        size=spec.size or "mini", seed=spec.data_seed,
    )  # fmt: skip
    known = {pair.pair_id: pair for pair in every}
    lost = [pair_id for pair_id in status.pair_ids if pair_id not in known]
    if lost:
        raise InputError(
            f"{place}: {len(lost)} of its pairs are not in {spec.dataset} {spec.split}, "
            f"the first is {lost[0]}"
        )
    return [known[pair_id] for pair_id in status.pair_ids]


def _train_gallery(spec: RunSpec, root: Path | None) -> Callable[[], Gallery | None]:
    @cache
    def gallery() -> Gallery | None:
        try:
            return load_pairs(
                spec.dataset, root=root, split="train", resolution=spec.frame,
                size=spec.size or "mini", seed=spec.data_seed, limit=1,
            ).gallery  # fmt: skip
        except InputError:
            return None

    return gallery


@dataclass(frozen=True)
class PictureFolders:
    """Pictures made elsewhere and what they are compared with, paired by name without extension."""

    generated: Path
    targets: Path
    masks: Path | None = None
    reference: Path | None = None


def score_folders(
    folders: PictureFolders, protocol: str, metrics: Sequence[str], allow_missing: bool
) -> list[ScoreRow]:
    """Return one row per metric for a folder of pictures.

    Raises InputError that lists the targets without a decodable picture; with `allow_missing` they
    are left out, and the rows say how many (`n` of `n_expected`).
    """
    from pcdms_bench.public import score_images
    from pcdms_reports.scores import to_rows

    targets, generated = _pictures(folders.targets), _pictures(folders.generated)
    problems = _problems(targets, generated)
    good = [name for name in targets if name not in problems]
    if (problems or set(generated) - set(targets)) and not allow_missing:
        raise InputError(_refusal(folders, problems, sorted(set(generated) - set(targets))))
    if not good:
        raise InputError(f"{folders.generated}: no picture could be paired with a target")
    with TemporaryDirectory() as name:
        scratch = Path(name)
        for kind, files in (("generated", generated), ("targets", targets)):
            (scratch / kind).mkdir()
            for stem in good:
                (scratch / kind / files[stem].name).symlink_to(files[stem].resolve())
        frame = score_images(
            scratch / "generated", scratch / "targets", protocol, folders.reference, folders.masks,
            metrics=metrics,
        )  # fmt: skip
    reason = f"{len(problems)} of {len(targets)} targets without a usable picture"
    return [
        replace(
            row,
            method=folders.generated.resolve().name,
            n_expected=len(targets),
            reason="; ".join(part for part in (reason if problems else "", row.reason) if part),
        )
        for row in to_rows(frame)
        if row.metric in metrics
    ]


def _pictures(folder: Path) -> dict[str, Path]:
    """Return {stem: file} of the pictures in a folder, sorted by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of pictures")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no pictures, expected {', '.join(SUFFIXES)}")
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise InputError(f"{folder}: {file.name} and {stems[file.stem].name} share a name")
        stems[file.stem] = file
    return stems


def _problems(targets: dict[str, Path], generated: dict[str, Path]) -> dict[str, str]:
    """Return {stem: reason} of the targets that cannot be compared with a picture."""
    problems = {}
    for stem, target in targets.items():
        if stem not in generated:
            problems[stem] = "missing"
            continue
        for file in (generated[stem], target):
            try:
                load_picture(Picture(file.name, file))
            except PictureError:
                problems[stem] = f"{file} cannot be decoded"
    return problems


def _refusal(folders: PictureFolders, problems: dict[str, str], surplus: list[str]) -> str:
    """Return the one line that lists what does not pair up."""
    parts = [f"{stem} ({reason})" for stem, reason in list(problems.items())[:10]]
    parts += [f"{stem} (no target)" for stem in surplus[:10]]
    count = len(problems) + len(surplus)
    more = f" and {count - len(parts)} more" if count > len(parts) else ""
    return (
        f"{folders.generated} and {folders.targets} do not pair up: {', '.join(parts)}{more}; "
        "--allow-missing leaves them out"
    )
