"""How the published evaluation scripts work, written from the description of their protocol.

It is what scoring is compared with in `pcdms-bench speed`: every metric reads the pictures again,
whole sets are held as float32, SSIM is scikit-image's, and the Frechet distance takes SciPy's
matrix root. Nothing else uses it. Source: tencent-ailab/PCDMs:metrics.py.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FRAME = (256, 176)
FID_BATCH = 128
LPIPS_BATCH = 64

Features = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Float32 (B, 3, H, W) in 0..1 -> (B, D)."""
Distances = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float64]]
"""Two float32 (B, 3, H, W) in 0..1 -> distances (B,)."""


@dataclass
class FlowTimes:
    """CPU seconds of each part."""

    reference: float = 0.0
    features: float = 0.0
    root: float = 0.0
    lpips: float = 0.0
    pixels: float = 0.0


@dataclass
class FlowResult:
    """The numbers that such a script prints, and what they cost."""

    values: dict[str, float]
    times: FlowTimes = field(default_factory=FlowTimes)


def published_flow(
    pairs: Sequence[tuple[Path, Path]],
    reference: Sequence[Path],
    features: Features,
    distances: Distances,
    root: bool = True,
) -> FlowResult:
    """Score `pairs` of (generated, target) files against `reference` files as protocol `pcdms`.

    `root` False leaves the matrix root out (its time does not depend on the number of pictures)
    and with it the Frechet distance.
    """
    times = FlowTimes()
    values: dict[str, float] = {}
    made = [generated for generated, _ in pairs]
    start = time.process_time()
    known = _statistics(reference, features)
    times.reference = time.process_time() - start
    start = time.process_time()
    own = _statistics(made, features)
    times.features = time.process_time() - start
    if root:
        start = time.process_time()
        values["fid_paper"] = frechet_by_root(*own, *known)
        times.root = time.process_time() - start
    start = time.process_time()
    values["lpips_pcdms"] = _lpips(pairs, distances)
    times.lpips = time.process_time() - start
    start = time.process_time()
    values |= _pixel_metrics(pairs)
    times.pixels = time.process_time() - start
    return FlowResult(values, times)


def read_resized(path: Path) -> NDArray[np.float32]:
    """Return a picture as float32 0..255 in the metric frame, resized even where it fits."""
    import imageio.v2 as imageio

    pixels = np.asarray(imageio.imread(path)).astype(np.float32)
    resized: NDArray[np.float32] = cv2.resize(
        pixels, (FRAME[1], FRAME[0]), interpolation=cv2.INTER_CUBIC
    )
    return resized


def _statistics(paths: Sequence[Path], features: Features) -> tuple[Any, Any]:
    """Return mean and covariance; all pictures lie in memory before the first batch."""
    pictures = np.array([read_resized(path) for path in paths])
    planes = pictures.transpose(0, 3, 1, 2)
    planes = np.divide(planes, 255, dtype=np.float32)
    batch = min(FID_BATCH, len(planes))
    used = len(planes) // batch * batch
    rows = [features(planes[at : at + batch]) for at in range(0, used, batch)]
    activations = np.concatenate(rows).astype(np.float64)
    return activations.mean(axis=0), np.cov(activations, rowvar=False)


def frechet_by_root(mu1: Any, cov1: Any, mu2: Any, cov2: Any) -> float:
    """Return the Frechet distance by the square root of the product of the covariances."""
    from scipy import linalg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a singular product is announced; so it is in the scripts
        root = linalg.sqrtm(cov1.dot(cov2))
        if not np.isfinite(root).all():
            shift = np.eye(len(cov1)) * 1e-6
            root = linalg.sqrtm((cov1 + shift).dot(cov2 + shift))
    gap = mu1 - mu2
    trace = float(np.trace(root).real)
    return float(gap.dot(gap) + np.trace(cov1) + np.trace(cov2) - 2 * trace)


def _lpips(pairs: Sequence[tuple[Path, Path]], distances: Distances) -> float:
    """Return the mean distance; the last, incomplete batch is dropped."""
    batch = min(LPIPS_BATCH, len(pairs))
    used = len(pairs) // batch * batch
    found = []
    for at in range(0, used, batch):
        made = np.array([read_resized(pair[0]) for pair in pairs[at : at + batch]])
        true = np.array([read_resized(pair[1]) for pair in pairs[at : at + batch]])
        made, true = made.transpose(0, 3, 1, 2), true.transpose(0, 3, 1, 2)
        scaled = [np.divide(side, 255, dtype=np.float32) for side in (made, true)]
        found.append(distances(scaled[0], scaled[1]))
    return float(np.concatenate(found).mean())


def ssim_by_library(made: NDArray[Any], target: NDArray[Any], span: float | None = None) -> float:
    """Return scikit-image's SSIM with a Gaussian window of sigma 1.2; `span` None: max - min."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            target, made, gaussian_weights=True, sigma=1.2, use_sample_covariance=False,
            channel_axis=2, data_range=float(made.max() - made.min()) if span is None else span,
        )
    )  # fmt: skip


def _pixel_metrics(pairs: Sequence[tuple[Path, Path]]) -> dict[str, float]:
    """Return the means of both SSIM, PSNR, L1 and MAE, one pair at a time."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    found: dict[str, list[float]] = {n: [] for n in ("ssim", "ssim_win51", "psnr", "l1", "mae")}
    for generated, target in pairs:
        made, true = read_resized(generated), read_resized(target)
        a, b = made / 255, true / 255
        found["psnr"].append(float(peak_signal_noise_ratio(b, a, data_range=1)))
        found["ssim_win51"].append(
            float(structural_similarity(b, a, data_range=1, win_size=51, channel_axis=2))
        )
        found["l1"].append(float(np.abs(b - a).mean()))
        found["mae"].append(float(np.abs(b - a).sum() / (b + a).sum()))
        found["ssim"].append(ssim_by_library(made, true))
    return {name: float(np.mean(values)) for name, values in found.items()}
