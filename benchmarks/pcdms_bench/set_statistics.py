"""What is made of the features of two sets: one function per metric.

Each takes the features of the generated pictures, the reference and the protocol, and returns a
number; `set_metrics.SET_METRICS` names them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.feature_rows import FeatureRows, FeatureTable
from pcdms_bench.metrics.frechet import FeatureStatistics
from pcdms_bench.metrics.inception_score import inception_logits, inception_score
from pcdms_bench.metrics.kernel_distance import SUBSET_SIZE, kernel_distance
from pcdms_bench.metrics.neighbours import (
    COVERAGE_NEIGHBOURS,
    PRECISION_NEIGHBOURS,
    ManifoldScores,
    manifold_scores,
    real_radii,
)
from pcdms_bench.protocol_type import Protocol
from pcdms_bench.reference_features import Reference
from pcdms_bench.result_store import content_key, library_versions
from pcdms_bench.weights_store import find_weights

HANDLE_BYTES = 1_000_000
"""What a table in a file counts in the memory of results."""


def frechet(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the Frechet distance; for more rows than columns by streamed statistics."""
    known = reference.gaussian()
    if len(features) <= features.width:
        return known.distance(features.all())
    statistics = FeatureStatistics()
    for block in features.blocks():
        statistics.update(block)
    return known.distance_to(statistics.result())


def kernel(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the kernel distance (KID where the network is the Inception of 2015)."""
    return kernel_distance(features.all(), reference_rows(reference)).value


def kernel_note(count: int, known: int, protocol: Protocol) -> str:
    """Return why a kernel distance is only indicative, else ''."""
    smaller = min(count, known)
    if smaller >= SUBSET_SIZE:
        return ""
    return f"subsets of {smaller} pictures instead of {SUBSET_SIZE}"


def precision(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the share of generated pictures near some training picture."""
    return manifold(features, reference).precision


def recall(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the share of training pictures near some generated picture."""
    return manifold(features, reference).recall


def density(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return how densely training pictures surround the generated ones."""
    return manifold(features, reference).density


def coverage(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the share of training pictures with a generated one nearby."""
    return manifold(features, reference).coverage


def manifold_note(count: int, known: int, protocol: Protocol) -> str:
    """Return the warning that goes with these four: they move with the sizes of the sets."""
    return f"{count} against {known} pictures: compare only with rows of equal sizes"


def inception(features: FeatureRows, reference: Reference, protocol: Protocol) -> float:
    """Return the inception score; there is no reference."""
    return inception_score(logits_of(features), protocol.is_splits).value


def logits_of(features: FeatureRows) -> NDArray[np.float32]:
    """Return the class scores (N, classes) of features of the network of `fid`."""
    path = find_weights("fid").path
    return np.concatenate([inception_logits(block, path) for block in features.blocks()])


def inception_note(count: int, known: int, protocol: Protocol) -> str:
    """Return why an inception score is only indicative, else ''."""
    if count >= 1000 * protocol.is_splits // 2:
        return ""
    return (
        f"{count} pictures in {protocol.is_splits} splits: the score grows with their number, "
        "compare only with rows of equal n"
    )


def reference_rows(reference: Reference) -> NDArray[Any]:
    """Return all features (M, D) of the reference, for large sets out of a file."""
    key = content_key("rows", reference.key())
    kept = reference.memory.get(key)
    if isinstance(kept, np.ndarray):
        return kept
    table = FeatureTable(reference.count, reference.network.width)
    start = 0
    for block in reference.blocks():
        table.values[start : start + len(block)] = block
        start += len(block)
    held = HANDLE_BYTES if isinstance(table.values, np.memmap) else table.values.nbytes
    reference.memory.put(key, table.values, held)
    return table.values


def radii_of(reference: Reference) -> NDArray[np.float64]:
    """Return `real_radii` (2, M) of the reference, which every method needs and none changes."""
    neighbours = (PRECISION_NEIGHBOURS, COVERAGE_NEIGHBOURS)
    key = content_key("radii", library_versions(), repr(neighbours), reference.key())
    kept = reference.memory.get(key)
    if isinstance(kept, np.ndarray):
        return kept
    stored = reference.store.get_many([key]).get(key)
    if stored is not None and len(stored) == 16 * reference.count:
        radii = np.frombuffer(stored, np.float64).reshape(2, -1)
    else:
        radii = real_radii(reference_rows(reference), *neighbours)
        reference.store.put(key, radii.tobytes())
    reference.memory.put(key, radii, radii.nbytes)
    return radii


def manifold(features: FeatureRows, reference: Reference) -> ManifoldScores:
    """Return all four scores, computed once for the four metrics."""
    key = content_key("manifold", reference.key(), *features.digests())
    kept = reference.memory.get(key)
    if isinstance(kept, ManifoldScores):
        return kept
    rows, radii = reference_rows(reference), radii_of(reference)
    found = manifold_scores(features.all(), rows, radii=radii)
    reference.memory.put(key, found, 16 * len(features))
    return found
