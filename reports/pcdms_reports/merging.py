"""Which runs may share a comparison, and for those that may not, the reason in words.

Numbers stand side by side only where they were measured on the same pairs of the same data under
one protocol. What differs gets a section of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pcdms_reports.folders import RunFolder, find_runs
from pcdms_reports.scores import to_frame
from pcdms_reports.tables import COMPARABLE, comparable_frames

FACETS = ("dataset and split", "size", "data seed", "convention of the pictures")
"""What two runs must have in common beside the list of pairs; as words for a reason."""
SECTIONS = {"resolution": "frame"}
"""Columns of `COMPARABLE` whose word is another one."""

Data = tuple[str, ...]
Pairs = tuple[int, str]
"""Number of pairs, and 8 hex digits of their list; empty where the run does not name its pairs."""


@dataclass(frozen=True)
class Part:
    """Runs on the same pairs of the same data; `scores` are their rows on these pairs."""

    name: str
    data: Data
    pairs: Pairs
    runs: tuple[RunFolder, ...]
    scores: pd.DataFrame


@dataclass(frozen=True)
class Merged:
    """The parts of a report in order of appearance; `apart` says why they are not one part.

    `runs` are all runs, those of equal name told apart; one that is a copy is left out.
    """

    parts: tuple[Part, ...]
    runs: tuple[RunFolder, ...]
    apart: tuple[str, ...]


def merging_notices(roots: Sequence[Path]) -> tuple[str, ...]:
    """Return why the runs below `roots` are not one comparison, a line each; () where they are."""
    return merge_runs(find_runs(roots)).apart


def merge_runs(runs: Sequence[RunFolder]) -> Merged:
    """Sort runs into the parts that may be compared.

    Runs are of one part where dataset, split, size, data seed, convention of the pictures and pairs
    agree; a run that does not name its pairs joins those with as many pairs, unless there are
    several lists of that length.
    """
    told, notices = _told_apart(runs)
    keys: dict[tuple[Data, Pairs], list[tuple[RunFolder, pd.DataFrame]]] = {}
    for run in told:
        if run.scores is None or not len(run.scores):
            continue
        for count, rows in run.scores.groupby("n_expected", sort=False):
            number = int(str(count))
            key = (_data(run), (number, _list_digest(run, number)))
            keys.setdefault(key, []).append((run, rows))
    joined: dict[tuple[Data, Pairs], list[tuple[RunFolder, pd.DataFrame]]] = {}
    for (data, (count, digest)), members in keys.items():
        lists = {key[1][1] for key in keys if key[0] == data and key[1][0] == count} - {""}
        used = next(iter(lists)) if not digest and len(lists) == 1 else digest
        joined.setdefault((data, (count, used)), []).extend(members)
    parts = []
    for data, pairs in joined:
        rivals = [key[1] for key in joined if key[0] == data]
        members = joined[data, pairs]
        frame = pd.concat([rows for _, rows in members], ignore_index=True)
        own = [run for run, _ in members] + _unscored(told, data, pairs, rivals)
        name = _name(data, pairs, list(joined))
        parts.append(Part(name, data, pairs, tuple(own), frame))
    return Merged(tuple(parts), tuple(told), (*_reasons(parts), *notices))


def scores_of(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """Return the score rows of all runs in one frame."""
    frames = [run.scores for run in runs if run.scores is not None and len(run.scores)]
    return pd.concat(frames, ignore_index=True) if frames else to_frame([])


def named_pairs(run: RunFolder) -> list[str]:
    """Return the pairs of a run's last command, from its `status.json`; [] where not recorded."""
    found = (run.status or {}).get("pair_ids")
    return [str(pair) for pair in found] if isinstance(found, list) else []


def _list_digest(run: RunFolder, count: int) -> str:
    """Return 8 hex digits over the sorted pair ids; empty unless the run names as many pairs."""
    pairs = named_pairs(run)
    if len(pairs) != count:
        return ""
    return hashlib.sha256("\n".join(sorted(pairs)).encode()).hexdigest()[:8]


def _data(run: RunFolder) -> Data:
    """Return what a run was made on, a text for each of `FACETS`; `scores.csv` lacks the size."""
    spec = run.spec or {}
    folder = run.examples.parent.name
    if run.scores is not None and len(run.scores):
        first = run.scores.iloc[0]
        folder = "-".join(part for part in (str(first["dataset"]), str(first["split"])) if part)
    seed = spec.get("data_seed") or 0
    return folder, str(spec.get("size") or ""), str(seed), str(spec.get("convention") or "")


def _name(data: Data, pairs: Pairs, keys: Sequence[tuple[Data, Pairs]]) -> str:
    """Return the shortest heading that tells a part from the others, `keys`."""
    folder, size, seed, convention = data
    name = f"{folder}, size {size}" if size else folder
    name += f", data seed {seed}" if seed != "0" else ""
    if any(other[:3] == data[:3] and other[3] != convention for other, _ in keys):
        name += f", {convention or 'no convention recorded'}"
    rivals = [other for own, other in keys if own == data]
    if len(rivals) > 1:
        name += f", {_pairs_words(pairs, rivals)}"
    return name


def _pairs_words(pairs: Pairs, rivals: Sequence[Pairs]) -> str:
    count, digest = pairs
    words = f"{count} {'pair' if count == 1 else 'pairs'}"
    if sum(rival[0] == count for rival in rivals) == 1:
        return words
    return f"{words} of list {digest}" if digest else f"{words} of a list that is not recorded"


