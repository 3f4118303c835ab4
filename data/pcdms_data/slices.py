"""Slices: labels of pairs by which scores are broken down, computed from names and key points.

Source: specification of the datasets, section 10.
"""

from __future__ import annotations

from collections.abc import Sequence

from pcdms_data.names import parse_fashion
from pcdms_data.pair_set import PairRows, SliceColumn
from pcdms_data.types import Keypoints


def pair_slices(
    dataset: str,
    names: Sequence[str],
    keypoints: Sequence[Keypoints],
    rows: PairRows,
    train_names: frozenset[str] | None = None,
) -> dict[str, SliceColumn]:
    """Return the slice columns of the pairs `rows` (N, 2) of a dataset on disk.

    DeepFashion: `item` (seen, unseen) where `train_names` are known, `view` (`front-side`).
    """
    del keypoints
    if dataset != "deepfashion":
        return {}
    parsed = [parse_fashion(name) for name in names]
    if any(name is None for name in parsed):
        return {}
    views = [name.view for name in parsed if name is not None]
    columns = {"view": SliceColumn.of(f"{views[i]}-{views[j]}" for i, j in rows.tolist())}
    if train_names is not None:
        trained = {one.item_key for one in map(parse_fashion, train_names) if one is not None}
        seen = [name is not None and name.item_key in trained for name in parsed]
        columns["item"] = SliceColumn.of(
            "seen" if seen[target] else "unseen" for _, target in rows.tolist()
        )
    return columns
