"""Single metrics against the libraries that published scripts use: CPU time and agreement."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.metrics.frechet import frechet_distance, frechet_distance_features
from pcdms_bench.metrics.ssim import ssim_mean
from pcdms_bench.published_flow import frechet_by_root, ssim_by_library
from pcdms_bench.ssim_variants import SSIM_G12_OWN, SsimVariant
from pcdms_data.images import to_uint8

REPEATS = 3
"""Runs of a fast side; the fastest counts, on both sides alike where both are run as often."""
Arithmetic = Literal["float64", "float32"]

SSIM_REPEATS = 7
SSIM_ARITHMETICS: tuple[Arithmetic, ...] = ("float64", "float32")


@dataclass(frozen=True)
class Comparison:
    """One metric in two ways. Times are CPU seconds of the whole process, of one call or picture.

    `difference` is the largest one between both results, relative for distances, else absolute;
    `target` the smallest ratio that is aimed at, None where none is set.
    """

    what: str
    library: str
    library_s: float
    ours_s: float
    difference: float
    target: float | None

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.library_s / self.ours_s


def cpu_time(call: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def frechet_speed(width: int = 2048, few: int = 256) -> list[Comparison]:
    """Compare the Frechet distance with SciPy's `sqrtm`, for many and for few pictures.

    Features (N, `width`) are made up, positive and correlated as those of a network are: twice
    `width` rows on both sides, then `few` rows against the many.
    """
    random = np.random.default_rng(0)
    scale = 1 / np.sqrt(1 + np.arange(width))
    mixing = random.normal(size=(width, width)) * scale

    def features(count: int, shift: float) -> NDArray[np.float64]:
        return np.maximum(random.normal(shift, 1, (count, width)) @ mixing.T, 0)

    many, others, small = features(2 * width, 0), features(2 * width, 0.1), features(few, 0.1)
    rows = []
    for what, one, two, target in (
        (f"{2 * width} pictures a side", many, others, 4.0),
        (f"{few} pictures a side", many[:few], small, 500.0),
    ):
        first, second = _gaussian(one), _gaussian(two)
        start = time.process_time()
        expected = frechet_by_root(*first, *second)
        library = time.process_time() - start
        if len(two) > width:
            found = frechet_distance(*first, *second)
            ours = cpu_time(partial(frechet_distance, *first, *second), REPEATS)
        else:
            found = frechet_distance_features(one, two)
            ours = cpu_time(partial(frechet_distance_features, one, two), REPEATS)
        gap = abs(found - expected) / abs(expected)
        rows.append(Comparison(what, "scipy sqrtm", library, ours, gap, target))
    return rows


def _gaussian(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return rows.mean(0), np.cov(rows, rowvar=False)


def ssim_speed(pictures: int = 40, size: tuple[int, int] = (256, 176)) -> list[Comparison]:
    """Compare SSIM with scikit-image, window and range of PCDMs' script.

    The releases that the published scripts pin compute in float64 whatever they are given, recent
    ones keep float32: ours in float32 is compared with both. `difference` is that to scikit-image
    in float64. The library goes first, as a script alone would run it: its maps come from fresh
    memory, which takes half of its time in float64; glibc stops returning that memory once the
    process has freed larger blocks, such as ours.
    """
    made, true = made_up_pictures(pictures, size)
    library: dict[Arithmetic, tuple[float, list[float]]] = {}
    for kind in SSIM_ARITHMETICS:
        floats = _floats(made, true, kind)
        library[kind] = _timed(partial(_ssim_of_library, floats), len(made))
    exact = library["float64"][1]
    variants = {kind: replace(SSIM_G12_OWN, arithmetic=kind) for kind in SSIM_ARITHMETICS}
    ours = {
        kind: _timed(partial(_ssim_of_ours, made, true, variant), len(made))
        for kind, variant in variants.items()
    }
    sides: tuple[tuple[Arithmetic, Arithmetic, float | None], ...] = (
        ("float64", "float64", 4.5),
        ("float32", "float64", 10.0),
        ("float32", "float32", None),
    )
    return [
        Comparison(
            f"{size[0]}x{size[1]} {mine}",
            f"scikit-image {theirs}",
            library[theirs][0],
            ours[mine][0],
            float(np.abs(np.subtract(ours[mine][1], exact)).max()),
            target,
        )
        for mine, theirs, target in sides
    ]


def _timed(call: Callable[[], list[float]], count: int) -> tuple[float, list[float]]:
    """Return CPU seconds for each of `count` pictures, and the values."""
    return cpu_time(call, SSIM_REPEATS) / count, call()


def _ssim_of_library(floats: list[tuple[NDArray[Any], NDArray[Any]]]) -> list[float]:
    return [ssim_by_library(x, y) for x, y in floats]


def _ssim_of_ours(
    made: NDArray[np.uint8], true: NDArray[np.uint8], variant: SsimVariant
) -> list[float]:
    return [ssim_mean(x, y, variant) for x, y in zip(made, true, strict=True)]


def _floats(
    made: NDArray[np.uint8], true: NDArray[np.uint8], kind: str
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    return [(x.astype(kind), y.astype(kind)) for x, y in zip(made, true, strict=True)]


def made_up_pictures(
    count: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return smooth pictures with noise and the same without: uint8 (N, H, W, 3) twice."""
    import cv2

    random = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        rough = cv2.GaussianBlur(random.normal(0, 1, (*size, 3)), (0, 0), 6)
        pictures.append(128 + 60 * rough / rough.std())
    true = np.stack(pictures)
    made = true + random.normal(0, 8, true.shape)
    return to_uint8(made), to_uint8(true)
