"""The single-query protocol of Market-1501: average precision and rank of the first match.

For each query the gallery is sorted by distance; pictures of the same person by the same camera are
passed over, as they would be found without recognising anybody, and a query without another match
does not count. Average precision is the mean, over the matches, of the precision at each of them:
the area under the steps of precision over recall, as the field's Python code computes it. The
Matlab code that came with the dataset takes trapezoids instead and gives slightly other numbers.
Source: Zheng et al., Scalable Person Re-identification, ICCV 2015;
michuanhaohao/reid-strong-baseline:utils/reid_metric.py, whose `eval_func` this follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcdms_data.persons import PersonPicture
from pcdms_data.types import InputError

RANKS = (1, 5, 10)
"""Ranks of which the matching rate is reported."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Pictures as a network sees them: unit vectors float32 (N, D), persons and cameras of each."""

    vectors: NDArray[np.float32]
    persons: Sequence[str]
    cameras: Sequence[int]

    def __post_init__(self) -> None:
        """Refuse lists of different lengths."""
        if not len(self.vectors) == len(self.persons) == len(self.cameras):
            raise InputError(
                f"{len(self.vectors)} vectors with {len(self.persons)} persons and "
                f"{len(self.cameras)} cameras, expected as many of each"
            )


@dataclass(frozen=True, eq=False)
class QueryScores:
    """What came of each query (Q,): average precision 0 to 1, and the rank of its first match.

    Ranks count from 1 in what is left of the gallery. A query without any match has NaN and 0.
    """

    precision: NDArray[np.float64]
    first: NDArray[np.int64]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """The queries that have a match, (Q,)."""
        return self.first > 0

    @property
    def count(self) -> int:
        """Number of queries that count."""
        return int(self.scored.sum())

    @property
    def mean_precision(self) -> float:
        """The mean average precision (mAP), 0 to 1."""
        return float(self.precision[self.scored].mean())

    def rate(self, rank: int) -> float:
        """Return the share of queries whose first match is among the first `rank`, 0 to 1."""
        return float((self.first[self.scored] <= rank).mean())


def askable(query: Sequence[PersonPicture], gallery: Sequence[PersonPicture]) -> int:
    """Return how many queries show a person whom another camera of the gallery has seen."""
    seen: dict[str, set[int]] = {}
    for one in gallery:
        seen.setdefault(one.person, set()).add(one.camera)
    return sum(bool(seen.get(one.person, set()) - {one.camera}) for one in query)


def score_queries(query: Embedded, gallery: Embedded) -> QueryScores:
    """Look for every query in the gallery, nearest by cosine first; ties keep the gallery's order.

    Raises:
        InputError: no query has a match by another camera, or vectors that are not finite.
    """
    for side in (query, gallery):
        if not np.isfinite(side.vectors).all():
            raise InputError("the network's vectors are not finite: its training went wrong")
    known = {name: code for code, name in enumerate(sorted({*query.persons, *gallery.persons}))}
    persons = np.array([known[name] for name in gallery.persons], np.int64)
    cameras = np.array(gallery.cameras, np.int64)
    precision = np.full(len(query.vectors), np.nan)
    first = np.zeros(len(query.vectors), np.int64)
    for row, vector in enumerate(query.vectors):
        same = persons == known[query.persons[row]]
        order = np.argsort(-(gallery.vectors @ vector), kind="stable")
        left = order[~(same & (cameras == query.cameras[row]))[order]]
        places = np.flatnonzero(same[left]) + 1
        if len(places):
            precision[row] = (np.arange(1, len(places) + 1) / places).mean()
            first[row] = places[0]
    if not first.any():
        raise InputError("no query shows a person that another camera of the gallery has seen")
    return QueryScores(precision, first)
