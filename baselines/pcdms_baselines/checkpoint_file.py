"""Checkpoint files of other authors: safetensors or files of `torch.save`, old and new.

`pcdms` reads its own published files; the two packages do not import each other.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pcdms_data.types import InputError

State = dict[str, Tensor]

_TENSORS = re.compile(
    r"torch\.(\w+Storage|Size|device|\w*float\d*|\w*int\d+|bool)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|torch\.storage\.(Typed|Untyped)Storage"
    r"|numpy\.(ndarray|dtype)|numpy\._?core\.multiarray\.(_reconstruct|scalar)"
    r"|collections\.OrderedDict|builtins\.(set|frozenset|slice|complex|bytearray)"
)
"""What a trusted pickled file may name; everything else becomes an inert stand-in."""


def read_state(path: Path, entries: Sequence[str] = (), trust_pickle: bool = False) -> State:
    """Return the tensors of a checkpoint by name, on the CPU, in their stored number type.

    `entries` are the keys under which a container may hold them; the first one that is there is
    taken, and without any the file itself is the state dict. A `module.` before every name is
    dropped. Safe loading is tried first; a file that holds other objects than tensors and plain
    values is refused unless `trust_pickle`, and then its unknown classes are not loaded either.

    Raises:
        InputError: the file is missing, broken, needs trust, or holds no state dict.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a published checkpoint")
    content = _read(path, trust_pickle)
    for entry in entries:
        if isinstance(content, Mapping) and isinstance(content.get(entry), Mapping):
            content = content[entry]
            break
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds {type(content).__name__}, expected a dict of tensors")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        places = f", or a container with them under {' or '.join(entries)}" if entries else ""
        raise InputError(
            f"{path}: {len(others)} entries are no tensors ({', '.join(others[:5])}), expected "
            f"weights by name{places}"
        )
    state = {str(key): value for key, value in content.items()}
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _read(path: Path, trust_pickle: bool) -> Any:
    """Return the content of a file of either kind."""
    with path.open("rb") as handle:
        start = handle.read(9)
    if zipfile.is_zipfile(path) or start[8:] != b"{":
        return _unpickled(path, trust_pickle)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _unpickled(path: Path, trust_pickle: bool) -> Any:
    """Return the object in a file of `torch.save`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise InputError(
                f"{path}: holds more than tensors ({_reason(error)}); if you trust where it comes "
                "from, give trust_pickle=True"
            ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a checkpoint ({_reason(error)})") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_inert())
    except Exception as error:  # whatever a broken or hostile file raises
        raise InputError(f"{path}: cannot be unpickled ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """Return the part of an error that says what is wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (named or lines or [type(error).__name__])[0][:200]


class _Inert:
    """Stands in for an object of the authors' own code; the weights need none."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __call__(self, *args: object, **kwargs: object) -> _Inert:
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Take an entry of what would have been a list, and drop it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Return what tensors and plain values are made of, a stand-in for anything else."""
        if not _TENSORS.fullmatch(f"{module}.{name}"):
            return _Inert
        return super().find_class(module, name)


def _inert() -> ModuleType:
    """Return a pickle module for `torch.load` that never runs the authors' code."""
    module = ModuleType("pcdms_baselines_inert_pickle")
    vars(module).update(vars(pickle))
    vars(module).update(
        Unpickler=_Unpickler, load=lambda file, **options: _Unpickler(file, **options).load()
    )
    return module