def _unscored(
    runs: Sequence[RunFolder], data: Data, pairs: Pairs, rivals: Sequence[Pairs]
) -> list[RunFolder]:
    """Return the runs without scores that belong to a part: their pictures are shown there."""
    found = []
    for run in runs:
        if run.scores is None and _data(run) == data:
            count = len(named_pairs(run))
            own = (count, _list_digest(run, count))
            if own == pairs or (own not in rivals and pairs == rivals[0]):
                found.append(run)
    return found


def _reasons(parts: Sequence[Part]) -> list[str]:
    """Return a line for every part, and every section of one, that shares no run with another."""
    lines = []
    for i, part in enumerate(parts):
        if i:
            other = max(parts[:i], key=lambda one: _likeness(one, part))
            lines.append(f"not merged: {other.name!r} and {part.name!r} {_difference(other, part)}")
        lines += _section_reasons(part)
    return lines


def _likeness(one: Part, other: Part) -> int:
    return sum(a == b for a, b in zip(one.data, other.data, strict=True))


def _difference(one: Part, other: Part) -> str:
    facets = [
        f"{name} ({a or 'none'} and {b or 'none'})"
        for name, a, b in zip(FACETS, one.data, other.data, strict=True)
        if a != b
    ]
    if facets:
        return f"differ in {', '.join(facets)}"
    if one.pairs[0] != other.pairs[0]:
        return f"differ in their pairs ({one.pairs[0]} and {other.pairs[0]})"
    lists = " and ".join(digest or "not recorded" for _, digest in (one.pairs, other.pairs))
    return f"differ in their pairs (both {one.pairs[0]}, lists {lists})"


def sections(part: Part) -> list[pd.DataFrame]:
    """Return the rows of a part cut into what may share a table, each with its own runs alone.

    Rows without a protocol, such as costs, stand in every section that their run has scores in.
    """
    frames = []
    for frame in comparable_frames(part.scores):
        scored = set(frame["run"][frame["protocol"] != ""])
        frames.append(frame[frame["run"].isin(list(scored))] if scored else frame)
    return frames


def _section_reasons(part: Part) -> list[str]:
    """Return why a part has sections without a run in common: protocol, frame or selection."""
    frames = sections(part)
    lines = []
    for i, frame in enumerate(frames[1:], start=1):
        own = set(frame["run"])
        if any(own & set(other["run"]) for other in frames[:i]):
            continue
        differing = [
            f"{SECTIONS.get(name, name)} ({_held(frames[0], name)} and {_held(frame, name)})"
            for name in COMPARABLE
            if _held(frames[0], name) != _held(frame, name)
        ]
        methods = [", ".join(dict.fromkeys(map(str, f["method"]))) for f in (frames[0], frame)]
        lines.append(
            f"not merged: of {part.name!r}, the runs of {methods[0]} and those of {methods[1]} "
            f"differ in {', '.join(differing)}"
        )
    return lines


def _held(frame: pd.DataFrame, column: str) -> str:
    return next((str(value) for value in frame[column] if value), "none")


def _told_apart(runs: Sequence[RunFolder]) -> tuple[list[RunFolder], list[str]]:
    """Return the runs with names of their own, without copies, and a line for each copy.

    The same run (method and hash) may lie in two output folders. Where its scores and pairs are
    equal but for the costs, it is shown once; else each is named after its output folder.
    """
    same: dict[tuple[Data, str, str], list[RunFolder]] = {}
    for run in runs:
        same.setdefault((_data(run), run.method, run.run), []).append(run)
    told: list[RunFolder] = []
    notices: list[str] = []
    for group in same.values():
        kept: list[RunFolder] = []
        for run in group:
            twin = next((other for other in kept if _is_copy(run, other)), None)
            if twin is None:
                kept.append(run)
                continue
            places = _places([twin, run])
            notices.append(
                f"shown once: {run.method} [{run.run}] has equal scores in {places[0]} and "
                f"{places[1]}"
            )
        told += [_named(run, place) for run, place in zip(kept, _places(kept), strict=True)]
    order = {run.path: i for i, run in enumerate(runs)}
    return sorted(told, key=lambda run: order[run.path]), notices


def _named(run: RunFolder, place: str) -> RunFolder:
    if not place:
        return run
    name = f"{run.run} in {place}"
    scores = None if run.scores is None else run.scores.assign(run=name)
    if scores is not None:
        scores = scores.astype({"run": "string"})
    return replace(run, scores=scores, name=name)


def _places(runs: Sequence[RunFolder]) -> list[str]:
    """Return the shortest ends of the output folders' paths that differ; nothing for one run."""
    if len(runs) < 2:
        return ["" for _ in runs]
    parts = [run.path.parent.parent.parent.parts for run in runs]
    for length in range(1, max(map(len, parts)) + 1):
        places = ["/".join(part[-length:]) for part in parts]
        if len(set(places)) == len(places):
            return places
    return [str(run.path) for run in runs]


def _is_copy(run: RunFolder, other: RunFolder) -> bool:
    """Tell whether two folders hold the same numbers of the same pairs; costs may differ."""
    if run.scores is None or other.scores is None or named_pairs(run) != named_pairs(other):
        return False
    ours, theirs = (
        frame[frame["protocol"] != ""]
        .sort_values(["stage", "protocol", "metric", "selection"])
        .reset_index(drop=True)
        for frame in (run.scores, other.scores)
    )
    return bool(ours.equals(theirs))
