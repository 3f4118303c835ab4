"""The harness: command line, run specs, runner and scoring. The only package that knows all others.

The public functions load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcdms_bench.metrics.frechet import frechet_distance, frechet_distance_features
    from pcdms_bench.own_picture import generate
    from pcdms_bench.public import score_images, ssim

__all__ = ["frechet_distance", "frechet_distance_features", "generate", "score_images", "ssim"]

_PLACES = {
    "frechet_distance": "pcdms_bench.metrics.frechet",
    "frechet_distance_features": "pcdms_bench.metrics.frechet",
    "generate": "pcdms_bench.own_picture",
    "score_images": "pcdms_bench.public",
    "ssim": "pcdms_bench.public",
}


def __getattr__(name: str) -> object:
    """Load a public function when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
