"""Weight files of metric networks that no package ships: where they lie, whether they are right.

Nothing here opens a network connection; `weights_download` gets the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pcdms_bench.suggestions import check_choice
from pcdms_data.types import InputError

CACHE_VARIABLE = "PCDMS_CACHE"
"""Environment variable: folder that takes the place of the user's cache folder."""
DIGESTS = "digests.json"
FETCH_COMMAND = "pcdms-bench weights fetch"


@dataclass(frozen=True)
class KnownFile:
    """A weight file with a known origin. `prefix` begins its SHA-256, by its published name."""

    name: str
    file: str
    url: str
    prefix: str
    megabytes: int
    licence: str
    variable: str
    use: str


KNOWN: dict[str, KnownFile] = {
    "fid": KnownFile(
        "fid",
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d",
        96,
        "Apache-2.0",
        "PCDMS_WEIGHTS_FID",
        "metric fid: the Inception of 2015-12-05, as torch-fidelity reads it",
    ),
    "fid_paper": KnownFile(
        "fid_paper",
        "inception_v3_google-0cc3c7bd.pth",
        "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        "0cc3c7bd",
        109,
        "BSD-3-Clause (torchvision)",
        "PCDMS_WEIGHTS_FID_PAPER",
        "metric fid_paper: torchvision's ImageNet Inception, as the published scripts use it",
    ),
    "lpips": KnownFile(
        "lpips",
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
        245,
        "BSD-3-Clause (torchvision)",
        "PCDMS_WEIGHTS_LPIPS",
        "metric lpips: torchvision's AlexNet; the heads come with the lpips package",
    ),
    "lpips_vgg": KnownFile(
        "lpips_vgg",
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
        553,
        "BSD-3-Clause (torchvision)",
        "PCDMS_WEIGHTS_LPIPS_VGG",
        "metric lpips_vgg: torchvision's VGG16; the heads come with the lpips package",
    ),
    "lpips_squeeze": KnownFile(
        "lpips_squeeze",
        "squeezenet1_1-b8a52dc0.pth",
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        "b8a52dc0",
        5,
        "BSD-3-Clause (torchvision)",
        "PCDMS_WEIGHTS_LPIPS_SQUEEZE",
        "metric lpips_squeeze: torchvision's SqueezeNet 1.1; the heads come with the lpips package",
    ),
}
"""Name on the command line -> file. The one table of weight locations and digests."""


@dataclass(frozen=True)
class WeightsFile:
    """A weight file that is there, and whose SHA-256 was checked."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class WeightsState:
    """One line of `weights list` and `weights verify`; `problem` is empty when all is well."""

    known: KnownFile
    path: Path
    present: bool
    sha256: str
    problem: str


def cache_folder() -> Path:
    """Return the folder of caches: `PCDMS_CACHE`, else the user's cache folder of `pcdms`."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("pcdms", appauthor=False))


def location(name: str) -> Path:
    """Return where the file `name` is looked for: its environment variable, else the cache."""
    known = KNOWN[check_choice("weights", name, KNOWN)]
    given = os.environ.get(known.variable)
    return Path(given) if given else cache_folder() / "weights" / known.file


def find_weights(name: str, path: Path | None = None) -> WeightsFile:
    """Return the checked file of `name`: `path` if given, else its usual `location`.

    Raises InputError with the reason when it is missing (the line names the command that gets it)
    or when its SHA-256 is not the expected one.
    """
    known = KNOWN[check_choice("weights", name, KNOWN)]
    given = os.environ.get(known.variable)
    place = path or location(name)
    if not place.is_file():
        raise InputError(
            f"weights {known.file} not found{f' at {place}' if path or given else ''}: run "
            f"`{FETCH_COMMAND} {name}` once, or set {known.variable} to the file"
        )
    stamp = place.stat()
    digest = _digest(place, stamp.st_size, stamp.st_mtime_ns)
    check_digest(known, place, digest)
    return WeightsFile(place, digest)


def weights_states(names: Sequence[str] | None = None) -> list[WeightsState]:
    """Return the state of every known file (or of `names`), each digest computed anew."""
    states: list[WeightsState] = []
    for name in names if names is not None else KNOWN:
        known = KNOWN[check_choice("weights", name, KNOWN)]
        place = location(name)
        if not place.is_file():
            problem = f"missing at {place}: run `{FETCH_COMMAND} {name}`"
            states.append(WeightsState(known, place, False, "", problem))
            continue
        digest, problem = file_digest(place), ""
        try:
            check_digest(known, place, digest)
        except InputError as error:
            problem = str(error)
        states.append(WeightsState(known, place, True, digest, problem))
    return states


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, stamp: int) -> str:
    """Digest of a file once per process and state."""
    del size, stamp  # only part of the cache key: a rewritten file is read anew
    return file_digest(path)


def check_digest(known: KnownFile, place: Path, digest: str) -> None:
    """Raise InputError unless `digest` is the recorded one, or begins with the published prefix."""
    expected = _recorded().get(known.file, known.prefix)
    if not digest.startswith(expected) or not digest.startswith(known.prefix):
        raise InputError(
            f"{place} has SHA-256 {digest[:16]}..., expected {expected[:16]}"
            f"{'...' if len(expected) > 8 else ' at its start'}; it is not {known.file}"
        )


def _recorded() -> dict[str, str]:
    """Return the digests recorded at the first fetch: file name -> SHA-256."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((cache_folder() / "weights" / DIGESTS).read_text())
        if isinstance(found, dict):
            return {str(key): str(value) for key, value in found.items()}
    return {}


def record_digest(known: KnownFile, digest: str) -> None:
    """Remember the full digest of a file that was fetched."""
    folder = cache_folder() / "weights"
    digests = _recorded()
    if digests.get(known.file) == digest:
        return
    digests[known.file] = digest
    temporary = folder / f".{DIGESTS}.{uuid.uuid4().hex}.tmp"
    temporary.write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")
    temporary.replace(folder / DIGESTS)
