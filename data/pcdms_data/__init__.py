"""Pictures, poses and pairs: dataset readers and the embedded procedural people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdms_data.pairs import PairSet, load_pairs
    from pcdms_data.streaming import stream_batches

_HOMES = {"PairSet": "pairs", "load_pairs": "pairs", "stream_batches": "streaming"}
__all__ = ["PairSet", "load_pairs", "stream_batches"]


def __getattr__(name: str) -> object:
    """Load the public names on first use, so that importing the package costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"pcdms_data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pcdms_data' has no attribute {name!r}")
