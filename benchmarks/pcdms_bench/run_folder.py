"""The folder of a run: where its files lie, which are there, and how they are written safely."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from pcdms_bench.spec import RunSpec
from pcdms_data.types import InputError
from pcdms_reports.records import COLUMNS, SCHEMA, ScoreRow

SAMPLES = "samples"
EMBEDDINGS = "embeddings.safetensors"


def run_path(out: Path, spec: RunSpec) -> Path:
    """Return `out/<dataset>-<split>/<method>/<hash8>`; nothing is created."""
    return out / f"{spec.dataset}-{spec.split}" / spec.method / spec.hash8


def write_text(path: Path, text: str) -> bool:
    """Write `text` through a temporary name; True when the file changed, False when it was so."""
    data = text.encode("utf-8")
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
    return True


def write_json(path: Path, value: object) -> bool:
    """Write `value` as indented JSON; True when the file changed."""
    return write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, {} when there is no file; raises InputError if broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected a JSON object")
    return value


def sample_name(pair_id: str, sample: int) -> str:
    """Return the file name of one sample of a pair: sample 0 plain, sample k `<pair_id>.<k>`."""
    return f"{pair_id}.png" if sample == 0 else f"{pair_id}.{sample}.png"


def missing_pictures(
    folder: Path, stage: str, pair_ids: Sequence[str], samples: int
) -> dict[str, int]:
    """Return {pair_id: number of samples not there} for the pairs that lack any."""
    place = folder / SAMPLES / stage
    there = {entry.name for entry in os.scandir(place)} if place.is_dir() else set()
    lacks = {
        pair_id: sum(sample_name(pair_id, k) not in there for k in range(samples))
        for pair_id in pair_ids
    }
    return {pair_id: count for pair_id, count in lacks.items() if count}


_KINDS: dict[type, str] = {str: "a text", list: "a list of texts", dict: "an object"}


@dataclass
class RunStatus:
    """Contents of `status.json`: what is finished, what failed and why."""

    state: str = "partial"
    """`complete`, `partial` (interrupted or some pairs failed), `failed` or `unavailable`."""
    reason: str = ""
    root: str = ""
    """Root of a dataset on disk; guards against two datasets sharing one folder."""
    layout: str = ""
    """Layout that the dataset was read in."""
    pair_ids: list[str] = field(default_factory=list[str])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    """Pair id -> why its picture could not be made or scored."""
    fallbacks: dict[str, int] = field(default_factory=dict[str, int])
    """What a method did instead where it lacked something, such as key points -> pairs."""

    @classmethod
    def read(cls, folder: Path) -> RunStatus:
        """Return the stored status, or an empty one."""
        path = folder / "status.json"
        value = read_json(path)
        unknown = set(value) - set(cls.__dataclass_fields__)
        if unknown:
            raise InputError(f"{path} holds unknown keys: {', '.join(sorted(unknown))}")
        plain = cls()
        for key, found in value.items():
            kind = type(getattr(plain, key))
            inside = found if isinstance(found, list) else ()
            if not isinstance(found, kind) or not all(isinstance(each, str) for each in inside):
                raise InputError(f"{path}: {key} is {found!r:.60}, expected {_KINDS[kind]}")
        return cls(**value)

    def write(self, folder: Path) -> None:
        """Store the status."""
        write_json(folder / "status.json", vars(self))


def clear_run(folder: Path) -> None:
    """Delete what a run generated and scored, so that it is made afresh; keeps foreign files."""
    for name in (SAMPLES, "shares"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (
        EMBEDDINGS, "status.json", "environment.json", "scores.csv", "pairs.csv", "selection.csv"
    ):  # fmt: skip
        (folder / name).unlink(missing_ok=True)


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV text; None becomes an empty cell, floats keep all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if cell is None else cell for cell in row])
    return buffer.getvalue()


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file with exactly these columns; [] when there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        header = list(reader.fieldnames or ())
        if header != list(columns):
            raise InputError(f"{path}:1: {_other_columns(header, columns)}")
        return list(reader)


def _other_columns(header: Sequence[str], columns: Sequence[str]) -> str:
    """Return how the columns of a file differ from those it should have."""
    missing = [name for name in columns if name not in header]
    surplus = [name for name in header if name not in columns]
    parts = [
        f"{kind} column {', '.join(map(repr, names))}"
        for kind, names in (("missing", missing), ("surplus", surplus))
        if names
    ]
    what = f"a score file of schema {SCHEMA}: " if tuple(columns) == COLUMNS else ""
    return f"{'; '.join(parts) or 'another order'}, expected {what}{', '.join(columns)}"


def merge_table(
    path: Path,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> bool:
    """Add `rows` to a CSV file, replacing rows of equal `key`; True when the file changed."""
    fresh = list(csv.DictReader(io.StringIO(table_text(columns, rows))))
    merged = {tuple(row[k] for k in key): row for row in read_table(path, columns)}
    merged.update({tuple(row[k] for k in key): row for row in fresh})
    return write_text(
        path, table_text(columns, [[row[c] for c in columns] for row in merged.values()])
    )


def write_rows(path: Path, rows: Sequence[ScoreRow]) -> bool:
    """Write score rows as a `scores.csv`; True when the file changed."""
    return write_text(path, table_text(COLUMNS, [astuple(row) for row in rows]))


def run_folders(out: Path) -> list[Path]:
    """Return every run folder below `out` (or `out` itself), sorted by path.

    `out` is what a run was told, or the folder of one dataset or method in it.
    """
    if (out / "spec.json").is_file():
        return [out]
    depths = ("*", "*/*", "*/*/*")
    return sorted(path.parent for depth in depths for path in out.glob(f"{depth}/spec.json"))


def rebuild_scores(out: Path) -> int:
    """Rewrite `out/scores.csv` from the run folders below; returns the number of rows."""
    rows = [
        row for folder in run_folders(out) for row in read_table(folder / "scores.csv", COLUMNS)
    ]
    write_text(out / "scores.csv", table_text(COLUMNS, [[row[c] for c in COLUMNS] for row in rows]))
    return len(rows)
