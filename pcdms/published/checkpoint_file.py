"""The file of a published checkpoint: a DeepSpeed container or a plain state dict, any file name.

Source: tencent-ailab/PCDMs:stage{1,2,3}_train_*.py (`save_checkpoint`): the weights lie under
"module", beside "epoch" and "last_global_step".
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pcdms_data.types import InputError

State = dict[str, Tensor]
WRAPPERS = ("module", "state_dict")
"""Keys under which a container holds its weights."""


def read_checkpoint(path: Path, trust_pickle: bool = False) -> State:
    """Return the tensors of a checkpoint by name, on the CPU, in their stored number type.

    Safe loading is tried first. A file that holds other objects than tensors and plain values is
    refused unless `trust_pickle`: unpickling runs code that the file names.

    Raises:
        InputError: the file is missing, broken, needs trust, or holds no state dict.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a published checkpoint")
    if not _starts_like_a_checkpoint(path):
        raise InputError(f"{path}: not a checkpoint, expected a file of torch.save or safetensors")
    if zipfile.is_zipfile(path) or not _is_safetensors(path):
        content = _unpickled(path, trust_pickle)
    else:
        try:
            content = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None
    return _state_of(content, path)


def _starts_like_a_checkpoint(path: Path) -> bool:
    """Whether the file starts like a zip archive, a pickle, or safetensors."""
    with path.open("rb") as handle:
        start = handle.read(2)
    return start == b"PK" or start[:1] == b"\x80" or _is_safetensors(path)


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts like safetensors: 8 bytes of length, then a JSON object."""
    with path.open("rb") as handle:
        return handle.read(9)[8:] == b"{"


def _unpickled(path: Path, trust_pickle: bool) -> Any:
    """Return the object in a file of `torch.save`, tensors mapped from the file where possible."""
    mapped = zipfile.is_zipfile(path)  # the older format cannot be mapped
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise InputError(
                f"{path}: holds more than tensors ({_first_line(error)}); if you trust where it "
                "comes from, give --trust-pickle (trust_pickle=True): loading it runs its code"
            ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a checkpoint ({_first_line(error)})") from None
    try:
        return torch.load(
            path, map_location="cpu", weights_only=False, mmap=mapped, pickle_module=_lenient()
        )
    except Exception as error:  # whatever the file's own code raises
        raise InputError(f"{path}: cannot be unpickled ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    """Return the part of an error that says what is wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (named or lines or [type(error).__name__])[0][:200]


class _Absent:
    """Stands in for an object of a package that is not installed; the weights need none."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Return the class, or a stand-in where its package is not here (DeepSpeed's own, say)."""
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            return _Absent


def _lenient() -> ModuleType:
    """Return a pickle module that reads files naming classes of packages that are not here."""
    module = ModuleType("pcdms_lenient_pickle")
    vars(module).update(vars(pickle))
    vars(module).update(Unpickler=_Unpickler, load=lambda file, **options: _Unpickler(
        file, **options).load())  # fmt: skip
    return module


def _state_of(content: Any, path: Path) -> State:
    """Return the state dict in a container or the object itself; drops a `module.` on every key."""
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"{path}: holds {type(content).__name__}, expected a dict of tensors")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise InputError(
            f"{path}: {len(others)} entries are no tensors ({', '.join(others[:5])}), expected "
            f'weights by name, or a container with them under "module"'
        )
    state = {str(key): value for key, value in content.items()}
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state
