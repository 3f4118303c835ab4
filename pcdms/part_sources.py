"""Parts from elsewhere: the autoencoder and the encoders as a local folder or from the hub's cache.

No published checkpoint holds them. Nothing is downloaded unless that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcdms_data.types import InputError

_KINDS = {
    "AutoencoderKL": "vae",
    "clip": "image_encoder",
    "clip_vision_model": "image_encoder",
    "dinov2": "source_encoder",
}
"""What config.json says (`_class_name` or `model_type`) -> part."""

_PLACES = ("", "vae", "image_encoder", "source_encoder")
"""Where in a given folder a part may lie: the folder itself, or a sub-folder."""

_FILES = tuple(
    f"{place}/{name}" if place else name
    for place in _PLACES
    for name in (
        "config.json", "diffusion_pytorch_model.safetensors", "model.safetensors",
        "model.safetensors.index.json", "model-*.safetensors",
    )
)  # fmt: skip
"""What is fetched of a hub model: the parts' configuration and safetensors, no other format."""


def given_parts(
    vae: str | Path | None, encoders: Sequence[str | Path] = (), download: bool = False
) -> dict[str, Path]:
    """Return {part: folder} of what the options `--vae` and `--encoders` name.

    Each is a local folder, or a hub id such as `organisation/model` whose files are in the local
    cache (with `download` they are fetched). A folder may hold the part itself or hold it in a
    sub-folder `vae`, `image_encoder` or `source_encoder`, as a model directory does.

    Raises:
        InputError: a folder or cached model does not exist or holds no such part.
    """
    found: dict[str, Path] = {}
    if vae is not None:
        parts = parts_below(local_folder(vae, _FILES, download), str(vae))
        if "vae" not in parts:
            raise InputError(f"--vae {vae}: expected a folder of an AutoencoderKL")
        found["vae"] = parts["vae"]
    for source in encoders:
        parts = parts_below(local_folder(source, _FILES, download), str(source))
        parts.pop("vae", None)
        if not parts:
            raise InputError(
                f"--encoders {source}: expected a folder of a CLIP vision model or of DINOv2"
            )
        twice = sorted(parts.keys() & found.keys())
        if twice:
            raise InputError(f"--encoders {source}: a second {twice[0]}, expected one of each")
        found |= parts
    return found


def parts_below(folder: Path, name: str) -> dict[str, Path]:
    """Return {part: folder} of the parts in a folder and its sub-folders; `name` is for errors."""
    parts: dict[str, Path] = {}
    for place in _PLACES:
        config = folder / place / "config.json"
        if not config.is_file():
            continue
        try:
            values: Any = json.loads(config.read_text(encoding="utf-8"))
            kind = _KINDS.get(values.get("_class_name") or values.get("model_type"))
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(f"{name}: {config} cannot be read ({error})") from None
        if kind is not None:
            parts.setdefault(kind, config.parent)
    return parts


def local_folder(source: str | Path, files: Sequence[str], download: bool = False) -> Path:
    """Return the local folder of a source; for a hub id, its snapshot in the cache.

    `files` are the patterns that `download` fetches.
    """
    path = Path(source)
    if path.is_dir():
        return path
    words = str(source).split("/")
    if len(words) != 2 or not all(words) or words[0] in (".", "..", "~"):
        raise InputError(f"{source}: no such folder, expected one or a hub id ORGANISATION/MODEL")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                str(source), allow_patterns=list(files), local_files_only=not download
            )
        )
    except LocalEntryNotFoundError:
        raise InputError(
            f"{source}: no such folder, and not in the hub's local cache; "
            "`pcdms-bench weights import` fetches it with --download"
        ) from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(f"{source}: cannot be fetched ({str(error).splitlines()[0]})") from None
