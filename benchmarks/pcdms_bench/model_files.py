"""Where the weights of a run lie, and the digests that name them in its specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pcdms_bench.environment import file_digests
from pcdms_bench.suggestions import check_choice
from pcdms_data.cache import file_sha256
from pcdms_data.types import InputError

if TYPE_CHECKING:
    from pcdms_baselines.external.clone import Given

SHIPPED_WEIGHTS = {"tiny": "people-tiny"}
"""Preset -> folder below `pcdms/pretrained` that comes with the package."""


@dataclass(frozen=True)
class ModelFiles:
    """The model directory of `pcdms`, and {part: folder} of parts given in place of its own.

    `of_methods` = {method: file or folder} are the weights of other learned methods, `externals`
    what the user has of official repositories.
    """

    root: Path
    given: Mapping[str, Path] = field(default_factory=dict[str, Path])
    of_methods: Mapping[str, Path] = field(default_factory=dict[str, Path])
    externals: Mapping[str, Given] = field(default_factory=dict[str, "Given"])

    def folder(self, part: str) -> Path:
        """Return where a part lies."""
        return self.given.get(part, self.root / part)


def weights_directory(preset: str, weights: Path | None) -> Path:
    """Return the model directory: the given one, else the shipped one of the preset.

    The result need not exist: the method then says that it is unavailable.
    """
    if weights is not None:
        return weights
    import pcdms

    home = Path(next(iter(pcdms.__path__))) / "pretrained"
    return home / SHIPPED_WEIGHTS.get(preset, f"none-for-{preset}")


def parse_method_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Return {method: file or folder}: those of `NAME=PATH` texts, and the shipped ones of others.

    Raises InputError on another form, on a method without weights of its own, and where nothing is
    at the path.
    """
    from pcdms_baselines.learned import shipped_weights
    from pcdms_baselines.methods import external_names, learned_names

    shipped = {name: shipped_weights(name) for name in learned_names()}
    found: dict[str, Path] = {name: path for name, path in shipped.items() if path is not None}
    for text in texts:
        name, sign, path = text.partition("=")
        if not sign or not path:
            raise InputError(f"--method-weights {text}: expected METHOD=FILE")
        check_choice("method with weights", name, (*learned_names(), *external_names()))
        if not Path(path).exists():
            raise InputError(f"--method-weights {text}: no such file or folder")
        found[name] = Path(path)
    return found


def autoencoder_of(name: str, weights: ModelFiles) -> Path | None:
    """Return the autoencoder in whose latents method `name` works: that of `pcdms`."""
    from pcdms_baselines.methods import entry_of

    entry = entry_of(name)
    latent = entry is not None and entry.latent
    return weights.folder("vae") if latent and weights.folder("vae").is_dir() else None


def digest_of(name: str, weights: ModelFiles) -> str:
    """Return the digest of what a baseline loads: its weights, and the autoencoder it works in."""
    found = [_weights_digest(weights.of_methods.get(name))]
    found.append(folder_digest(autoencoder_of(name, weights)))
    digests = [digest for digest in found if digest]
    if len(digests) < 2:
        return "".join(digests)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:8]


def _weights_digest(mine: Path | None) -> str:
    """Return the digest of a method's own weights: of a folder trained here not its checkpoints."""
    if mine is None or mine.is_file():
        return folder_digest(mine)
    from pcdms_baselines.learned import CONFIG, WEIGHTS

    parts = [mine / part for part in (CONFIG, WEIGHTS) if (mine / part).is_file()]
    if not parts:
        return folder_digest(mine)
    return hashlib.sha256("".join(file_sha256(part) for part in parts).encode()).hexdigest()[:8]


def folder_digest(folder: Path | None) -> str:
    """Return the first 8 hex digits of the SHA-256 over a folder's weight files, "" without one.

    A single file counts by its content alone.
    """
    if folder is None:
        return ""
    if folder.is_file():
        return file_sha256(folder)[:8]
    text = json.dumps(file_digests(folder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
