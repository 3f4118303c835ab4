"""Scoring as the published scripts do it beside ours: CPU time, and that the numbers agree.

The networks have random weights of the published shapes: a time, not a score. Everything lies in a
temporary folder with a cache of its own.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcdms_bench import weights_store
from pcdms_bench.folder_scores import FolderRequest, score_folder
from pcdms_bench.metric_speed import made_up_pictures
from pcdms_bench.metrics.networks import distance_network, feature_network
from pcdms_bench.picture_content import forget_digests
from pcdms_bench.protocols import PROTOCOLS, protocol_for, reading_files
from pcdms_bench.published_flow import FRAME, FlowResult, published_flow
from pcdms_bench.score_memory import shared_memory
from pcdms_bench.scoring import prepare_references
from pcdms_data.images import save_picture
from pcdms_data.types import Gallery, Picture

PROTOCOL = "pcdms"
METRICS = PROTOCOLS[PROTOCOL].metrics
PAIRS, TARGETS, TRAINING = 8570, 3144, 48674
"""Pairs, their distinct targets, and training pictures of the published test."""
LABEL = "random weights: a time, not a score"

Follow = Callable[[int, int], object]


@dataclass(frozen=True)
class ScoringSpeed:
    """CPU seconds of both sides on `pairs` pairs and `reference` training pictures.

    Ours: the training pictures, a first method, a second one, and the first again unchanged.
    `published_root` is the matrix root, which costs the same whatever the number of pictures.
    """

    pairs: int
    reference: int
    published_reference: float
    published_pairs: float
    published_root: float
    ours_reference: float
    ours_first: float
    ours_second: float
    ours_again: float
    differences: dict[str, float]
    """Metric -> difference of both sides, relative for `fid_paper`."""

    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster ours is at the published number of pictures.

        Computed from the cost of a picture; `again` is unchanged pictures against the first score
        of the same ones, both ours.
        """
        theirs, training = self.published_pairs / self.pairs, TRAINING / self.reference
        first = self.ours_first / self.pairs * PAIRS
        return {
            "first": (theirs * PAIRS + self.published_reference * training + self.published_root)
            / (first + self.ours_reference * training),
            "second": (theirs * PAIRS + self.published_root)
            / (self.ours_second / self.pairs * PAIRS),
            "again": (self.ours_first + self.ours_reference) / self.ours_again,
        }


TARGET_RATIOS = {"first": 1.4, "second": 1.4, "again": 100.0}


def scoring_speed(
    pairs: int = 32, reference: int = 32, root: bool = True, follow: Follow | None = None
) -> ScoringSpeed:
    """Score made-up pictures of 256x176 both ways; `root` False leaves the matrix root out."""
    tell = follow or (lambda done, total: None)
    with tempfile.TemporaryDirectory() as name, _private_cache(Path(name)):
        folder = Path(name)
        targets, methods, training = _pictures(folder, pairs, reference)
        features, distances = _published_networks()
        features(np.zeros((1, 3, *FRAME), np.float32))  # libraries set themselves up at first use
        tell(1, 6)
        flow = published_flow(_paired(methods[0], targets), training, features, distances, root)
        tell(2, 6)
        times, values = _ours(folder, methods, training, tell)
    return ScoringSpeed(
        pairs, reference, flow.times.reference,
        flow.times.features + flow.times.lpips + flow.times.pixels, flow.times.root,
        *times, differences=_differences(flow, values),
    )  # fmt: skip


def _ours(
    folder: Path, methods: Sequence[Path], training: Sequence[Path], tell: Follow
) -> tuple[tuple[float, float, float, float], dict[str, float]]:
    """Return the seconds of the four parts, and the values of the first method."""
    gallery = Gallery(tuple(Picture(file.name, file) for file in training), (), ())
    recipe = reading_files(protocol_for(PROTOCOL, "folder", FRAME))
    start = time.process_time()
    prepare_references(gallery, [recipe], METRICS)
    seconds = [time.process_time() - start]
    values: dict[str, float] = {}
    for step, method in enumerate((methods[0], methods[1], methods[0])):
        if step == 2:  # what a new command would have to find out again
            shared_memory.cache_clear()
            forget_digests()
        start = time.process_time()
        request = FolderRequest(
            method, folder / "targets", "pcdms", reference=training[0].parent, allow_missing=True
        )
        rows = score_folder(request, [PROTOCOL], METRICS)
        seconds.append(time.process_time() - start)
        tell(3 + step, 6)
        if step == 0:
            values = {row.metric: row.value for row in rows if row.value is not None}
    return (seconds[0], seconds[1], seconds[2], seconds[3]), values


