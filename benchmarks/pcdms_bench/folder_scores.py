"""Score a folder of pictures made elsewhere: against a dataset, a folder of targets, or its sheets.

A picture without a partner, a second picture of a pair and a name that tells no pair are errors
that list them; when they may be left out, `n` of the rows is lower than `n_expected`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pcdms_bench.measuring import Plan, Task, measure
from pcdms_bench.naming import AUTO, NAMINGS
from pcdms_bench.picture_content import PersonMask, PictureSource
from pcdms_bench.picture_scores import Around, picture_scores
from pcdms_bench.progress import Progress
from pcdms_bench.protocols import Protocol, protocol_for, reading_files
from pcdms_bench.result_folder import (
    SHOWN,
    ResultFolder,
    Square,
    one_size,
    picture_files,
    read_results,
)
from pcdms_bench.result_store import open_store
from pcdms_bench.score_memory import shared_memory
from pcdms_bench.scoring import ScoreContext, chosen_metrics, score_row
from pcdms_bench.set_metrics import SET_METRICS
from pcdms_data.pair_names import Known, SpeltNames
from pcdms_data.pairs import PairSet, load_pairs
from pcdms_data.types import InputError, Pair, Picture
from pcdms_reports.records import ScoreRow

SAME_SHEET = "same-sheet"
"""Pairing of protocols that read the target from the sheet that holds the picture."""


@dataclass(frozen=True)
class DatasetTargets:
    """The dataset whose pairs a folder was made for."""

    dataset: str
    root: Path | None = None
    split: str = "test"
    size: str = "mini"
    resolution: tuple[int, int] | None = None
    layout: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class FolderRequest:
    """A folder of pictures and what it is compared with.

    `targets` is a dataset, a folder of targets, or None for the target tiles of the sheets.
    `masks` and `reference` are folders: label maps under the targets' names, training pictures.
    """

    generated: Path
    targets: DatasetTargets | Path | None = None
    naming: str = AUTO
    square: Square = "auto"
    tile: int | None = None
    masks: Path | None = None
    reference: Path | None = None
    method: str = ""
    author_resized: bool = False
    """The pictures went through a resize of whoever collected them; the rows say so."""
    allow_missing: bool = False
    set_intervals: bool = False
    """Whether set metrics get intervals also where they take long."""


@dataclass(frozen=True)
class _Partners:
    """What the pictures are compared with."""

    known: Known
    targets: Mapping[str, Picture]
    """Target stem -> picture; empty where the sheets hold them."""
    frame: tuple[int, int] | None
    dataset: str = "folder"
    split: str = ""
    pairs: Mapping[str, Pair] | None = None
    gallery: Callable[[], Sequence[Picture]] = tuple


def score_folder(
    request: FolderRequest,
    protocols: Sequence[str],
    metrics: Sequence[str],
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[ScoreRow]:
    """Return one row per protocol and metric, all protocols over one pass of the pictures.

    Pictures of one side have one size, else it is an error; from there the protocols' own resize
    brings both sides into the metric frame, and the rows say from which size. Grey, RGBA and 16-bit
    files are converted as `load_picture` says. Raises InputError on whatever does not pair up.
    """
    progress = progress or Progress(silent=True)
    partners = _partners(request, progress)
    found = read_results(
        request.generated, request.naming, partners.known, partners.frame, request.square,
        request.tile,
    )  # fmt: skip
    if not request.allow_missing and (refusal := found.refusal()):
        raise InputError(refusal)
    if not found.pictures:
        raise InputError(f"{request.generated}: no picture could be paired with a target")
    return _Scoring(request, partners, found).rows(protocols, metrics, device, progress)


def _partners(request: FolderRequest, progress: Progress) -> _Partners:
    targets = request.targets
    if isinstance(targets, DatasetTargets):
        return _of_dataset(targets, progress)
    if targets is None:
        if request.naming not in NAMINGS or NAMINGS[request.naming].target_tile is None:
            sheets = [name for name, one in NAMINGS.items() if one.target_tile is not None]
            raise InputError(
                f"{request.generated}: nothing to compare with: give --targets DIR, --dataset NAME "
                f"or a naming whose sheets hold the target ({', '.join(sheets)})"
            )
        return _Partners(Known(), {}, None)
    stems: dict[str, Picture] = {}
    for file in picture_files(targets, "targets"):
        if file.stem in stems:
            raise InputError(f"{targets}: {file.name} and {stems[file.stem].name} share a name")
        stems[file.stem] = Picture(file.name, file)
    known = Known(targets=SpeltNames(file.name for file in stems.values()))
    return _Partners(known, stems, one_size(stems, f"targets in {targets}"))


def _of_dataset(targets: DatasetTargets, progress: Progress) -> _Partners:
    def load(split: str, limit: int | None) -> PairSet:
        return load_pairs(
            targets.dataset, root=targets.root, split=split, resolution=targets.resolution,
            size=targets.size, limit=limit, layout=targets.layout,
            progress=progress.follow(f"reading {split}"),
        )  # fmt: skip

    def gallery() -> Sequence[Picture]:
        try:
            return load("train", 1).gallery.pictures
        except InputError:
            return ()  # the rows of set metrics say that there are none

    pairs = load(targets.split, targets.limit)
    listed = {pair.pair_id: pair for pair in pairs}
    known = Known.of_pairs([(p.source.name, p.target.name, p.pair_id) for p in listed.values()])
    return _Partners(known, {}, pairs.resolution, targets.dataset, targets.split, listed, gallery)


@dataclass(frozen=True)
class _Scoring:
    """One folder that pairs up, on its way to rows."""

    request: FolderRequest
    partners: _Partners
    found: ResultFolder

    @cached_property
    def made(self) -> tuple[int, int]:
        """Size (H, W) of the pictures."""
        return one_size(self.found.pictures, f"pictures in {self.request.generated}")

    @cached_property
    def expected(self) -> int:
        """Number of pictures that a complete folder has."""
        if self.partners.pairs is not None:
            return len(self.partners.pairs)
        return len(self.found.pictures) + len(self.found.broken) + len(self.found.missing)

    def rows(
        self, names: Sequence[str], metrics: Sequence[str], device: str, progress: Progress
    ) -> list[ScoreRow]:
        """Return the rows of every protocol, in the order of `names`."""
        frame = self.partners.frame or self.made
        recipes = [self._recipe(name, frame) for name in names]
        plans = [Plan(recipe, chosen_metrics(recipe, metrics)) for recipe in recipes]
        wanted = {name for plan in plans for name in plan.metrics}
        reference = self._reference(wanted)
        rows: dict[int, list[ScoreRow]] = {}
        from_sheets = [self._from_sheets(recipe) for recipe in recipes]
        for sheets in sorted(set(from_sheets)):
            chosen = [i for i, own in enumerate(from_sheets) if own == sheets]
            part = self._measured([plans[i] for i in chosen], sheets, reference, device, progress)
            rows |= dict(zip(chosen, part, strict=True))
        return [row for i in range(len(plans)) for row in rows[i]]

    def _recipe(self, name: str, frame: tuple[int, int]) -> Protocol:
        """Return a protocol; pictures of the targets' size are taken for its own files."""
        recipe = protocol_for(name, self.partners.dataset, frame)
        recipe = replace(recipe, set_intervals=self.request.set_intervals)
        own = self.partners.pairs is None and self.made == frame
        return reading_files(recipe) if own else recipe

    def _from_sheets(self, recipe: Protocol) -> bool:
        """Whether the targets are those on the sheets: the protocol says so, or there are none."""
        nothing_else = not self.partners.targets and self.partners.pairs is None
        return bool(self.found.targets) and (recipe.pairing == SAME_SHEET or nothing_else)

    def _reference(self, wanted: set[str]) -> Sequence[Picture]:
        if not any(name in SET_METRICS and SET_METRICS[name].needs_reference for name in wanted):
            return ()
        if self.request.reference is not None:
            files = picture_files(self.request.reference, "reference")
            return [Picture(file.name, file) for file in files]
        return self.partners.gallery()

    def _measured(
        self,
        plans: Sequence[Plan],
        sheets: bool,
        reference: Sequence[Picture],
        device: str,
        progress: Progress,
    ) -> list[list[ScoreRow]]:
        """Return the rows of each plan."""
        tasks = self._tasks(sheets)
        memory = shared_memory()
        rows: list[list[ScoreRow]] = []
        title = f"scoring {self.request.generated.resolve().name}"
        with open_store() as store, progress.task(title, len(tasks)) as advance:
            around = Around(reference, memory, store)
            results = measure(tasks, plans, memory, store, "first", device, advance)
            for plan, measured in zip(plans, results, strict=True):
                if measured.problems and not self.request.allow_missing:
                    raise InputError(self._undecodable(measured.problems))
                scores = picture_scores(plan.metrics, tasks, measured, plan.protocol, around)
                notes = self._notes(plan.protocol, sheets)
                rows.append(
                    [
                        self._noted(
                            score_row(s, "final", plan.protocol, self._context(), self.expected),
                            notes,
                        )
                        for s in scores
                    ]
                )
        return rows

    def _tasks(self, sheets: bool) -> list[Task]:
        """Return the pairs that have a picture, in the order of the pair list or of names."""
        pairs = self.partners.pairs
        order = [i for i in pairs if i in self.found.pictures] if pairs else self.found.pictures
        masks = self._masks()
        tasks = []
        for pair_id in order:
            pair = pairs[pair_id] if pairs else None
            if sheets:
                target = self.found.targets[pair_id]
            elif pair is not None:
                target = pair.target
            else:
                target = self.partners.targets[self.found.target_names[pair_id]]
            mask = PersonMask(pair.target_mask, pair.target_pose) if pair else masks.get(pair_id)
            picture = PictureSource(self.found.pictures[pair_id])
            tasks.append(Task(pair_id, [picture], PictureSource(target), mask))
        return tasks

    def _masks(self) -> dict[str, PersonMask]:
        """Return the masks of a folder by pair id, none where no folder is given."""
        if self.request.masks is None or self.partners.pairs is not None:
            return {}
        files = {file.stem: file for file in picture_files(self.request.masks, "masks")}
        wanted = {i: self.found.target_names[i] for i in self.found.pictures}
        lost = sorted(set(wanted.values()) - set(files))
        if lost:
            raise InputError(f"masks {self.request.masks} lack {', '.join(lost[:SHOWN])}")
        return {
            pair_id: PersonMask(Picture(files[stem].name, files[stem]), None)
            for pair_id, stem in wanted.items()
        }

    def _undecodable(self, problems: Mapping[str, str]) -> str:
        reasons = list(dict.fromkeys(problems.values()))
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        return (
            f"{len(problems)} pairs of {self.request.generated} cannot be scored: "
            f"{'; '.join(reasons[:SHOWN])}{more}; --allow-missing leaves them out"
        )

    def _notes(self, recipe: Protocol, sheets: bool) -> list[str]:
        """Return what the rows say of the way from the files to the pictures."""
        notes = list(self.found.notes)
        if sheets:
            notes.append("targets from the same sheets")
        lacking = self.expected - len(self.found.pictures)
        if lacking:
            notes.append(f"{lacking} of {self.expected} pairs without a usable picture")
        surplus = len(self.found.unmatched) + len(self.found.duplicates)
        if surplus:
            notes.append(f"{surplus} files without a pair of their own left out")
        if self.made != recipe.frame:
            height, width = self.made
            notes.append(f"pictures are {height}x{width}")
        return notes

    def _context(self) -> ScoreContext:
        return ScoreContext(
            run="", method=self.request.method or self.request.generated.resolve().name,
            stages="final", dataset=self.partners.dataset, split=self.partners.split,
            selection="first", samples=1, weights="", seed=0,
            resolution=self.partners.frame or self.made,
        )  # fmt: skip

    def _noted(self, row: ScoreRow, notes: Sequence[str]) -> ScoreRow:
        reference = row.reference
        if self.request.author_resized:
            reference = ";".join(part for part in (reference, "author-resized") if part)
        reason = "; ".join(part for part in (*notes, row.reason) if part)
        return replace(row, reference=reference, reason=reason)
