"""SSIM by separable filters: four filtered maps in float64, equal to scikit-image to 1e-12.

Variants in float32 are within 2e-6 of it. Pictures of unequal shape are an error, never resized.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_bench.ssim_variants import SsimVariant
from pcdms_data.types import InputError

Map = NDArray[np.float64] | NDArray[np.float32]


@lru_cache(maxsize=16)
def _gaussian(taps: int, sigma: float) -> Map:
    """Return the one-dimensional Gaussian window (taps,), summing to 1."""
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
    span = _span(prediction, target, variant)
    if span == 0:
        return np.full(prediction.shape, np.nan)
    result = np.empty(prediction.shape, np.dtype(variant.arithmetic))
    rows = result.reshape(len(result), -1)
    for start, strip in _strips(prediction, target, span, variant, 0):
        rows[start : start + len(strip)] = strip
    return result


def ssim_mean(prediction: NDArray[Any], target: NDArray[Any], variant: SsimVariant) -> float:
    """Return `ssim_of_map` of `ssim_map`, without the map: its fresh memory costs time."""
    span = _span(prediction, target, variant)
    if span == 0:
        return float("nan")
    height, width, channels = prediction.shape
    border = variant.taps // 2
    left, right = border * channels, (width - border) * channels
    total = 0.0
    for _, strip in _strips(prediction, target, span, variant, border):
        total += cv2.sumElems(strip[:, left:right])[0]
    return total / ((height - 2 * border) * (right - left))


def _span(prediction: NDArray[Any], target: NDArray[Any], variant: SsimVariant) -> float:
    """Return the range of the values on the variant's scale, of pictures that can be compared."""
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise InputError(
            f"SSIM of pictures {prediction.shape} and {target.shape}, expected two equal (H, W, C)"
        )
    if min(prediction.shape[:2]) < variant.taps:
        height, width = prediction.shape[:2]
        raise InputError(f"SSIM window of {variant.taps} does not fit a {height}x{width} picture")
    for picture in (prediction, target):
        if picture.dtype.kind == "f" and not np.isfinite(picture).all():
            raise InputError("SSIM of a picture with NaN or infinite values, expected finite ones")
    if variant.data_range is not None:
        return variant.data_range
    return (float(prediction.max()) - float(prediction.min())) * (variant.scale / 255.0)


_STRIP_BYTES = 1 << 17
"""Of one array in the passes after the filters: some eight of them stay in the cache of a core."""
_kept = threading.local()


def _room(shape: tuple[int, ...], kind: np.dtype[Any]) -> tuple[list[Map], list[Map]]:
    """Return six planes (H, W, C) and four strips (rows, W * C) to work in.

    They are the same ones for pictures of one size, for each thread: fresh memory for every
    picture would cost as much as the filters.
    """
    kept: tuple[object, tuple[list[Map], list[Map]]] | None = getattr(_kept, "room", None)
    if kept is None or kept[0] != (shape, kind):
        row = shape[1] * shape[2]
        rows = min(shape[0], max(1, _STRIP_BYTES // (row * kind.itemsize)))
        room = _apart(6, shape, kind), _apart(4, (rows, row), kind)
        _kept.room = kept = (shape, kind), room
    return kept[1]


def _apart(count: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> list[Map]:
    """Return arrays whose addresses differ modulo a page: processors stall where they do not."""
    size = math.prod(shape)
    step = -(-size * kind.itemsize // 4096) * 4096 + 640
    memory = np.empty(count * step // kind.itemsize, kind)
    starts = [i * step // kind.itemsize for i in range(count)]
    return [memory[start : start + size].reshape(shape) for start in starts]


def _strips(
    prediction: NDArray[Any], target: NDArray[Any], span: float, variant: SsimVariant, border: int
) -> Iterator[tuple[int, Map]]:
    """Yield the first row and the SSIM (rows, W * C) of strips, `border` rows left out at ends.

    A strip is good until the next one. Works on sum u and difference v: with A, B the windowed
    variances of u and v and M, N their squared means, 4 cov = A - B, 2 (var x + var y) = A + B,
    and likewise for the means, so that
    SSIM = (M - N + 2 c1)(A - B + 2 c2) / ((M + N + 2 c1)(A + B + 2 c2)): four filters, and few
    passes in strips that stay in the cache. Source: Wang et al. 2004, equation 13.
    """
    kind = np.dtype(variant.arithmetic)
    planes, buffers = _room(prediction.shape, kind)
    u, v, mean_u, mean_v, square_u, square_v = planes
    x, y = (_rows(picture, kind) for picture in (prediction, target))
    scale, depth = variant.scale / 255.0, cv2.CV_64F if kind == np.float64 else cv2.CV_32F
    # Variances do not change under a shift; values around zero keep them free of cancellation.
    cv2.addWeighted(x, scale, y, scale, -variant.scale, dst=u.reshape(x.shape), dtype=depth)
    cv2.addWeighted(x, scale, y, -scale, 0, dst=v.reshape(x.shape), dtype=depth)
    for plane, mean, square in ((u, mean_u, square_u), (v, mean_v, square_v)):
        _filter(plane, variant, mean)
        np.multiply(plane, plane, out=plane)
        _filter(plane, variant, square)
    flat = [plane.reshape(x.shape) for plane in planes[2:]]
    stop, step = len(x) - border, len(buffers[0])
    for start in range(border, stop, step):
        end = min(start + step, stop)
        parts = [plane[start:end] for plane in flat]
        yield start, _quotient(parts, [b[: end - start] for b in buffers], span, variant)


def _rows(picture: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Return a picture (H, W, C) as (H, W * C), uint8 or of the arithmetic."""
    plain = picture if picture.dtype == np.uint8 else picture.astype(kind, copy=False)
    return np.ascontiguousarray(plain).reshape(len(picture), -1)


def _quotient(parts: list[Map], buffers: list[Map], span: float, variant: SsimVariant) -> Map:
    """Return the quotient of `_strips` from the windowed means of u, v, u^2, v^2, overwritten."""
    count = variant.taps**2
    norm = count / (count - 1) if variant.covariance == "sample" else 1.0
    c1, c2 = (variant.k1 * span) ** 2, (variant.k2 * span) ** 2
    mean_u, mean_v, spread_u, spread_v = parts
    m, n, upper, lower = buffers
    spread_u -= np.multiply(mean_u, mean_u, out=m)
    spread_v -= np.multiply(mean_v, mean_v, out=n)
    if norm != 1:
        spread_u *= norm
        spread_v *= norm
    # Once here instead of in each of the sum and the difference.
    spread_u += 2 * c2
    mean_u += variant.scale
    np.multiply(mean_u, mean_u, out=m)
    m += 2 * c1
    np.subtract(m, n, out=upper)
    upper *= np.subtract(spread_u, spread_v, out=mean_u)
    np.add(m, n, out=lower)
    lower *= np.add(spread_u, spread_v, out=mean_v)
    return np.divide(upper, lower, out=upper)


def _filter(plane: Map, variant: SsimVariant, out: Map) -> None:
    """Fill `out` with the windowed mean of a plane (H, W, C); the border repeats the edge pixel.

    A uniform window is a running sum, which OpenCV keeps in float64 for either type.
    """
    if variant.window == "uniform":
        size = (variant.taps, variant.taps)
        cv2.boxFilter(plane, -1, size, dst=out, borderType=cv2.BORDER_REFLECT)
        return
    window = _gaussian(variant.taps, variant.sigma)
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
