"""From the pictures of one stage to values per pair and features: each picture decoded once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.networks import (
    DISTANCE_NETWORKS,
    FEATURE_NETWORKS,
    DistanceNetwork,
    FeatureNetwork,
    distance_network,
    feature_network,
)
from pcdms_bench.metrics.pixels import absolute_error, gradient_energy, psnr
from pcdms_bench.metrics.ssim import masked_mean, ssim_map, ssim_of_map
from pcdms_bench.protocols import Protocol
from pcdms_bench.score_memory import ScoreMemory
from pcdms_data.types import InputError, PictureError

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
CHUNK = 16
"""Pairs decoded at a time; memory does not grow with the set."""
MASKED = ("masked_ssim", "masked_l1", "gradient_ratio")


@dataclass(frozen=True, eq=False)
class Task:
    """One pair to score. The functions return pixels of the metric frame or raise PictureError."""

    pair_id: str
    generated: Sequence[Callable[[], Pixels]]
    """One per sample of the pair; empty when there is no picture."""
    target: Callable[[], Pixels]
    target_key: Hashable
    """Equal for equal target pictures, whose features are then computed once."""
    mask: Callable[[], Mask] | None = None
    failure: str = ""
    """Why there is no picture, where that is known."""


@dataclass(eq=False)
class Measured:
    """What one pass over the pictures gave; arrays have one entry per task, NaN where missing."""

    values: dict[str, NDArray[np.float64]]
    gradients: NDArray[np.float64]
    """(pairs, 2): edge energy of generated and target."""
    features: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    """Per set metric, features (D,) of every picture used."""
    owners: list[int] = field(default_factory=list)
    """Task index of every picture used, in the order of `features`."""
    problems: dict[str, str] = field(default_factory=dict)
    """Pair id -> why the pair has no score."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """Metric -> why it could not be computed."""
    extractors: dict[str, str] = field(default_factory=dict)
    """Metric -> network and digest."""


@dataclass(frozen=True, eq=False)
class _Opened:
    features: Mapping[str, FeatureNetwork]
    distances: Mapping[str, DistanceNetwork]


@dataclass(eq=False)
class _Loaded:
    """The pixels of one pair in a chunk."""

    index: int
    task: Task
    generated: list[Pixels]
    target: Pixels
    mask: Mask | None


def measure(
    tasks: Sequence[Task],
    protocol: Protocol,
    metrics: Sequence[str],
    memory: ScoreMemory,
    selection: str = "first",
    device: str = "cpu",
    progress: Callable[[int], object] | None = None,
) -> Measured:
    """Return the values of every pairwise metric and the features for every set metric.

    `selection` is `first`, `mean` (values averaged over a pair's samples) or `oracle-ssim` (the
    sample nearest its target in SSIM). A pair whose picture is missing or cannot be decoded lands
    in `problems`, a network without weights in `unavailable`; neither stops the rest.
    """
    result = Measured(
        {name: np.full(len(tasks), np.nan) for name in metrics if name not in FEATURE_NETWORKS},
        np.full((len(tasks), 2), np.nan),
    )
    opened = _open_networks(metrics, device, result)
    for start in range(0, len(tasks), CHUNK):
        chunk = list(_load(tasks, range(start, min(start + CHUNK, len(tasks))), selection, result))
        for loaded in chunk:
            if selection == "oracle-ssim" and len(loaded.generated) > 1:
                loaded.generated = [_nearest_sample(loaded, protocol)]
            _measure_pixels(loaded, protocol, metrics, result)
        if chunk:
            _measure_networks(chunk, protocol, opened, memory, result)
        if progress:
            progress(min(CHUNK, len(tasks) - start))
    return result


def _open_networks(metrics: Sequence[str], device: str, result: Measured) -> _Opened:
    """Open the networks of `metrics`; note the reason of each one that is not there."""
    features: dict[str, FeatureNetwork] = {}
    distances: dict[str, DistanceNetwork] = {}
    for name in metrics:
        try:
            if name in FEATURE_NETWORKS:
                features[name] = feature_network(name, device)
                result.extractors[name] = features[name].label
                result.features[name] = []
            elif name in DISTANCE_NETWORKS:
                distances[name] = distance_network(name, device)
                result.extractors[name] = distances[name].label
        except InputError as error:
            result.unavailable[name] = str(error)
    return _Opened(features, distances)


def _load(
    tasks: Sequence[Task], indices: range, selection: str, result: Measured
) -> Iterator[_Loaded]:
    """Decode the pairs of a chunk; pairs without a picture are noted and left out."""
    for index in indices:
        task = tasks[index]
        if task.failure or not task.generated:
            result.problems[task.pair_id] = task.failure or "no picture was generated"
            continue
        samples = task.generated[:1] if selection == "first" else task.generated
        try:
            mask = task.mask() if task.mask else None
            yield _Loaded(index, task, [load() for load in samples], task.target(), mask)
        except PictureError as error:
            result.problems[task.pair_id] = str(error)


def _nearest_sample(loaded: _Loaded, protocol: Protocol) -> Pixels:
    """Return the sample with the highest SSIM to the target (the published oracle)."""
    scores = [
        ssim_of_map(ssim_map(sample, loaded.target, protocol.ssim), protocol.ssim)
        for sample in loaded.generated
    ]
    return loaded.generated[int(np.argmax(scores))]


def _measure_pixels(
    loaded: _Loaded, protocol: Protocol, metrics: Sequence[str], result: Measured
) -> None:
    """Fill in the metrics that need no network, averaged over the pair's samples."""
    found: dict[str, list[float]] = {}
    for picture in loaded.generated:
        if "ssim" in metrics or "masked_ssim" in metrics:
            similarity = ssim_map(picture, loaded.target, protocol.ssim)
            found.setdefault("ssim", []).append(ssim_of_map(similarity, protocol.ssim))
            if loaded.mask is not None:
                found.setdefault("masked_ssim", []).append(masked_mean(similarity, loaded.mask))
        if "l1" in metrics or "masked_l1" in metrics:
            error = absolute_error(picture, loaded.target, protocol.l1_span)
            found.setdefault("l1", []).append(float(error.mean()))
            if loaded.mask is not None:
                found.setdefault("masked_l1", []).append(masked_mean(error, loaded.mask))
        if "psnr" in metrics:
            found.setdefault("psnr", []).append(psnr(picture, loaded.target, protocol.psnr_range))
    for name, values in found.items():
        if name in result.values:
            result.values[name][loaded.index] = float(np.mean(values))
    if "gradient_ratio" in metrics and loaded.mask is not None:
        mask = loaded.mask
        made = [gradient_energy(picture, mask) for picture in loaded.generated]
        result.gradients[loaded.index] = np.mean(made), gradient_energy(loaded.target, mask)


