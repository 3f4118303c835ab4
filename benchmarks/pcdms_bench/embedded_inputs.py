"""Features of a list of pictures, those that cannot be read left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metric_inputs import InputBank, Seen
from pcdms_bench.metrics.networks import FeatureNetwork
from pcdms_bench.reference_features import features_of
from pcdms_bench.result_store import ResultStore
from pcdms_data.types import PictureError

BLOCK = 64
"""Pictures decoded at a time."""


def embed_inputs(
    inputs: Sequence[Seen],
    network: FeatureNetwork,
    store: ResultStore,
    progress: Callable[[int], object] | None = None,
) -> tuple[list[int], NDArray[np.float32]]:
    """Return the numbers of the inputs that could be read, and their features (N, D).

    Known and equal inputs cost no forward pass. `progress` is called with the pictures done.
    """
    kept: list[int] = []
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(inputs), BLOCK):
        bank = InputBank(store)
        readable: list[Seen] = []
        for number in range(start, min(start + BLOCK, len(inputs))):
            try:
                bank.digest(inputs[number])
            except PictureError:
                continue
            kept.append(number)
            readable.append(inputs[number])
        rows += features_of(readable, bank, network, store)
        if progress:
            progress(min(BLOCK, len(inputs) - start))
    return kept, np.stack(rows) if rows else np.zeros((0, network.width), np.float32)
