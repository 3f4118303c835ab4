"""Inception score of class scores: confident classes for each picture, varied over the set.

exp(mean KL(p(y | picture) || p(y))), averaged over splits of the pictures in file order (Salimans
et al. 2016). The class scores are those of the 2015 Inception without the bias of its last layer,
as the published code reads them; they follow from the features of `fid`, so that both metrics share
one forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError

SPLITS = 10
CLASSIFIER = "fc.weight"
CLASSIFIER_SHAPE = (1008, 2048)


@dataclass(frozen=True)
class InceptionScore:
    """Mean and population deviation over the splits; 1 and up to the number of classes."""

    value: float
    deviation: float


def inception_score(logits: NDArray[Any], splits: int = SPLITS) -> InceptionScore:
    """Return the inception score of class scores (N, classes), computed in float64.

    Split i holds the rows from i N // splits up to (i + 1) N // splits. Raises InputError on
    another shape, values that are not finite, fewer than one split, and fewer rows than splits.
    """
    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise InputError(f"class scores {scores.shape}, expected finite (N, classes)")
    count = len(scores)
    if splits < 1 or count < splits:
        raise InputError(f"{count} pictures in {splits} splits, expected at least one in each")
    log_p = scores - scores.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    p = np.exp(log_p)
    found = np.empty(splits)
    for i in range(splits):
        rows = slice(i * count // splits, (i + 1) * count // splits)
        with np.errstate(divide="ignore"):
            log_q = np.log(p[rows].mean(0))
        # A class that no picture of the split has adds nothing.
        gaps = np.where(p[rows] > 0, log_p[rows] - log_q, 0)
        found[i] = np.exp((p[rows] * gaps).sum(1).mean())
    return InceptionScore(float(found.mean()), float(found.std()))


def inception_logits(features: NDArray[np.float32], weights: Path) -> NDArray[np.float32]:
    """Return the class scores (N, 1008) of pooled features (N, 2048) of the metric `fid`.

    `weights` is the file of that metric's network. Raises InputError on a file without the last
    layer and on features of another width.
    """
    if features.ndim != 2 or features.shape[1] != CLASSIFIER_SHAPE[1]:
        raise InputError(f"features {features.shape}, expected (N, {CLASSIFIER_SHAPE[1]})")
    import torch

    from pcdms_bench.metrics.networks import exact_float32

    try:
        # Only the last layer is read from the file.
        state = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
        classifier = state[CLASSIFIER].float()
    except Exception as error:
        raise InputError(f"{weights} holds no {CLASSIFIER}: {type(error).__name__}") from error
    if tuple(classifier.shape) != CLASSIFIER_SHAPE:
        raise InputError(
            f"{weights}: {CLASSIFIER} {tuple(classifier.shape)}, expected {CLASSIFIER_SHAPE}"
        )
    with torch.inference_mode(), exact_float32():
        found: NDArray[np.float32] = torch.from_numpy(features).mm(classifier.T).numpy()
    return found
