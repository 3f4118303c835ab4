"""A model directory: a sub-folder per part with safetensors and config.json, loaded strictly."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPVisionModelWithProjection, Dinov2Model
from transformers.utils import logging

from pcdms.inpaint import InpaintModel
from pcdms.pipeline_config import PipelineConfig
from pcdms.prior import PriorTransformer
from pcdms.refine import RefineModel
from pcdms.stages import PARTS as PARTS  # also for callers
from pcdms_data.types import InputError

SHARD_SIZE, LARGE_SHARD_SIZE = "10MB", "5GB"
"""Weights are split into files of this size: larger ones are awkward under version control. A part
of more than 100 million weights is kept out of version control anyway and gets the large ones."""

Given = Mapping[str, Path]
"""{part: folder} of parts that lie elsewhere than in the model directory."""

_OLD_VAE_NAMES = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}
"""Names of the autoencoder's attention in files of diffusers before 0.17."""
LARGE = 100_000_000
_TEXT_HALF = ("text_model.", "text_projection.", "logit_scale")
"""Names of CLIP's other half, which a checkpoint of the whole holds too. Older files also hold the
numbers 0, 1, 2, ... as `position_ids`."""
_PLAIN_STEMS = ("diffusion_pytorch_model", "model")

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


def part_folder(root: Path, name: str, given: Given | None = None) -> Path:
    """Return where a part lies: the given folder, else its sub-folder of the model directory."""
    return (given or {}).get(name, root / name)


def weight_files(folder: Path) -> list[Path]:
    """Return the sorted safetensors files of a part; raises InputError if there are none.

    Of variants beside each other (half precision, say) the plain one counts.
    """
    plain = [file for file in folder.glob("*.safetensors") if file.stem in _PLAIN_STEMS]
    files = plain or sorted(folder.glob("*.safetensors"))
    if not files or not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: expected config.json and *.safetensors of the part {folder.name!r}"
        )
    return files


def missing_parts(
    root: Path, needed: Sequence[str] = PARTS, given: Given | None = None
) -> list[str]:
    """Return which of the `needed` parts are absent."""
    folders = {name: part_folder(root, name, given) for name in needed}
    return [
        name
        for name, folder in folders.items()
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors"))
    ]


