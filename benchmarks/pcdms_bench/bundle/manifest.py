"""What a bundle says of itself: format, tool, runs, and size and SHA-256 of every file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from pcdms_bench.run_folder import EMBEDDINGS
from pcdms_data.types import InputError

NAME = "manifest.json"
FORMAT = "pcdms-bundle"
VERSION = 1
DOCUMENTS = ("spec.json", "environment.json", "status.json")
TABLES = ("scores.csv", "pairs.csv", "slices.csv", "selection.csv")
NEEDED = ("spec.json", "status.json", "scores.csv")
"""Files that every run of a bundle has."""

_PART = r"[A-Za-z0-9_+-][A-Za-z0-9_.+@-]*"
_RUN = re.compile(rf"{_PART}/{_PART}/[0-9a-f]{{8}}")
_SAMPLE = re.compile(rf"samples/(?:inpaint|refine|final)/{_PART}\.png")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = ("format", "version", "tool", "pictures", "embeddings", "shortened", "runs", "files")


@dataclass(frozen=True)
class BundledFile:
    """One file: `path` below the bundle's root with `/`, bytes, and the SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The contents of `manifest.json`. `shortened` are files in which paths were cut."""

    tool: str
    pictures: bool
    embeddings: bool
    shortened: tuple[str, ...]
    runs: tuple[str, ...]
    files: tuple[BundledFile, ...]

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        head = {"format": FORMAT, "version": VERSION}
        return json.dumps(head | asdict(self), indent=1) + "\n"


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Return the manifest in `content`; raises InputError on anything that does not fit.

    `where` names the bundle in messages. Only files that a bundle may hold are accepted, each below
    one of its runs and each once.
    """
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}[{NAME}] is no JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f"{where}[{NAME}] has no format {FORMAT!r}: not a bundle of `report`")
    if value.get("version") != VERSION:
        raise InputError(
            f"{where}[{NAME}]: a bundle of version {value.get('version')!r}, expected {VERSION}: "
            "score it with the version of pcdms-bench that made it "
            f"({value.get('tool') or 'not named'})"
        )
    problem = _problem(value)
    if problem:
        raise InputError(f"{where}[{NAME}]: {problem}")
    files = tuple(BundledFile(**each) for each in value["files"])
    manifest = Manifest(
        value["tool"], value["pictures"], value["embeddings"], tuple(value["shortened"]),
        tuple(value["runs"]), files,
    )  # fmt: skip
    _check_paths(manifest, where)
    return manifest


def _problem(value: dict[str, Any]) -> str:
    """Return what is wrong with the types of a manifest, empty where nothing is."""
    if sorted(value) != sorted(_KEYS):
        return f"keys {', '.join(sorted(value))}, expected {', '.join(sorted(_KEYS))}"
    if not isinstance(value["tool"], str):
        return "tool is no text"
    for name in ("pictures", "embeddings"):
        if not isinstance(value[name], bool):
            return f"{name} is {value[name]!r}, expected true or false"
    for name in ("shortened", "runs"):
        texts = value[name]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return f"{name} is no list of texts"
    if not isinstance(value["files"], list):
        return "files is no list"
    problems = (_file_problem(number, each) for number, each in enumerate(value["files"], start=1))
    return next((problem for problem in problems if problem), "")


def _file_problem(number: int, value: Any) -> str:
    """Return what is wrong with an entry of a manifest, empty where nothing is."""
    if not (isinstance(value, dict) and sorted(value) == ["path", "sha256", "size"]):
        return f"file {number}: expected path, sha256 and size"
    path, size, digest = value["path"], value["size"], value["sha256"]
    if not isinstance(path, str):
        return f"file {number}: path {path!r}, expected a text"
    if type(size) is not int or size < 0:
        return f"{path}: size {size!r}, expected a whole number of 0 or more"
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return f"{path}: sha256 {digest!r}, expected 64 hex digits"
    return ""


def _check_paths(manifest: Manifest, where: str) -> None:
    """Refuse paths that no bundle has, repeated ones, and runs without their files."""
    for run in manifest.runs:
        if not _RUN.fullmatch(run) or ".." in PurePosixPath(run).parts:
            raise InputError(
                f"{where}[{NAME}]: run {run!r}, expected <dataset>-<split>/<method>/<hash>"
            )
    if not manifest.runs:
        raise InputError(f"{where}[{NAME}] names no run")
    paths: set[str] = set()
    for file in manifest.files:
        run, rest = split_path(file.path)
        if run not in manifest.runs or not _is_expected(rest, manifest):
            raise InputError(f"{where}[{NAME}]: {file.path!r} is no file of one of its runs")
        if file.path.casefold() in paths:
            raise InputError(f"{where}[{NAME}]: {file.path!r} is named twice")
        paths.add(file.path.casefold())
    for run in manifest.runs:
        for name in NEEDED:
            if f"{run}/{name}".casefold() not in paths:
                raise InputError(f"{where}[{NAME}] lacks {run}/{name}")


def _is_expected(rest: str, manifest: Manifest) -> bool:
    if rest == EMBEDDINGS:
        return manifest.embeddings
    if rest.startswith("samples/"):
        return manifest.pictures and bool(_SAMPLE.fullmatch(rest))
    return rest in (*DOCUMENTS, *TABLES)


def split_path(path: str) -> tuple[str, str]:
    """Return (run, path below its folder) of a path in a bundle."""
    parts = path.split("/")
    return "/".join(parts[:3]), "/".join(parts[3:])
