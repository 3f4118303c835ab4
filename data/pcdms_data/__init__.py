"""Pictures, poses and pairs: dataset readers and the embedded procedural people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdms_data.pairs import PairSet, load_pairs

__all__ = ["PairSet", "load_pairs"]


def __getattr__(name: str) -> object:
    """Load the public names on first use, so that importing the package costs nothing."""
    if name in __all__:
        from pcdms_data import pairs

        return getattr(pairs, name)
    raise AttributeError(f"module 'pcdms_data' has no attribute {name!r}")