def _differences(flow: FlowResult, values: dict[str, float]) -> dict[str, float]:
    """Return |ours - theirs| of each metric that both have."""
    found = {
        name: abs(values[name] - theirs) / (abs(theirs) if name == "fid_paper" else 1.0)
        for name, theirs in flow.values.items()
        if name in values
    }
    return dict(sorted(found.items()))


def _pictures(
    folder: Path, pairs: int, reference: int
) -> tuple[list[Path], list[Path], list[Path]]:
    """Write targets, two methods' pictures and training pictures; return targets and folders.

    A target belongs to as many pairs as in the published test, on average.
    """
    distinct = max(1, round(pairs * TARGETS / PAIRS))
    made, true = made_up_pictures(max(pairs, reference), FRAME)
    for i in range(distinct):
        save_picture(folder / "targets" / f"t{i:04}.png", true[i])
    for i in range(pairs):
        name = f"s{i:04}_to_t{i % distinct:04}.png"
        save_picture(folder / "first" / name, made[i])
        save_picture(folder / "second" / name, made[i][:, ::-1])
    for i in range(reference):
        save_picture(folder / "training" / f"r{i:04}.png", true[i][::-1])
    targets = [folder / "targets" / f"t{i % distinct:04}.png" for i in range(pairs)]
    training = sorted((folder / "training").iterdir())
    return targets, [folder / "first", folder / "second"], training


def _paired(method: Path, targets: Sequence[Path]) -> list[tuple[Path, Path]]:
    return list(zip(sorted(method.iterdir()), targets, strict=True))


def _published_networks() -> tuple[
    Callable[[NDArray[np.float32]], NDArray[np.float32]],
    Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float64]],
]:
    """Return the same two networks, in the memory layout of the scripts."""
    from pcdms_bench.metrics.inception import load_imagenet_inception
    from pcdms_bench.metrics.lpips_backbones import load_lpips
    from pcdms_bench.metrics.networks import lpips_heads_path

    inception = load_imagenet_inception(weights_store.find_weights("fid_paper").path)
    inception = inception.to(memory_format=torch.contiguous_format)
    perceptual: Any = load_lpips(
        weights_store.find_weights("lpips").path, lpips_heads_path("alex"), "alex"
    )
    perceptual = perceptual.to(memory_format=torch.contiguous_format)

    def features(planes: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            found: NDArray[np.float32] = inception(torch.from_numpy(planes.copy())).numpy()
        return found

    def distances(made: NDArray[np.float32], true: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            sides = [torch.from_numpy(side.copy()) for side in (made, true)]
            found: NDArray[np.float64] = perceptual(*sides).double().numpy()
        return found

    return features, distances


@contextmanager
def _private_cache(folder: Path) -> Iterator[None]:
    """Use a cache in `folder` and random weights from it, and put everything back afterwards."""
    names = ("fid_paper", "lpips")
    known = {name: weights_store.KNOWN[name] for name in names}
    variables = [weights_store.CACHE_VARIABLE, *(one.variable for one in known.values())]
    before = {name: os.environ.get(name) for name in variables}
    os.environ[weights_store.CACHE_VARIABLE] = str(folder / "cache")
    try:
        for name, state in zip(names, _random_states(), strict=True):
            file = folder / f"random-{name}.pth"
            torch.save(state, file)
            digest = weights_store.file_digest(file)
            weights_store.KNOWN[name] = replace(known[name], prefix=digest[:8])
            os.environ[known[name].variable] = str(file)
        _forget_networks()
        yield
    finally:
        weights_store.KNOWN.update(known)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _forget_networks()


def _random_states() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return state dicts of torchvision's Inception and of AlexNet's convolutions."""
    from torchvision.models import alexnet, inception_v3

    torch.manual_seed(0)
    inception = inception_v3(weights=None, transform_input=False, init_weights=False)
    backbone = alexnet(weights=None).state_dict()
    return inception.state_dict(), {k: v for k, v in backbone.items() if k.startswith("features.")}


def _forget_networks() -> None:
    """Drop opened networks and what was kept of pictures: the weights behind names changed."""
    feature_network.cache_clear()
    distance_network.cache_clear()
    shared_memory.cache_clear()
