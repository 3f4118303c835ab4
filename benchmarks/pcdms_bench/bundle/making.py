"""Writing a bundle: the files of run folders in one zip, the same bytes for the same runs."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pcdms_bench.bundle.manifest import (
    DOCUMENTS,
    NAME,
    NEEDED,
    TABLES,
    BundledFile,
    Manifest,
)
from pcdms_bench.bundle.shortening import shortened_json, shortened_table
from pcdms_bench.generation import generated_stages
from pcdms_bench.run_folder import (
    EMBEDDINGS,
    SAMPLES,
    RunStatus,
    run_folders,
    run_path,
    sample_name,
)
from pcdms_bench.selection import samples_of
from pcdms_bench.spec import read_spec
from pcdms_data.types import InputError

_TIME = (1980, 1, 1, 0, 0, 0)
"""Every member's time: a zip archive knows no earlier one."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written. `sha256` is that of its manifest, and so of all it holds."""

    path: Path
    manifest: Manifest
    sha256: str


def write_bundle(
    roots: Sequence[Path], path: Path, pictures: bool = False, embeddings: bool = False
) -> Bundle:
    """Write the runs below `roots` (run folders, or folders that hold some) into a zip archive.

    Every run's specification, environment, status and tables go in as they are, except that
    absolute paths in texts are cut to their last name. `pictures` adds the pictures of the pairs
    that the run names, `embeddings` those of the prior. Equal runs give equal bytes.
    Raises InputError for a folder without runs, a run that was not scored, and one that two roots
    hold; then nothing is written.
    """
    if path.suffix.lower() != ".zip":
        raise InputError(f"--bundle {path}: expected a file name that ends in .zip")
    runs = _found(roots)
    files: list[BundledFile] = []
    shortened: list[str] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
            for name, folder in sorted(runs.items()):
                for rest in _members(folder, pictures, embeddings):
                    content, cut = _content(folder, rest)
                    files.append(_write(archive, f"{name}/{rest}", content))
                    shortened += [f"{name}/{rest}"] if cut else []
            manifest = Manifest(
                f"pcdms-bench {version('pcdms')}", pictures, embeddings, tuple(shortened),
                tuple(sorted(runs)), tuple(files),
            )  # fmt: skip
            listed = _write(archive, NAME, manifest.to_json().encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Bundle(path, manifest, listed.sha256)


def _found(roots: Sequence[Path]) -> dict[str, Path]:
    """Return {path in the bundle: run folder}."""
    runs: dict[str, Path] = {}
    for root in roots:
        folders = run_folders(root)
        if not folders:
            raise InputError(f"{root} holds no run folder (no spec.json), expected runs to bundle")
        for folder in folders:
            for name in NEEDED:
                if not (folder / name).is_file():
                    raise InputError(f"{folder}: no {name}, expected a run that was scored")
            spec = read_spec(folder / "spec.json")
            name = run_path(Path(), spec).as_posix()
            other = runs.setdefault(name, folder)
            if other.resolve() != folder.resolve():
                raise InputError(f"{folder} and {other} are the same run {name}: bundle one")
    return runs


def _members(folder: Path, pictures: bool, embeddings: bool) -> Iterator[str]:
    """Yield the files of a run folder that go into a bundle, in their order."""
    for name in (*DOCUMENTS, *TABLES):
        if (folder / name).is_file():
            yield name
    if embeddings and (folder / EMBEDDINGS).is_file():
        yield EMBEDDINGS
    if not pictures:
        return
    spec, status = read_spec(folder / "spec.json"), RunStatus.read(folder)
    for stage in generated_stages(spec.stages):
        if stage == "prior":
            continue
        for pair_id in sorted(status.pair_ids):
            for sample in range(samples_of(spec, stage)):
                rest = f"{SAMPLES}/{stage}/{sample_name(pair_id, sample)}"
                if (folder / rest).is_file():
                    yield rest


def _content(folder: Path, rest: str) -> tuple[bytes, bool]:
    """Return the bytes of a file as they go into the bundle, and whether paths were cut."""
    content = (folder / rest).read_bytes()
    try:
        if rest in DOCUMENTS and rest != "spec.json":  # its text is the name of the folder
            found = shortened_json(content)
        elif rest == "scores.csv":
            found = shortened_table(content, "reason")
        else:
            found = content
    except ValueError as error:
        raise InputError(f"cannot read {folder / rest}: {error}") from error
    return found, found != content


def _write(archive: zipfile.ZipFile, path: str, content: bytes) -> BundledFile:
    entry = zipfile.ZipInfo(path, _TIME)
    entry.create_system = 3  # the same on every system
    entry.external_attr = 0o100644 << 16
    packed = path.endswith((".png", ".safetensors"))
    entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    archive.writestr(entry, content, compresslevel=None if packed else 6)
    return BundledFile(path, len(content), hashlib.sha256(content).hexdigest())
