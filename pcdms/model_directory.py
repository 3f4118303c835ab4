"""A model directory: a sub-folder per part with safetensors and config.json, loaded strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPVisionModelWithProjection, Dinov2Model
from transformers.utils import logging

from pcdms.inpaint import InpaintModel
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms_data.types import InputError

PARTS = ("prior", "inpaint", "refine", "vae", "image_encoder", "source_encoder")

SHARD_SIZE = "10MB"
"""Weights are split into files of this size: larger ones are awkward under version control."""


_MODEL_CLASSES: dict[str, Any] = {
    "prior": PriorTransformer,
    "inpaint": InpaintModel,
    "refine": RefineModel,
    "vae": AutoencoderKL,
}
_ENCODER_CLASSES: dict[str, Any] = {
    "image_encoder": CLIPVisionModelWithProjection,
    "source_encoder": Dinov2Model,
}


def weight_files(root: Path, name: str) -> list[Path]:
    """Return the sorted safetensors files of a part; raises InputError if there are none."""
    files = sorted((root / name).glob("*.safetensors"))
    if not files or not (root / name / "config.json").is_file():
        raise InputError(
            f"{root / name}: expected config.json and *.safetensors of the part {name!r}"
        )
    return files


def missing_parts(root: Path) -> list[str]:
    """Return the parts of the model directory that are absent."""
    return [
        name
        for name in PARTS
        if not (root / name / "config.json").is_file()
        or not list((root / name).glob("*.safetensors"))
    ]


def load_part(root: Path, name: str) -> nn.Module:
    """Return one part with its weights in float32, in eval mode.

    Raises:
        InputError: files are missing or unreadable, or weights are missing, surplus or misshapen;
            the message lists them.
    """
    files = weight_files(root, name)
    try:
        if name in _ENCODER_CLASSES:
            model, problems = _load_encoder(root / name, _ENCODER_CLASSES[name])
        else:
            config = json.loads((root / name / "config.json").read_text(encoding="utf-8"))
            model = _MODEL_CLASSES[name].from_config(config)
            state = {key: value for file in files for key, value in load_file(file).items()}
            problems = _differences(model.state_dict(), state)
            if not problems:
                model.load_state_dict({key: value.float() for key, value in state.items()})
    except (ValueError, SafetensorError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{root / name}: cannot be read ({error})") from None
    if problems:
        raise InputError(f"{root / name}: weights do not fit config.json: {'; '.join(problems)}")
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the bars and reports of transformers: what matters of them is returned or raised."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _load_encoder(folder: Path, kind: Any) -> tuple[nn.Module, list[str]]:
    """Return an encoder and what did not fit; transformers renames keys of older versions."""
    with _quiet():
        # Without `ignore_mismatched_sizes` the library names only the first one that differs.
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    problems = [f"missing {key}" for key in sorted(info["missing_keys"])]
    problems += [f"surplus {key}" for key in sorted(info["unexpected_keys"])]
    problems += [f"misshapen {entry[0]}" for entry in sorted(info["mismatched_keys"])]
    return model, problems


def _differences(expected: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """Return one phrase per missing, surplus or misshapen weight."""
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"surplus {key}" for key in state if key not in expected]
    problems += [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    return problems


def save_part(root: Path, name: str, part: Any, half: bool = False) -> None:
    """Write one part: config.json and safetensors in shards, with `half` as float16."""
    target = root / name
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("*.safetensors"), *target.glob("*.index.json")):
        old.unlink()
    with _quiet():
        stored = deepcopy(part).half() if half else part
    stored.save_pretrained(target, max_shard_size=SHARD_SIZE)


def count_parameters(root: Path, name: str) -> int:
    """Return the number of stored values of a part, from the files' headers alone."""
    total = 0
    for file in weight_files(root, name):
        with safe_open(file, framework="pt") as handle:
            for key in handle.keys():  # noqa: SIM118 - not a dictionary
                size = 1
                for length in handle.get_slice(key).get_shape():
                    size *= length
                total += size
    return total


def weights_digest(root: Path) -> str:
    """Return the first 8 hex digits of the SHA-256 over `pipeline.json` and all parts' files."""
    digest = sha256((root / "pipeline.json").read_bytes())
    for name in PARTS:
        if (root / name).is_dir():
            for file in [root / name / "config.json", *weight_files(root, name)]:
                digest.update(sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:8]
