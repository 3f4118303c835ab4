"""How near the prior's embeddings come to those of the true targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_data.types import InputError, Pair

PRIOR_METRICS = ("cosine", "retrieval_rank", "retrieval_r1")

Values = NDArray[np.float64]


def measure_embeddings(
    file: Path, pairs: Sequence[Pair], failures: Mapping[str, str]
) -> tuple[dict[str, Values], dict[str, str], int]:
    """Return the values of `PRIOR_METRICS` per pair, problems by pair id, and candidate count.

    `file` is safetensors with `predicted` and `target`, float32 (N, D), and the metadata
    `pair_ids`, a JSON list. The candidates of the retrieval are the distinct targets of the scored
    pairs; rank 1 is the nearest by cosine, equal ones share the mean of their ranks, so that a
    constant prediction cannot win. Raises InputError when the file does not fit.
    """
    predicted, target, ids = _read(file)
    rows = {pair_id: row for row, pair_id in enumerate(ids)}
    values = {name: np.full(len(pairs), np.nan) for name in PRIOR_METRICS}
    problems: dict[str, str] = {}
    scored: list[int] = []
    for i, pair in enumerate(pairs):
        if pair.pair_id in rows and pair.pair_id not in failures:
            scored.append(i)
        else:
            problems[pair.pair_id] = failures.get(pair.pair_id, "no embedding was predicted")
    if not scored:
        return values, problems, 0
    chosen = [rows[pairs[i].pair_id] for i in scored]
    guesses, truths = _unit(predicted[chosen]), _unit(target[chosen])
    if not (np.isfinite(guesses).all() and np.isfinite(truths).all()):
        raise InputError(f"{file}: embeddings hold NaN or infinite values, expected finite ones")
    handles = [(pairs[i].target.path, pairs[i].target.row) for i in scored]
    first = {handle: j for j, handle in reversed(list(enumerate(handles)))}
    candidates = list(first)
    own = np.array([candidates.index(handle) for handle in handles])
    similarity = guesses @ truths[[first[handle] for handle in candidates]].T
    true = similarity[np.arange(len(scored)), own][:, None]
    # Rounding must not decide between equal embeddings.
    equal = np.isclose(similarity, true, rtol=0, atol=1e-12)
    ranks = 1 + ((similarity > true) & ~equal).sum(1) + (equal.sum(1) - 1) / 2
    values["cosine"][scored] = (guesses * truths).sum(1)
    values["retrieval_rank"][scored] = ranks
    values["retrieval_r1"][scored] = ranks == 1
    return values, problems, len(candidates)


def _read(file: Path) -> tuple[Values, Values, list[str]]:
    """Return predicted (N, D), target (N, D) and N pair ids."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise InputError(f"embeddings {file} not found, expected the file of stage prior")
    try:
        with safe_open(file, framework="numpy") as stored:
            predicted, target = stored.get_tensor("predicted"), stored.get_tensor("target")
            ids = json.loads((stored.metadata() or {}).get("pair_ids", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"embeddings {file} cannot be read: {error}") from error
    if (
        not isinstance(ids, list)
        or predicted.ndim != 2
        or predicted.shape != target.shape
        or len(ids) != len(predicted)
        or len(set(ids)) != len(ids)
    ):
        raise InputError(
            f"embeddings {file}: predicted {predicted.shape}, target {target.shape}, "
            "expected two (N, D) and N distinct pair ids"
        )
    return predicted.astype(np.float64), target.astype(np.float64), [str(i) for i in ids]


def _unit(rows: Values) -> Values:
    """Return rows of length 1; a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1.0, lengths)