def _measure_networks(
    chunk: Sequence[_Loaded],
    protocol: Protocol,
    opened: _Opened,
    memory: ScoreMemory,
    result: Measured,
) -> None:
    """One forward pass per network and picture; targets seen before cost none."""
    pictures = np.stack([picture for loaded in chunk for picture in loaded.generated])
    owners = [loaded.index for loaded in chunk for _ in loaded.generated]
    result.owners += owners
    for name, network in opened.features.items():
        for start in range(0, len(pictures), network.chunk):
            result.features[name] += list(network.features(pictures[start : start + network.chunk]))
    by_index = {loaded.index: loaded for loaded in chunk}
    for name, distances in opened.distances.items():
        sums: dict[int, list[float]] = {}
        for start in range(0, len(pictures), distances.chunk):
            part = owners[start : start + distances.chunk]
            targets = _target_features([by_index[i] for i in part], distances, protocol, memory)
            made = distances.features(pictures[start : start + distances.chunk])
            for index, value in zip(part, distances.compare(made, targets), strict=True):
                sums.setdefault(index, []).append(float(value))
        for index, values in sums.items():
            result.values[name][index] = float(np.mean(values))


def _target_features(
    batch: Sequence[_Loaded], network: DistanceNetwork, protocol: Protocol, memory: ScoreMemory
) -> list[torch.Tensor]:
    """Return the targets' features, layer by layer, from memory where they are kept."""
    import torch

    keys = [
        ("target", network.label, protocol.frame, protocol.target_kernel, loaded.task.target_key)
        for loaded in batch
    ]
    kept: dict[Hashable, list[torch.Tensor] | None] = {key: memory.get(key) for key in keys}
    known = {key: layers for key, layers in kept.items() if layers is not None}
    missing = {key: loaded for key, loaded in zip(keys, batch, strict=True) if key not in known}
    if missing:
        found = network.features(np.stack([loaded.target for loaded in missing.values()]))
        for i, key in enumerate(missing):
            own = [layer[i : i + 1].clone() for layer in found]
            memory.put(key, own, sum(layer.nbytes for layer in own))
            known[key] = own
    return [torch.cat([known[key][layer] for key in keys]) for layer in range(len(known[keys[0]]))]
