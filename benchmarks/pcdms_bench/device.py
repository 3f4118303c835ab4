"""Which device computes: the user's word, or the best one this machine has."""

from __future__ import annotations

from pcdms_bench.process_memory import keep_freed_memory
from pcdms_data.types import InputError


def resolve_device(name: str) -> str:
    """Return a torch device name for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    From here on freed memory is kept in the process (`process_memory.py` says why). Raises
    InputError when the name is unknown or this machine lacks the device.
    """
    import torch

    keep_freed_memory()
    kind, _, index = name.partition(":")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if kind not in ("cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdigit())):
        raise InputError(f"device {name!r}: expected auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA GPUs")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps': not available on this machine")
    return name


def describe_device(device: str) -> str:
    """Return the device's name for records: the GPU's product name or the CPU's machine type."""
    import platform

    import torch

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()}, {torch.get_num_threads()} threads)"
