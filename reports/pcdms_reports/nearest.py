"""The prior's answer as a picture: which shown target is nearest to the predicted embedding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from pcdms_reports.records import RecordError


def nearest_targets(path: Path, shown: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return {pair: (nearest pair, cosine)} for the `shown` pairs that `path` holds.

    `path` is an `embeddings.safetensors` (tensors `predicted` and `target`, float32 (N, D),
    metadata `pair_ids`). Candidates are the true target embeddings of the shown pairs only, because
    only their pictures lie beside the run; ties go to the first. A missing file gives an empty
    dict. Raises RecordError naming the file when it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            names = json.loads((file.metadata() or {}).get("pair_ids", "[]"))
            predicted, target = file.get_tensor("predicted"), file.get_tensor("target")
    except (SafetensorError, OSError, ValueError) as error:
        raise RecordError(f"{path}: not readable as stored embeddings: {error}") from None
    if predicted.shape != target.shape or predicted.ndim != 2 or len(names) != len(predicted):
        raise RecordError(
            f"{path}: predicted {predicted.shape}, target {target.shape} and {len(names)} pair ids "
            "do not fit together"
        )
    rows = {name: row for row, name in enumerate(names)}
    pairs = [pair for pair in shown if pair in rows]
    if not pairs:
        return {}
    index = [rows[pair] for pair in pairs]
    cosines = _unit(predicted[index]) @ _unit(target[index]).T
    best = cosines.argmax(axis=1)
    return {pair: (pairs[int(best[i])], float(cosines[i, best[i]])) for i, pair in enumerate(pairs)}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    vectors64 = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors64, axis=1, keepdims=True)
    return vectors64 / np.maximum(lengths, 1e-12)
