"""SSIM by separable filters: four filtered maps in float64, equal to scikit-image to 1e-12.

Variants in float32 are within 2e-6 of it. Pictures of unequal shape are an error, never resized.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_bench.ssim_variants import SsimVariant
from pcdms_data.types import InputError

Map = NDArray[np.float64] | NDArray[np.float32]


@lru_cache(maxsize=16)
def _window(kind: str, taps: int, sigma: float) -> Map:
    """Return the one-dimensional window (taps,), summing to 1."""
    if kind == "uniform":
        return np.full(taps, 1.0 / taps)
    offsets = np.arange(taps, dtype=np.float64) - taps // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum()


def ssim_map(prediction: NDArray[Any], target: NDArray[Any], variant: SsimVariant) -> Map:
    """Return the SSIM of every pixel and channel, (H, W, C), border reflected.

    `prediction` and `target` are (H, W, C) on the scale 0 to 255, uint8 or float (a float picture
    may overshoot); they are brought to the variant's scale here. NaN everywhere for a plain
    prediction where the variant's range is that of the prediction: it has none. Raises InputError
    when shapes differ, a value is not finite, or the picture is smaller than the window.
    Source: Wang et al. 2004; reflection repeats the edge pixel, as scikit-image's filters do.
    """
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise InputError(
            f"SSIM of pictures {prediction.shape} and {target.shape}, expected two equal (H, W, C)"
        )
    if min(prediction.shape[:2]) < variant.taps:
        height, width = prediction.shape[:2]
        raise InputError(f"SSIM window of {variant.taps} does not fit a {height}x{width} picture")
    scale = variant.scale / 255.0
    span = variant.data_range
    if span is None:
        span = (float(prediction.max()) - float(prediction.min())) * scale
    for picture in (prediction, target):
        if picture.dtype.kind == "f" and not np.isfinite(picture).all():
            raise InputError("SSIM of a picture with NaN or infinite values, expected finite ones")
    if span == 0:
        return np.full(prediction.shape, np.nan)
    kind = np.dtype(variant.arithmetic)
    result = np.empty((prediction.shape[2], *prediction.shape[:2]), kind)
    for channel, plane in enumerate(result):
        room = _room(plane.shape, kind)
        for place, picture in zip(room, (prediction, target), strict=False):
            np.copyto(place, picture[:, :, channel], casting="unsafe")
            if scale != 1:
                place *= scale
        _plane(room, span, variant, plane)
    return result.transpose(1, 2, 0)


_kept = threading.local()


def _room(shape: tuple[int, ...], kind: np.dtype[Any]) -> Map:
    """Return six planes to work in, the same ones for pictures of one size, for each thread.

    Fresh memory for every picture would cost as much as the filters.
    """
    room: Map | None = getattr(_kept, "room", None)
    if room is None or room.shape[1:] != shape or room.dtype != kind:
        room = np.empty((6, *shape), kind)
        _kept.room = room
    return room


def _plane(room: Map, span: float, variant: SsimVariant, out: Map) -> None:
    """Fill `out` (H, W) with the SSIM map of the pictures in the first two planes of `room`.

    Works on sum u and difference v: with A, B the windowed variances of u and v and M, N their
    squared means, 4 cov = A - B, 2 (var x + var y) = A + B, and likewise for the means, so that
    SSIM = (M - N + 2 c1)(A - B + 2 c2) / ((M + N + 2 c1)(A + B + 2 c2)): four filters and few
    passes, each in memory that is warm. Source: Wang et al. 2004, equation 13.
    """
    x, y, u, v, mean_u, mean_v = room
    np.add(x, y, out=u)
    np.subtract(x, y, out=v)
    # Variances do not change under a shift; values around zero keep them free of cancellation.
    u -= variant.scale
    _filter(u, variant, mean_u)
    _filter(v, variant, mean_v)
    np.multiply(u, u, out=u)
    np.multiply(v, v, out=v)
    _filter(u, variant, x)
    _filter(v, variant, y)
    _quotient(room, span, variant, out)


def _quotient(room: Map, span: float, variant: SsimVariant, out: Map) -> None:
    """Fill `out` with the quotient of `_plane` from the windowed means of u^2, v^2, -, -, u, v."""
    count = variant.taps**2
    norm = count / (count - 1) if variant.covariance == "sample" else 1.0
    c1, c2 = (variant.k1 * span) ** 2, (variant.k2 * span) ** 2
    spread_u, spread_v, u, v, mean_u, mean_v = room
    spread_u -= np.multiply(mean_u, mean_u, out=u)
    spread_v -= np.multiply(mean_v, mean_v, out=v)
    mean_u += variant.scale
    np.multiply(mean_u, mean_u, out=u)
    upper = np.subtract(spread_u, spread_v, out=mean_u)
    lower = np.add(spread_u, spread_v, out=mean_v)
    if norm != 1:
        upper *= norm
        lower *= norm
    upper += 2 * c2
    lower += 2 * c2
    difference = np.subtract(u, v, out=spread_u)
    total = np.add(u, v, out=spread_v)
    difference += 2 * c1
    total += 2 * c1
    upper *= difference
    lower *= total
    np.divide(upper, lower, out=out)


def _filter(plane: Map, variant: SsimVariant, out: Map) -> None:
    """Fill `out` with the windowed mean of a plane (H, W); the border repeats the edge pixel."""
    window = _window(variant.window, variant.taps, variant.sigma)
    cv2.sepFilter2D(plane, -1, window, window, dst=out, borderType=cv2.BORDER_REFLECT)


def ssim_of_map(values: Map, variant: SsimVariant) -> float:
    """Return the mean of a map of `ssim_map` over what the border does not touch, and channels."""
    border = variant.taps // 2
    return float(
        values[border : values.shape[0] - border, border : values.shape[1] - border].mean(
            dtype=np.float64
        )
    )


def masked_mean(values: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """Return the mean of (H, W, C) values over the pixels of `mask` (H, W), and channels.

    NaN for an empty mask.
    """
    inside = values[mask]
    return float(inside.mean(dtype=np.float64)) if inside.size else float("nan")