def load_part(root: Path, name: str, given: Given | None = None) -> nn.Module:
    """Return one part with its weights in float32, in eval mode.

    Raises:
        InputError: files are missing or unreadable, or weights are missing, surplus or misshapen;
            the message lists them.
    """
    folder = part_folder(root, name, given)
    files = weight_files(folder)
    try:
        if name in _ENCODER_CLASSES:
            model, problems = _load_encoder(folder, _ENCODER_CLASSES[name])
        else:
            model = empty_part(root, name, given)
            state = {key: value for file in files for key, value in load_file(file).items()}
            if name == "vae":
                state = {_new_vae_name(key): value for key, value in state.items()}
            problems = differences(model.state_dict(), state)
            if not problems:
                # Assigned, not copied: no time is spent on random weights first.
                floats = {key: value.float() for key, value in state.items()}
                model.load_state_dict(floats, assign=True)
    except (ValueError, SafetensorError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be read ({error})") from None
    if problems:
        raise InputError(f"{folder}: weights do not fit config.json: {'; '.join(problems)}")
    return model.eval()


def empty_part(root: Path, name: str, given: Given | None = None) -> nn.Module:
    """Return one part as its config.json describes it, without weights (on the meta device).

    Raises:
        InputError: config.json is missing or broken.
    """
    folder = part_folder(root, name, given)
    try:
        with torch.device("meta"):
            if name in _ENCODER_CLASSES:
                kind = _ENCODER_CLASSES[name]
                return cast(nn.Module, kind(_encoder_config(folder, kind)))
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            return cast(nn.Module, _MODEL_CLASSES[name].from_config(config))
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be read ({error})") from None


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


def _encoder_config(folder: Path, kind: Any) -> Any:
    """Return the encoder's configuration; that of a whole CLIP gives its vision half."""
    with _quiet():
        config = kind.config_class.from_pretrained(folder, local_files_only=True)
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if raw.get("model_type") == "clip":
        # The vision half repeats the library's default there, the true width stands outside.
        config.projection_dim = raw["projection_dim"]
    return config


def _load_encoder(folder: Path, kind: Any) -> tuple[nn.Module, list[str]]:
    """Return an encoder and what did not fit; transformers renames keys of older versions."""
    config = _encoder_config(folder, kind)
    with _quiet():
        # Without `ignore_mismatched_sizes` the library names only the first one that differs.
        model, info = kind.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    surplus = [
        key
        for key in info["unexpected_keys"]
        if not key.startswith(_TEXT_HALF) and not key.endswith(".position_ids")
    ]
    problems = [f"missing {key}" for key in sorted(info["missing_keys"])]
    problems += [f"surplus {key}" for key in sorted(surplus)]
    problems += [f"misshapen {entry[0]}" for entry in sorted(info["mismatched_keys"])]
    return model, problems


def _new_vae_name(key: str) -> str:
    for old, new in _OLD_VAE_NAMES.items():
        key = key.replace(old, new)
    return key


def differences(expected: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
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
    """Write one part: config.json and safetensors in shards, with `half` as float16.

    The folder is written under a temporary name and put in place when it is whole.
    """
    target = root / name
    temporary, old = (root / f".{name}.{os.getpid()}.{word}" for word in ("new", "old"))
    temporary.mkdir(parents=True)
    try:
        with _quiet():
            stored = deepcopy(part).half() if half else part
            large = sum(value.numel() for value in part.parameters()) > LARGE
            stored.save_pretrained(
                temporary, max_shard_size=LARGE_SHARD_SIZE if large else SHARD_SIZE
            )
        if target.exists():
            target.replace(old)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def count_parameters(root: Path, name: str, given: Given | None = None) -> int:
    """Return the number of stored values of a part, from the files' headers alone."""
    total = 0
    for file in weight_files(part_folder(root, name, given)):
        with safe_open(file, framework="pt") as handle:
            for key in handle.keys():  # noqa: SIM118 - not a dictionary
                size = 1
                for length in handle.get_slice(key).get_shape():
                    size *= length
                total += size
    return total


def weights_digest(root: Path, given: Given | None = None) -> str:
    """Return the first 8 hex digits of the SHA-256 over `pipeline.json` and all parts' files."""
    digest = sha256((root / "pipeline.json").read_bytes())
    for name in PARTS:
        folder = part_folder(root, name, given)
        if folder.is_dir():
            for file in [folder / "config.json", *weight_files(folder)]:
                with file.open("rb") as handle:
                    digest.update(file_digest(handle, "sha256").digest())
    return digest.hexdigest()[:8]


def check_fit(config: PipelineConfig, parts: Mapping[str, Any], root: Path) -> None:
    """Raise InputError where widths of parts that are there (not None) do not belong together."""
    wanted: list[tuple[str, int, str, int]] = []
    vae, clip, dino = (parts[name] for name in ("vae", "image_encoder", "source_encoder"))
    for name in ("inpaint", "refine"):
        model = parts[name]
        if model is None:
            continue
        if dino is not None:
            width = model.image_proj_model_p.net[0].in_features
            wanted.append(("source_encoder tokens", dino.config.hidden_size, name, width))
        if vae is not None:
            channels = model.unet.config["out_channels"]
            wanted.append(("vae latents", vae.config["latent_channels"], name, channels))
        if name == "inpaint" and clip is not None and model.config["embedding_token"]:
            width = model.unet.config["cross_attention_dim"]
            wanted.append(("image_encoder embedding", clip.config.projection_dim, name, width))
    if clip is not None:
        size = clip.config.image_size
        wanted.append(("image_encoder pictures", size, "pipeline.json", config.image_encoder.size))
        if parts["prior"] is not None:
            width = parts["prior"].config["embedding_dim"]
            wanted.append(("image_encoder embedding", clip.config.projection_dim, "prior", width))
    for what, found, name, expected in wanted:
        if found != expected:
            raise InputError(
                f"{root}: {what} are {found} wide, {name} expects {expected}: "
                "these parts do not belong together"
            )
