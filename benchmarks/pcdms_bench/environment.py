"""Where and with what a run was made: the contents of `environment.json`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcdms_data.pair_set import PairSet

PACKAGES = (
    "pcdms", "numpy", "torch", "torchvision", "diffusers", "transformers", "safetensors",
    "opencv-python-headless", "pillow", "scipy", "scikit-image", "pandas", "lpips",
    "torch-fidelity",
)  # fmt: skip
"""Packages whose version can change a picture or a score."""

SEED_RULE = "blake2b(seed, pair_id, stage, sample): one generator per pair, stage and sample"


def git_state() -> dict[str, object]:
    """Return {"commit", "dirty"} of the checkout this code runs from; both None elsewhere."""
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return {"commit": None, "dirty": None}
    status = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    return {"commit": _git(here.parent, "rev-parse", "HEAD"), "dirty": bool(status)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Return {distribution: version}; None where it is not installed."""
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def file_digests(folder: Path) -> dict[str, str]:
    """Return {path inside `folder`: SHA-256} of its weight and configuration files, sorted."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".pt", ".pth", ".bin"):
            with path.open("rb") as handle:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                    handle, "sha256"
                ).hexdigest()
    return digests


@cache
def _digests_once(folder: Path) -> dict[str, str]:
    """As `file_digests`, read once per process: each stage asks, and large weights take a while."""
    return file_digests(folder)


def describe_pairs(pairs: PairSet) -> dict[str, object]:
    """Return where the pairs of a run came from: layout, image convention, digest of the list.

    The digest is the SHA-256 over the pair ids, each followed by a line feed, in the run's order.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.pair_id}\n".encode())
    return {
        "layout": pairs.layout,
        "convention": pairs.convention,
        "pairs": len(pairs),
        "list_sha256": digest.hexdigest(),
    }


def _encoder_preprocessing() -> str:
    from pcdms.encoders import PREPROCESSING

    return PREPROCESSING


def describe(
    device: str, weights: Path | None, given: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return everything of `environment.json` but the costs of the stages.

    `weights` is the model directory of `pcdms`, `given` = {part: folder} what replaces parts of it.
    """
    from pcdms_bench.device import describe_device

    digests = dict(_digests_once(weights)) if weights else {}
    for part, folder in (given or {}).items():
        digests = {key: value for key, value in digests.items() if not key.startswith(f"{part}/")}
        digests |= {f"{part}/{key}": value for key, value in _digests_once(folder).items()}
    return {
        **git_state(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": package_versions(),
        "device": describe_device(device),
        "seed_rule": SEED_RULE,
        "weights_sha256": digests,
        "encoder_preprocessing": _encoder_preprocessing() if weights else None,
    }
