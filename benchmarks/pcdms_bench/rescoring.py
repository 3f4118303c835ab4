"""Score run folders again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from pcdms_bench.progress import Progress
from pcdms_bench.run_folder import RunStatus, rebuild_scores, run_folders
from pcdms_bench.run_scores import score_run
from pcdms_bench.spec import RunSpec, read_spec
from pcdms_data.pairs import load_pairs
from pcdms_data.types import Gallery, InputError, Pair
from pcdms_reports.records import ScoreRow


def rescore_runs(
    folder: Path,
    root: Path | None,
    protocols: Sequence[str],
    metrics: Sequence[str],
    device: str,
    progress: Progress,
    set_intervals: bool = False,
) -> tuple[list[ScoreRow], bool]:
    """Score every run folder below `folder` again; returns the rows and whether all pairs scored.

    The pairs are those of each run's last command. `root` replaces the stored dataset folder.
    Raises InputError where there is no run, or its pairs are not in the dataset any more.
    """
    found = run_folders(folder)
    if not found:
        raise InputError(
            f"{folder} holds no run folder (no spec.json): give --targets DIR, --dataset NAME or "
            "--naming NAME to score pictures"
        )
    rows: list[ScoreRow] = []
    whole = True
    for place in found:
        spec, status = read_spec(place / "spec.json"), RunStatus.read(place)
        used = root or (Path(status.root) if status.root else None)
        pairs = stored_pairs(place, spec, status, used)
        gallery = train_gallery(spec, used, status.layout or None)
        rows += score_run(
            place, spec, pairs, gallery, protocols, metrics, device, progress, set_intervals
        )
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
        size=spec.size or "mini", seed=spec.data_seed, layout=status.layout or None,
    )  # fmt: skip
    known = {pair.pair_id: pair for pair in every}
    lost = [pair_id for pair_id in status.pair_ids if pair_id not in known]
    if lost:
        raise InputError(
            f"{place}: {len(lost)} of its pairs are not in {spec.dataset} {spec.split}, "
            f"the first is {lost[0]}"
        )
    return [known[pair_id] for pair_id in status.pair_ids]


def train_gallery(
    spec: RunSpec, root: Path | None, layout: str | None
) -> Callable[[], Gallery | None]:
    """Return a function that gives the pictures of a run's training split, None without one."""

    @cache
    def gallery() -> Gallery | None:
        try:
            return load_pairs(
                spec.dataset, root=root, split="train", resolution=spec.frame,
                size=spec.size or "mini", seed=spec.data_seed, limit=1, layout=layout,
            ).gallery  # fmt: skip
        except InputError:
            return None

    return gallery
