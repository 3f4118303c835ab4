"""A run folder made by several processes: each fills a share of its own, the main one joins them.

A share is a run folder in small, `shares/<process>` inside the run folder. It takes every n-th pair
and, of these, the ones that lack something; what they have already is lent to it. Shares that a
killed command left are joined by the next one, whatever its number of processes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pcdms_bench import selection
from pcdms_bench.generation import Work, generated_stages, lacking_outputs, read_costs
from pcdms_bench.processes import Processes
from pcdms_bench.run_folder import (
    EMBEDDINGS,
    SAMPLES,
    RunStatus,
    read_json,
    read_table,
    sample_name,
    table_text,
    write_json,
    write_text,
)
from pcdms_data.types import Pair

SHARES = "shares"


def open_share(work: Work, processes: Processes) -> Work:
    """Return the work of this process: its share's folder, and the pairs that lack something."""
    mine = list(work.pairs)[processes.index :: processes.count]
    lacking = {
        pair_id
        for stage in generated_stages(work.spec.stages)
        for pair_id in lacking_outputs(work, stage, mine)
    }
    todo = [pair for pair in mine if pair.pair_id in lacking]
    folder = work.folder / SHARES / str(processes.index)
    if todo:
        _lend(work, folder, todo)
    return replace(work, folder=folder, pairs=todo)


def join_shares(folder: Path, pair_ids: Sequence[str]) -> list[RunStatus]:
    """Move what the shares of a run folder hold into it; return their states. Main process only.

    New embeddings and selections come in the order of `pair_ids`, as one process would write them.
    """
    shares = sorted((folder / SHARES).glob("*"), key=lambda path: path.name.zfill(9))
    if not shares:
        return []
    _join_embeddings(folder, shares, pair_ids)
    _join_pictures(folder, shares)
    _join_selections(folder, shares, pair_ids)
    _join_costs(folder, shares)
    states = [RunStatus.read(share) for share in shares]
    shutil.rmtree(folder / SHARES)
    return states


def joined_status(work: Work, states: Sequence[RunStatus]) -> RunStatus:
    """Return the status of a run whose shares came to these states, and write it."""
    status = RunStatus.read(work.folder)
    status.root, status.layout = work.root, work.layout
    status.reason, status.failed = "", {}
    status.pair_ids = [pair.pair_id for pair in work.pairs]
    for state in states:
        status.failed |= state.failed
        if state.state == "failed":
            status.reason = state.reason
    status.state = "partial" if status.failed else "complete"
    if status.reason:
        status.state = "failed"
    status.write(work.folder)
    return status


def _lend(work: Work, folder: Path, pairs: Iterable[Pair]) -> None:
    """Put into a share what its pairs have already: the next stage reads it there."""
    from pcdms.embedding_file import read_embeddings, write_embeddings

    ids = [pair.pair_id for pair in pairs]
    known = read_embeddings(_embeddings_of(work.folder))
    write_embeddings(folder / EMBEDDINGS, {i: known[i] for i in ids if i in known})
    for stage in generated_stages(work.spec.stages):
        for pair_id in ids:
            for sample in range(work.spec.samples):
                path = Path(SAMPLES) / stage / sample_name(pair_id, sample)
                if (work.folder / path).is_file():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    _link(work.folder / path, folder / path)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system knows no second names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _embeddings_of(folder: Path) -> Path:
    """Return where a run folder's embeddings lie: a killed process leaves them among the samples.

    The path need not exist.
    """
    inside = folder / SAMPLES / EMBEDDINGS
    return inside if inside.is_file() else folder / EMBEDDINGS


def _join_embeddings(folder: Path, shares: Sequence[Path], pair_ids: Sequence[str]) -> None:
    from pcdms.embedding_file import read_embeddings, write_embeddings

    known = read_embeddings(_embeddings_of(folder))
    found = {
        key: row for share in shares for key, row in read_embeddings(_embeddings_of(share)).items()
    }
    fresh = {key: row for key, row in found.items() if key not in known}
    if not fresh:
        return
    order = {pair_id: place for place, pair_id in enumerate(pair_ids)}
    for key in sorted(fresh, key=lambda name: order.get(name, len(order))):
        known[key] = fresh[key]
    write_embeddings(folder / EMBEDDINGS, known)
    (folder / SAMPLES / EMBEDDINGS).unlink(missing_ok=True)


def _join_pictures(folder: Path, shares: Sequence[Path]) -> None:
    for share in shares:
        for picture in sorted((share / SAMPLES).glob("*/*.png")):
            target = folder / picture.relative_to(share)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                picture.replace(target)


def _join_selections(folder: Path, shares: Sequence[Path], pair_ids: Sequence[str]) -> None:
    columns, name = selection.COLUMNS, selection.FILE
    rows = {(row["stage"], row["pair"]): row for row in read_table(folder / name, columns)}
    found = [row for share in shares for row in read_table(share / name, columns)]
    order = {pair_id: place for place, pair_id in enumerate(pair_ids)}
    for row in sorted(found, key=lambda row: order.get(row["pair"], len(order))):
        rows.setdefault((row["stage"], row["pair"]), row)
    if found:
        cells = [[row[column] for column in columns] for row in rows.values()]
        write_text(folder / name, table_text(columns, cells))


def _join_costs(folder: Path, shares: Sequence[Path]) -> None:
    """Add up what the stages cost: the seconds are those of all processes together."""
    records = [read_json(share / "environment.json") for share in shares]
    records = [record for record in records if record]
    if not records:
        return
    earlier = read_json(folder / "environment.json")
    costs = read_costs(folder)
    for share in shares:
        for stage, cost in read_costs(share).items():
            costs[stage] = costs[stage].plus(cost) if stage in costs else cost
    record = records[0]
    reduced = [one["reduced_chunk"] for one in (earlier, *records) if "reduced_chunk" in one]
    if reduced:
        record["reduced_chunk"] = min(reduced)
    record["processes"] = len(shares)
    record["stages"] = {name: asdict(cost) for name, cost in costs.items()}
    write_json(folder / "environment.json", record)
