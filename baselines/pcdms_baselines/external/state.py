"""Which version of a repository and of its weights this is, so that pictures are not mixed up."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pcdms_data.cache import file_sha256

CODE = frozenset(
    (".py", ".pyx", ".ipynb", ".yaml", ".yml", ".json", ".conf", ".cfg", ".ini", ".toml", ".sh",
     ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp")
)  # fmt: skip
"""Suffixes of the files that decide what a program does."""
LARGEST_CODE = 1 << 20
"""Bytes of a file above which it is data."""
_FOREIGN = frozenset(("venv", "env", "site-packages", "node_modules", "__pycache__", "wandb"))
_PATIENCE = 60


def repository_state(folder: Path) -> str:
    """Return the commit of a clean git checkout, else a hash of its code, after the commit if any.

    A folder that merely lies inside somebody's checkout is none itself.
    """
    commit = git_commit(folder)
    if commit and _is_clean(folder):
        return commit
    return f"{commit}+{code_hash(folder)}" if commit else code_hash(folder)


def git_commit(folder: Path) -> str:
    """Return the commit that is checked out in `folder`, "" where it is no checkout of its own."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != folder.resolve():
        return ""
    return _git(folder, "rev-parse", "HEAD") or ""


def code_hash(folder: Path) -> str:
    """Return 40 hex digits of the SHA-256 over names and content of the code files of a folder.

    Hidden folders, environments and files above `LARGEST_CODE` bytes do not count.
    """
    digest = hashlib.sha256()
    for path in _code_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()[:40]


def identity(recipe: str, folder: Path, weights: Mapping[str, Path]) -> str:
    """Return 8 hex digits that depend on the recipe, the repository's state and the weights.

    `recipe` is the recipe's own digest, `weights` {place: file or folder}.
    """
    parts = {place: content_digest(path) for place, path in weights.items()}
    text = json.dumps([recipe, repository_state(folder), parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files of a folder."""
    if path.is_file():
        return _file_digest(path)
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    parts = {file.relative_to(path).as_posix(): _file_digest(file) for file in files}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    state = path.stat()
    return _digest_once(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_once(path: Path, size: int, stamp: int) -> str:
    del size, stamp  # part of the key: a file that was written anew is read anew
    return file_sha256(path)


def _code_files(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        below[:] = sorted(n for n in below if not n.startswith(".") and n not in _FOREIGN)
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix in CODE and path.is_file() and path.stat().st_size <= LARGEST_CODE:
                yield path


def _is_clean(folder: Path) -> bool:
    """Tell whether no code file of a checkout is changed or new; False where git does not say."""
    patterns = [f":(glob)**/*{suffix}" for suffix in sorted(CODE)]
    return _git(folder, "status", "--porcelain", "--untracked-files=all", "--", *patterns) == ""


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says of a folder, None where it fails or is not there."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=_PATIENCE,
            env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
