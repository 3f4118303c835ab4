"""`embeddings.safetensors`: what stage `prior` predicted for each pair, beside the truth.

Tensors `predicted` (N, D) and `target` (N, D) float32, with several samples also `samples`
(N, S-1, D); metadata `pair_ids`, a JSON list.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pcdms_data.types import InputError

EmbeddingRows = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""{pair_id: (predicted (S, D), true (D,))}."""


def read_embeddings(path: Path) -> EmbeddingRows:
    """Return the rows of `path`; empty without the file.

    Raises:
        InputError: the file is not one that stage `prior` wrote.
    """
    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="np") as handle:
            pair_ids = json.loads(handle.metadata()["pair_ids"])
            predicted, target = handle.get_tensor("predicted"), handle.get_tensor("target")
            more = handle.get_tensor("samples") if "samples" in handle.keys() else None  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not an embedding file of stage prior ({error})") from None
    rows = (
        predicted[:, None] if more is None else np.concatenate([predicted[:, None], more], axis=1)
    )
    return {pair_id: (rows[i], target[i]) for i, pair_id in enumerate(pair_ids)}


def write_embeddings(path: Path, rows: EmbeddingRows) -> None:
    """Write `rows`, of which each has at least as many samples as the one with the fewest."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    count = min(len(predicted) for predicted, _ in rows.values())
    predicted = np.stack([value[0][:count] for value in rows.values()])
    tensors = {
        "predicted": np.ascontiguousarray(predicted[:, 0]),
        "target": np.stack([value[1] for value in rows.values()]),
    }
    if count > 1:
        tensors["samples"] = np.ascontiguousarray(predicted[:, 1:])
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary, metadata={"pair_ids": json.dumps(list(rows))})
    temporary.replace(path)
